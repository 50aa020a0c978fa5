"""What an appraisal says: headline, legend and rows, without a medium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from actlab.report.content.format import decimals, plain

if TYPE_CHECKING:
    from actlab.diagnostics.importance import Importance
    from actlab.nn.probes.learned_curves import Shape
    from actlab.stats.paired_effect import Effect

__all__ = ["SHAPE_LEGEND", "headline", "legend", "places_of", "said", "shape_rows"]

_SAID = {"worse": "matters", "better": "better without", "none": "no difference"}

SHAPE_LEGEND = (
    "From, to: the inputs that the curves are compared over, 0.1 % to 99.9 % of what the activation sees. Moved: root of the mean squared "
    "difference to where a unit began, over that range; mean over units, and the most."
)


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
