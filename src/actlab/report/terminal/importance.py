"""Importances: what a model's activations are worth, and what adaptive ones have learned, as tables for the terminal, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import NOTHING, fixed, interval, signed
from actlab.report.content.importance import SHAPE_LEGEND, headline, legend, places_of, shape_rows
from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.diagnostics.appraise import Appraisal
    from actlab.diagnostics.importance import Importance
    from actlab.nn.probes.learned_curves import Shape
    from actlab.stats.paired_effect import Effect

__all__ = ["appraisal_table", "importance_table", "shapes_table"]

_SITES = ("site", "runs", "R²", "as a line", "95% interval", "", "as a constant", " ")

_STEPS = ("lines", "and this one", "R² there", "lost so far", "interval", "within")

_MARKS = "~0: not distinguishable from zero. none: no sample changed by more than rounding."

_SHORT = {"worse": "matters", "better": "better", "none": "none", "not distinguishable from zero": "~0"}


def appraisal_table(found: Appraisal) -> RenderableType:
    """Return all of an appraisal for a terminal."""
    parts = [Text(f"{found.name}: {headline(found.importance)}", style="bold"), importance_table(found.importance)]
    if found.shapes:
        parts += [Text("What adaptive activations have learned", style="bold"), shapes_table(found.shapes)]
    return Group(*parts)


def importance_table(found: Importance) -> RenderableType:
    """Return the sites in the order in which they run, and the lines put in one after another, for a terminal."""
    places = places_of(found)
    rows = [
        [row.path, row.spec, fixed(row.r2, 3), *_cells(row.linearised, places), *_cells(row.ablated, places)[::2]]
        for row in found
    ]
    table = grid(_SITES, rows, right=[name for name in _SITES[2:] if name.strip()])
    steps = [
        [
            str(number),
            step.path,
            fixed(step.r2, 3),
            signed(step.total.mean, places),
            interval((step.total.low, step.total.high), places, sign=True),
            "yes" if step.within else "no",
        ]
        for number, step in enumerate(found.steps, 1)
    ]
    together = grid(_STEPS, steps, right=("lines", "R² there", "lost so far", "interval"))
    remarks = [Text(line, style="dim") for line in (*legend(found), _MARKS)]
    return Group(Padding(table, (1, 0)), Padding(together, (0, 0, 1, 0)), *remarks)


def _cells(effect: Effect, places: int) -> list[str]:
    if effect.state == "none":
        return [signed(0.0, places), NOTHING, _SHORT["none"]]
    ends = interval((effect.low, effect.high), places, sign=True)
    return [signed(effect.mean, places), ends, _SHORT[effect.state]]


def shapes_table(found: Sequence[Shape]) -> RenderableType:
    """Return what adaptive activations have learned, a line for each, for a terminal."""
    headings, rows = shape_rows(found)
    table = Padding(grid(headings, rows, right=headings[2:3] + headings[4:]), (1, 0))
    return Group(table, Text(SHAPE_LEGEND, style="dim"))
