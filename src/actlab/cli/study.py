"""Commands that run and report studies (``compare``, ``report``, ``studies``, ``tasks``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, command, example, print_json, print_rich, say
from actlab.cli.arguments import AcceptChanges, Arms, Budget, CheckpointEvery, Import, Store, Task, TrialLimit, choice
from actlab.cli.compare_options import (
    Alpha,
    Baseline,
    Device,
    Direction,
    DryRun,
    Evaluate,
    Init,
    Jobs,
    JobsPerDevice,
    Metric,
    Name,
    Rate,
    Rope,
    Script,
    Seeds,
    Sites,
    Stack,
    Target,
    Threads,
    Tune,
)
from actlab.errors import ActlabError
from actlab.system import collector, native_threads

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["compare", "report", "studies", "tasks"]


@example("compare")
def compare(
    *,
    task: Task,
    acts: Arms,
    script: Script = None,
    metric: Metric = None,
    direction: Direction = None,
    lr: Rate = None,
    seeds: Seeds = 10,
    budget: Budget = None,
    trial_limit: TrialLimit = None,
    checkpoint_every: CheckpointEvery = "1m",
    jobs: Jobs = None,
    device: Device = None,
    jobs_per_device: JobsPerDevice = None,
    threads: Threads = None,
    baseline: Baseline = None,
    sites: Sites = None,
    init: Init = "fixed",
    tune: Tune = None,
    target: Target = None,
    store: Store = None,
    name: Name = None,
    rope: Rope = None,
    alpha: Alpha = 0.05,
    evaluate: Evaluate = None,
    stack: Stack = None,
    accept_changes: AcceptChanges = False,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Compare activations on a task: the best, and what they cost."""
    settings: dict[str, Any] = {"seeds": seeds, "budget": budget, "jobs": jobs, "baseline": baseline, "init": init}
    settings |= {"sites": sites or None, "tune": tune, "name": name, "rope": rope, "alpha": alpha}
    optional = {
        "trial_limit": trial_limit,
        "target": target,
        "evaluate": evaluate,
        "accept_changes": accept_changes,
        "checkpoint_every": checkpoint_every,
    }
    settings |= {option: value for option, value in optional.items() if value}
    hardware = {"stack": stack, "device": device, "jobs_per_device": jobs_per_device, "threads": threads}
    settings |= {option: value for option, value in hardware.items() if value is not None}
    source = _source(task, script, {"metric": metric, "direction": direction, "lr": lr})
    if dry_run:
        _print_plan(source, acts, settings, as_json=as_json)
        return
    with collector.paused(), native_threads.blas_on_one_thread():  # so that the first trial begins soon
        import actlab.study
        from actlab.report.terminal.plain_text import PrintableConsole
        from actlab.report.terminal.progress import show_progress

    with show_progress(PrintableConsole(stderr=True), _title(source)) as progress:
        study = actlab.compare(source, acts, store=store, progress=progress, **settings)
    verdict = study.verdict()
    _print_verdict(verdict, as_json=as_json)
    if not any(arm.n for arm in verdict.arms):
        raise typer.Exit(FINDING)


def _source(task: str, script: str | None, options: Mapping[str, Any]) -> Any:
    """Return the task, or the script that is in its place."""
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if script is None and given:
        raise ActlabError(f"{given[0]} goes with --script; a task has its own. Did you mean --script '... {task} ...'?")
    if script is None:
        return task
    from actlab.tasks.scripts.script import Script

    return Script(script, **options)


def _title(source: Any) -> str:
    """Return the name of what runs, for the progress: of a script the path, without its arguments."""
    if isinstance(source, str):
        return source
    from actlab.tasks.scripts.command import script_file

    return str(script_file(source.words) or source.words[0])


def _print_plan(task: Any, acts: list[str], settings: dict[str, Any], *, as_json: bool) -> None:
    with collector.paused(), native_threads.blas_on_one_thread():
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
    if any(arm.n for arm in verdict.arms):
        say("More seeds: the same command with a larger --seeds; finished trials are not repeated")
    else:
        say(
            "Next:       correct what the notes on arms name, and run the same command; a changed file is another study"
        )


_FIGURES = choice("curves", "differences", "cost", "held-out", "reached", "reliability", "severity")


def _figure(value: str, param: typer.CallbackParam) -> str:
    """Return the name of a figure; the study says which curves its axes have."""
    if ":" not in value:
        _FIGURES(value, param)
    return value


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
            help="Figure to write: curves, differences, cost, held-out, reached, reliability, severity, or AXIS:CURVE.",
            callback=_figure,
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
