"""Curve of a metric against the severity of a corruption, with its area and the share that is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from actlab.tasks.task import Direction

__all__ = ["SeverityCurve", "kept_share"]


@dataclass(frozen=True, kw_only=True)
class SeverityCurve:
    """Values of a metric by severity.

    Attributes:
        severities: from 0, the clean inputs, to 1, rising.
        values: of the metric.

    Example:
        >>> SeverityCurve(severities=(0.0, 0.5, 1.0), values=(1.0, 0.8, 0.4)).area
        0.75
    """

    severities: Sequence[float]
    values: Sequence[float]

    @property
    def clean(self) -> float:
        """The value of clean inputs."""
        return self.values[0]

    @property
    def area(self) -> float:
        """Area under the curve, which is the mean over severities from 0 to 1; NaN where a value is no finite number."""
        if not all(math.isfinite(value) for value in self.values):
            return math.nan
        pairs = pairwise(zip(self.severities, self.values, strict=True))
        return sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairs)

    def kept(self, direction: Direction) -> float:
        """Return the share of the clean metric that is kept, see :func:`kept_share`."""
        return kept_share(self.clean, self.area, direction)


def kept_share(clean: float, area: float, direction: Direction) -> float:
    """Return area over clean metric, or clean metric over area where smaller is better; NaN where these are no sizes.

    Args:
        clean: metric of clean inputs.
        area: of the metric over severities.
        direction: of the metric.

    Example:
        >>> kept_share(0.9, 0.45, "max"), kept_share(2.0, 4.0, "min")
        (0.5, 0.5)
    """
    above, below = (area, clean) if direction == "max" else (clean, area)
    if not (math.isfinite(above) and math.isfinite(below)) or below <= 0 or clean < 0 or area < 0:
        return math.nan
    return above / below
