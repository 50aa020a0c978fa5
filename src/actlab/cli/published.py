"""Commands about tables that others have published (``lint``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, example, print_json, print_rich
from actlab.cli.arguments import choice
from actlab.errors import PlanError

__all__ = ["lint"]


def _limits(value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(end) for end in value.split(","))
    except ValueError:
        raise PlanError(f"--limits is {value!r}; two numbers with a comma are needed, such as 0,100.") from None
    return low, high


@example("lint")
def lint(
    table: Annotated[Path, typer.Argument(help="Table of means or of wins, as CSV or Markdown.", metavar="TABLE")],
    *,
    mean: Annotated[str | None, typer.Option(help="Column with the means.", metavar="COLUMN")] = None,
    spread: Annotated[
        str | None,
        typer.Option(help="What stands after ±: sd, se or ci (half width).", callback=choice("sd", "se", "ci")),
    ] = None,
    runs: Annotated[int | None, typer.Option(help="Runs of every row, where no column says it.")] = None,
    direction: Annotated[
        str | None, typer.Option(help="Which is better, max or min.", callback=choice("max", "min"))
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Row that p-values refer to.", metavar="ROW")] = None,
    winner: Annotated[str | None, typer.Option(help="Row that the source calls the best.", metavar="ROW")] = None,
    alpha: Annotated[float, typer.Option(help="Error rate of the statements.")] = 0.05,
    items: Annotated[int | None, typer.Option(help="Test examples of which the mean is a share.")] = None,
    limits: Annotated[
        str | None, typer.Option(help="Smallest and largest possible value, as 0,100.", metavar="LOW,HIGH")
    ] = None,
    paired: Annotated[bool, typer.Option("--paired", help="Printed p-values come from paired runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute a published table; find ties and contradictions.

    The exit code is 1 if a row contradicts itself.
    """
    import actlab
    from actlab.report.terminal.lint import lint_view

    settings: dict[str, Any] = {"mean": mean, "spread": spread, "runs": runs, "direction": direction, "alpha": alpha}
    settings |= {"baseline": baseline, "winner": winner, "items": items, "limits": _limits(limits), "paired": paired}
    found = actlab.lint(table, **settings)
    print_json(found.to_dict()) if as_json else print_rich(lint_view(found))
    if not found.clean:
        raise typer.Exit(FINDING)
