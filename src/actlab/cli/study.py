"""Commands that run and report studies (``compare``, ``report``, ``studies``, ``tasks``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, command, example, print_json, print_rich, say
from actlab.cli.arguments import (
    AcceptChanges,
    Arms,
    Budget,
    Import,
    Store,
    Task,
    TrialLimit,
    choice,
    spec_option,
)

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["compare", "report", "studies", "tasks"]


@example("compare")
def compare(
    *,
    task: Task,
    acts: Arms,
    seeds: Annotated[int, typer.Option(help="Seeds per arm; a verdict needs 6 or more.")] = 10,
    budget: Budget = None,
    trial_limit: TrialLimit = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    baseline: Annotated[
        str | None,
        spec_option("Activation that the others are compared with; by default the model as it is.", arm=True),
    ] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(
            help="Sites that arms swap, such as 'encoder.*', relu or '*'; by default those of the main function. Repeatable.",
            metavar="PATTERN",
        ),
    ] = None,
    init: Annotated[
        str,
        typer.Option(
            help="fixed: the model's own; matched: the gain of each function.", callback=choice("fixed", "matched")
        ),
    ] = "fixed",
    tune: Annotated[
        str | None,
        typer.Option(help="lr: tune the learning rate, with the same budget for every arm.", callback=choice("lr")),
    ] = None,
    store: Store = None,
    name: Annotated[str | None, typer.Option(help="Name of the study; by default made from the plan.")] = None,
    rope: Annotated[
        float | None,
        typer.Option(help="Region of practical equivalence, in the metric's units; by default the task's."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Error rate of the whole study.")] = 0.05,
    accept_changes: AcceptChanges = False,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and the sites without training.")] = False,
) -> None:
    """Compare activations on a task: the best, and what they cost."""
    settings: dict[str, Any] = {"seeds": seeds, "budget": budget, "jobs": jobs, "baseline": baseline, "init": init}
    settings |= {"sites": sites or None, "tune": tune, "name": name, "rope": rope, "alpha": alpha}
    optional = {"trial_limit": trial_limit, "accept_changes": accept_changes}
    settings |= {option: value for option, value in optional.items() if value}
    if dry_run:
        _print_plan(task, acts, settings, as_json=as_json)
        return
    import actlab
    from actlab.report.terminal.plain_text import PrintableConsole
    from actlab.report.terminal.progress import show_progress

    with show_progress(PrintableConsole(stderr=True), task) as progress:
        study = actlab.compare(task, acts, store=store, progress=progress, **settings)
    verdict = study.verdict()
    _print_verdict(verdict, as_json=as_json)
    if not any(arm.n for arm in verdict.arms):
        raise typer.Exit(FINDING)


def _print_plan(task: str, acts: list[str], settings: dict[str, Any], *, as_json: bool) -> None:
    from actlab.report.terminal.verdict import plan_table
    from actlab.study import draft

    planned = draft(task, acts, **settings)
    print_json(planned.to_dict()) if as_json else print_rich(plan_table(planned))


def _print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        print_json(verdict.to_dict())
        return
    from actlab.report.terminal.verdict import verdict_table

    print_rich(verdict_table(verdict))
    page = command("report", verdict.study, "--store", verdict.store, "--out", "report.html")
    say(f"\nReport:     {page}")
    say("More seeds: the same command with a larger --seeds; finished trials are not repeated")


@example("report")
def report(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Names of studies; by default the latest.", metavar="[STUDY]...")
    ] = None,
    *,
    store: Store = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .html the page; .csv, .md or .tex a table; .svg, .pdf or .png a figure.",
            metavar="FILE",
        ),
    ] = None,
    figure: Annotated[
        str,
        typer.Option(
            help="Figure to write: curves, differences or cost.", callback=choice("curves", "differences", "cost")
        ),
    ] = "differences",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that ActLab did not write.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a study: page, table or figure.

    The page is one HTML file for use offline; a table may have several studies. Without --out, one study is written to report.html,
    and several are printed as a table.
    """
    import actlab
    from actlab.report.html.study_files import write_studies

    names = studies or [actlab.latest_study(store).name]
    loaded = [actlab.load_study(store, name) for name in names]
    if out is None and len(loaded) > 1:
        table = actlab.table(loaded)
        print_json(table.records()) if as_json else say(str(table))
        return
    written = write_studies(loaded, out or Path("report.html"), figure=figure, force=force)
    data = {"study": names[0], "studies": names, "store": loaded[0].store, "page": str(written)}
    print_json(data) if as_json else say(f"Wrote {written} ({', '.join(names)})")


@example("studies")
def studies(store: Store = None, as_json: AsJson = False) -> None:
    """List the studies in a store, oldest first."""
    import actlab
    from actlab.report.terminal.verdict import studies_table

    found = actlab.list_studies(store)
    print_json(found) if as_json else print_rich(studies_table(found))


@example("tasks")
def tasks(imports: Import = None, as_json: AsJson = False) -> None:  # noqa: ARG001 # done by its callback
    """List the built-in tasks with metric and description."""
    from dataclasses import asdict

    from actlab.report.terminal.tasks import tasks_table
    from actlab.tasks.registry import summaries

    found = summaries()
    print_json([asdict(task) for task in found]) if as_json else print_rich(tasks_table(found))
