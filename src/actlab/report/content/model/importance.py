"""Headline, legend and table rows of an importance measurement and of learned shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from actlab.report.content.format import decimals, plain
from actlab.system.plural import plural

if TYPE_CHECKING:
    from actlab.diagnostics.importance_result import Importance
    from actlab.nn.probes.learned_curves import Shape
    from actlab.stats.paired_effect import Effect

__all__ = ["SHAPE_LEGEND", "effect_label", "headline", "importance_decimals", "legend", "shape_rows", "worsening"]

_LABELS = {"worse": "worse", "better": "better", "none": "no change", "not distinguishable from zero": "n.s."}

SHAPE_LEGEND = (
    "From, to: range over which the curves are compared, which holds 99.8 % of the activation's inputs. Distance: root mean squared "
    "difference to the initial curve over that range, as the mean over units and the maximum."
)


def importance_decimals(importance: Importance) -> int:
    """Return the number of decimals for the narrowest interval of the table."""
    widths = [effect.high - effect.low for row in importance for effect in (row.linearised, row.ablated)]
    return decimals(*(width for width in widths if width > 0))


def effect_label(effect: Effect) -> str:
    """Return the conclusion from an effect: worse, better, no change or n.s. (not significant)."""
    return _LABELS[effect.state]


def worsening(importance: Importance) -> str:
    """Return the name of what the effects measure, such as "increase of loss"."""
    return f"{'increase' if importance.direction == 'min' else 'decrease'} of {importance.measure}"


def headline(importance: Importance) -> str:
    """Return the result in one sentence."""
    count = f"{len(importance.together)} of {plural(len(importance), 'activation')}"
    linear = (
        f"{count} can be linearised together within a tolerance of {plain(importance.tolerance)} ({importance.measure})"
    )
    most = next((row for row in importance.ranked if row.linearised.state == "worse"), None)
    if most is not None:
        return f"{linear}; the most important one is at {most.path}"
    return f"{linear}; linearising a single one has no significant effect"


def legend(importance: Importance) -> Iterator[str]:
    """Yield the meaning of the columns, and the sites that were left out."""
    better = "smaller" if importance.direction == "min" else "larger"
    yield (
        f"Measured: {importance.measure} ({better} is better), {plain(importance.baseline)} for the unchanged model, on "
        f"{plural(importance.samples, 'held-out sample')}; lines fitted to {plural(importance.calibration, 'sample')}, one per "
        f"{'channel' if importance.per_channel else 'site'}."
    )
    yield (
        f"Linearised, constant: {worsening(importance)} when the site is replaced by its best linear fit, or by its mean output; "
        "95% interval of the difference, paired by sample, not corrected."
    )
    yield (
        f"Worse, better: significant after Holm's correction over the {2 * len(importance)} tests of the table, at an error rate of "
        f"{plain(importance.alpha)} for all of them; n.s.: not significant; no change: no sample changed by more than "
        "rounding. R²: share of the outputs' variance that the line explains."
    )
    yield (
        "Linearised together: sites are linearised one after another, each fitted in the model with the lines before it; within tolerance: "
        f"the upper end of the interval is at most {plain(importance.tolerance)}. The order was chosen on the same samples; confirm it on "
        "others."
    )
    for path, reason in importance.unseen.items():
        yield f"Not replaced: {path}: {reason}."


def shape_rows(shapes: Sequence[Shape]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return headings and cells of the table of learned shapes."""
    headings = ("site", "activation", "units", "learned", "from", "to", "distance", "maximum")
    return headings, [_shape_cells(shape) for shape in shapes]


def _shape_cells(shape: Shape) -> list[str]:
    learned = ", ".join(f"{name} {_span(values)}" for name, values in shape.parameters.items())
    numbers = (float(shape.x[0]), float(shape.x[-1]), float(shape.distance.mean()), float(shape.distance.max()))
    return [shape.path, shape.spec, str(len(shape.y)), learned, *map(plain, numbers)]


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return plain(low) if low == high else f"{plain(low)} to {plain(high)}"
