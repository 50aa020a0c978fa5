"""Commands that run and report studies (``compare``, ``studies``, ``report``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, Store, app, command, print_json, print_rich

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["compare", "report", "studies"]


@app.command()
def compare(
    *,
    task: Annotated[
        str, typer.Argument(help="Name of a task (digits, mnist1d, fashion-mnist) or a Python file.", metavar="TASK")
    ],
    acts: Annotated[
        list[str], typer.Argument(help="Activations, such as relu gelu 'swish(beta=learned)'.", metavar="ACT")
    ],
    seeds: Annotated[int, typer.Option(help="Seeds per arm; a verdict needs 6 or more.")] = 10,
    budget: Annotated[
        str | None, typer.Option(help="Start no further trial after this time, such as 90s, 10m or 2h.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Activation that the others are compared with; by default the first.", metavar="ACT"),
    ] = None,
    init: Annotated[str, typer.Option(help="fixed: the model's own; matched: the gain of each function.")] = "fixed",
    tune: Annotated[
        str | None, typer.Option(help="lr: tune the learning rate, with the same budget for every arm.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="URL of the store; by default a SQLite file in this folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study; by default made from the plan.")] = None,
    rope: Annotated[
        float | None,
        typer.Option(help="Region of practical equivalence, in the metric's units; by default the task's."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Error rate of the whole study.")] = 0.05,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan without training.")] = False,
) -> None:
    """Compare activations on a task, and find the best and what they cost."""
    settings: dict[str, Any] = {"seeds": seeds, "budget": budget, "jobs": jobs, "baseline": baseline, "init": init}
    settings |= {"tune": tune, "name": name, "rope": rope, "alpha": alpha}
    if dry_run:
        _print_plan(task, acts, settings, as_json=as_json)
        return
    from rich.console import Console

    import actlab
    from actlab.report.terminal.progress import show_progress

    with show_progress(Console(stderr=True), task) as progress:
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
    typer.echo(f"\nReport:     {page}")
    typer.echo("More seeds: the same command with a larger --seeds; finished trials are not repeated")


@app.command()
def studies(store: Store, as_json: AsJson = False) -> None:
    """List the studies in a store."""
    import actlab
    from actlab.report.terminal.verdict import studies_table

    found = actlab.list_studies(store)
    print_json(found) if as_json else print_rich(studies_table(found))


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="Name of the study.", metavar="STUDY")],
    store: Store,
    out: Annotated[Path, typer.Option(help="HTML file to write.", metavar="FILE.html")],
    as_json: AsJson = False,
) -> None:
    """Write the report of a study as one HTML file, for use offline."""
    import actlab

    written = actlab.load_study(store, study).report(out)
    print_json({"study": study, "store": store, "page": str(written)}) if as_json else typer.echo(f"Wrote {written}")
