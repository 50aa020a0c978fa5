"""Importances: what a model's activations are worth, and what adaptive ones have learned, as tables for the terminal, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.amounts import NOTHING, decimals, fixed, interval, plain, signed
from actlab.report.tables import grid

if TYPE_CHECKING:
    from actlab.models.shapes import Shape
    from actlab.studies.appraisal import Appraisal
    from actlab.studies.effect import Effect
    from actlab.studies.importance import Importance

__all__ = [
    "SHAPE_LEGEND",
    "appraisal_table",
    "headline",
    "importance_table",
    "legend",
    "places_of",
    "said",
    "shape_rows",
    "shapes_table",
]

_SITES = ("site", "runs", "R²", "as a line", "95% interval", "", "as a constant", " ")
_STEPS = ("lines", "and this one", "R² there", "lost so far", "interval", "within")
_SAID = {"worse": "matters", "better": "better without", "none": "no difference"}
_MARKS = "~0: not distinguishable from zero. none: no sample changed by more than rounding."
_SHORT = {"worse": "matters", "better": "better", "none": "none", "not distinguishable from zero": "~0"}
SHAPE_LEGEND = (
    "From, to: the inputs that the curves are compared over, 0.1 % to 99.9 % of what the activation sees. Moved: root of the mean squared "
    "difference to where a unit began, over that range; mean over units, and the most."
)


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


def places_of(found: Importance) -> int:
    """Return the decimals that show the narrowest interval of the table."""
    widths = [effect.high - effect.low for row in found for effect in (row.linearised, row.ablated)]
    return decimals(*(width for width in widths if width > 0))


def said(effect: Effect) -> str:
    """Return what may be said of an effect."""
    return _SAID.get(effect.state, effect.state)


def headline(found: Importance) -> str:
    """Return the answer in a sentence."""
    count = len(found.together)
    lines = f"{count} of {len(found)} activations can be lines together within {plain(found.tolerance)} {found.measure}"
    most = next((row for row in found.ranked if row.linearised.state == "worse"), None)
    if most is not None:
        return f"{lines}; the one at {most.path} matters most"
    return f"{lines}; none can be told from a line when it is exchanged alone"


def legend(found: Importance) -> Iterator[str]:
    """Yield what the numbers mean, and what was left out."""
    better = "smaller" if found.direction == "min" else "larger"
    yield (
        f"Measured: {found.measure} ({better} is better), {plain(found.baseline)} as the model is, on {found.samples} samples that the "
        f"fit did not see; lines fitted to {found.calibration} samples, one for each {'channel' if found.per_channel else 'site'}."
    )
    yield (
        "As a line, as a constant: how much worse the model is with the best affine fit of the site, or the mean of its outputs, in its "
        "place; 95% interval of the paired difference over samples, of each alone."
    )
    yield (
        f"p: of no difference, after Holm's correction over the {2 * len(found)} tests of the table; what is said holds at an error rate "
        f"of {plain(found.alpha)} for all of it. R²: share of the outputs' variance that the line explains."
    )
    yield (
        "More and more lines: sites became lines one after another, each fitted in the net as it then was; within: the upper end of the "
        f"interval is at most {plain(found.tolerance)}. The order was chosen on the same samples: confirm it on others."
    )
    for path, reason in found.unseen.items():
        yield f"Left as it is: {path}: {reason}."


def shapes_table(found: Sequence[Shape]) -> RenderableType:
    """Return what adaptive activations have learned, a line for each, for a terminal."""
    headings, rows = shape_rows(found)
    table = Padding(grid(headings, rows, right=headings[2:3] + headings[4:]), (1, 0))
    return Group(table, Text(SHAPE_LEGEND, style="dim"))


def shape_rows(found: Sequence[Shape]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return headings and cells of the table of shapes."""
    headings = ("site", "runs", "units", "learned", "from", "to", "moved", "most")
    return headings, [_shape_cells(shape) for shape in found]


def _shape_cells(shape: Shape) -> list[str]:
    learned = ", ".join(f"{name} {_span(values)}" for name, values in shape.parameters.items())
    low, high = shape.x[0], shape.x[-1]
    moved = [float(shape.distance.mean()), float(shape.distance.max())]
    return [shape.path, shape.spec, str(len(shape.y)), learned, *(f"{value:.3g}" for value in (low, high, *moved))]


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
