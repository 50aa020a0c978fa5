"""Commands on studies: compare, studies, report."""
# ruff: noqa: PLC0415 imports stand inside the commands, so that `actlab --help` waits for none of torch, SymPy and altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, Store, app, command, print_json, print_rich

__all__ = ["compare", "report", "studies"]


@app.command()
def compare(
    *,
    task: Annotated[
        str, typer.Argument(help="Name of a task (digits, mnist1d, fashion-mnist) or a Python file.", metavar="TASK")
    ],
    acts: Annotated[
        list[str], typer.Argument(help="Activations, like relu gelu 'swish(beta=learned)'.", metavar="ACT")
    ],
    seeds: Annotated[int, typer.Option(help="How many seeds every arm gets; 6 is the least for a verdict.")] = 10,
    budget: Annotated[str | None, typer.Option(help="Stop starting trials after this time, like 90s, 10m, 2h.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="What the others are held against; by default the first.", metavar="ACT")
    ] = None,
    init: Annotated[str, typer.Option(help="fixed: the model's own; matched: gain per function.")] = "fixed",
    tune: Annotated[str | None, typer.Option(help="lr: tune the learning rate, the same budget for every arm.")] = None,
    store: Annotated[
        str | None, typer.Option(help="URL of the store; by default a SQLite file in this folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study; by default made from the plan.")] = None,
    rope: Annotated[
        float | None, typer.Option(help="Differences up to this, in the metric's units, count as none.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Error rate of the whole study.")] = 0.05,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")] = False,
) -> None:
    """Find the best activations for a task, and what they cost."""
    from rich.console import Console

    import actlab
    from actlab.report.terminal import progress
    from actlab.report.terminal import verdict as tables
    from actlab.study import draft

    settings: dict[str, Any] = {
        "seeds": seeds,
        "budget": budget,
        "jobs": jobs,
        "baseline": baseline,
        "init": init,
        "tune": tune,
    }
    settings |= {"name": name, "rope": rope, "alpha": alpha}
    if dry_run:
        planned = draft(task, acts, **settings)
        print_json(planned.to_dict()) if as_json else print_rich(tables.plan_table(planned))
        return
    with progress.shown(Console(stderr=True), task) as report:
        study = actlab.compare(task, acts, store=store, progress=report, **settings)
    verdict = study.verdict()
    if as_json:
        print_json(verdict.to_dict())
    else:
        print_rich(tables.verdict_table(verdict))
        typer.echo(
            f"\nPage:       {command('report', verdict.study, '--store', verdict.store, '--out', 'report.html')}"
        )
        typer.echo("Resume:     the same command; with a larger --seeds it adds to what is there")
    if not any(arm.n for arm in verdict.arms):
        raise typer.Exit(FINDING)


@app.command()
def studies(store: Store, as_json: AsJson = False) -> None:
    """List the studies in a store."""
    import actlab
    from actlab.report.terminal import verdict as tables

    found = actlab.list_studies(store)
    print_json(found) if as_json else print_rich(tables.studies_table(found))


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="Name of the study.", metavar="STUDY")],
    store: Store,
    out: Annotated[Path, typer.Option(help="The HTML file to write.", metavar="FILE.html")],
    as_json: AsJson = False,
) -> None:
    """Write the page of a study: one HTML file that needs no network."""
    import actlab

    written = actlab.load_study(store, study).report(out)
    print_json({"study": study, "store": store, "page": str(written)}) if as_json else typer.echo(f"Wrote {written}")
