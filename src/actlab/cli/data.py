"""Commands about the data of a task (``audit``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli import arguments
from actlab.cli.app import FINDING, AsJson, example, print_json, print_rich
from actlab.cli.arguments import Import

__all__ = ["audit"]


@example("audit")
def audit(
    source: Annotated[str, arguments.source("A task, or a Python file that defines a task, or only data.", "TASK")],
    *,
    against: Annotated[
        Path | None,
        typer.Option(help="Search test examples in this text or file of token ids (.npy, .bin).", metavar="FILE"),
    ] = None,
    label_errors: Annotated[
        bool, typer.Option("--label-errors", help="Look for wrong labels too, with cleanlab.")
    ] = False,
    error_rate: Annotated[
        float, typer.Option(help="Chance that a check reports anything in data without a fault.")
    ] = 0.01,
    queries: Annotated[
        int, typer.Option(help="Largest number of examples of a split whose near duplicates are searched.")
    ] = 20_000,
    limit: Annotated[
        int | None, typer.Option(help="Read at most so many examples of each split; by default all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the data.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Search a task's data for duplicates, leaks and wrong splits.

    The exit code is 1 if there is a finding.
    """
    import actlab
    from actlab.report.terminal.audit import audit_view
    from actlab.report.terminal.plain_text import PrintableConsole
    from actlab.report.terminal.progress import show_count

    settings: dict[str, Any] = {"against": against, "label_errors": label_errors, "error_rate": error_rate}
    settings |= {"queries": queries, "limit": limit, "seed": seed}
    try:
        with show_count(PrintableConsole(stderr=True), "examples") as progress:
            found = actlab.audit(source, progress=progress, **settings)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped before the end. Run it again, with --limit to read less:") from None
    print_json(found.to_dict()) if as_json else print_rich(audit_view(found))
    if not found.clean:
        raise typer.Exit(FINDING)
