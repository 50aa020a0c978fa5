"""Terminal tables of activation importance and of learned shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import MISSING, fixed, interval, signed
from actlab.report.content.model.importance import (
    SHAPE_LEGEND,
    effect_label,
    headline,
    importance_decimals,
    legend,
    shape_rows,
)
from actlab.report.terminal.text_table import text_table

if TYPE_CHECKING:
    from actlab.diagnostics.appraise import Appraisal
    from actlab.diagnostics.importance_result import Importance
    from actlab.nn.probes.learned_curves import Shape
    from actlab.stats.paired_effect import Effect

__all__ = ["appraisal_table", "importance_table", "shapes_table"]

# the columns of the conclusions have headings of spaces, which must differ
_SITES = ("site", "activation", "R²", "linearised", "95% interval", "", "constant", " ")
_STEPS = ("linearised", "last site", "R²", "worse by", "95% interval", "within tolerance")


def appraisal_table(appraisal: Appraisal) -> RenderableType:
    """Return an appraisal for the terminal."""
    importance = appraisal.importance
    parts = [Text(f"{appraisal.name}: {headline(importance)}", style="bold"), importance_table(importance)]
    if appraisal.shapes:
        parts += [Text("Learned shapes of adaptive activations", style="bold"), shapes_table(appraisal.shapes)]
    return Group(*parts)


def importance_table(importance: Importance) -> RenderableType:
    """Return the sites in order of execution, and the cumulative linearisation, for the terminal."""
    places = importance_decimals(importance)
    rows = [
        [row.path, row.spec, fixed(row.r2, 3), *_cells(row.linearised, places), *_cells(row.ablated, places)[::2]]
        for row in importance
    ]
    table = text_table(_SITES, rows, right=[name for name in _SITES[2:] if name.strip()])
    steps = [
        [
            str(number),
            step.path,
            fixed(step.r2, 3),
            signed(step.total.mean, places),
            interval((step.total.low, step.total.high), places, sign=True),
            "yes" if step.within else "no",
        ]
        for number, step in enumerate(importance.steps, 1)
    ]
    cumulative = text_table(_STEPS, steps, right=(_STEPS[0], *_STEPS[2:5]))
    remarks = [Text(line, style="dim") for line in legend(importance)]
    return Group(Padding(table, (1, 0)), Padding(cumulative, (0, 0, 1, 0)), *remarks)


def _cells(effect: Effect, places: int) -> list[str]:
    if effect.state == "none":
        return [signed(0.0, places), MISSING, effect_label(effect)]
    ends = interval((effect.low, effect.high), places, sign=True)
    return [signed(effect.mean, places), ends, effect_label(effect)]


def shapes_table(shapes: Sequence[Shape]) -> RenderableType:
    """Return the learned shapes of adaptive activations for the terminal, one line each."""
    if not shapes:
        return Text("No activation of this model has learned parameters.")
    headings, rows = shape_rows(shapes)
    table = Padding(text_table(headings, rows, right=headings[2:3] + headings[4:]), (1, 0))
    return Group(table, Text(SHAPE_LEGEND, style="dim"))
