"""Scales: from values to pixels and back, round ticks, and what part of the values deserves the room."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import altair as alt

__all__ = ["Scale", "focus", "scale_around"]

FAR = 3.0  # what lies further out than this many widths of the important part is shown as an arrow


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear or logarithmic scale whose pixels are known before drawing, so that labels can be placed.

    Attributes:
        low: value at pixel 0.
        high: value at the last pixel.
        pixels: length.
        log: whether equal distances are equal factors.
    """

    low: float
    high: float
    pixels: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the distance of ``value`` from the low end, in pixels."""
        if self.log:
            return self.pixels * math.log(value / self.low) / math.log(self.high / self.low)
        return self.pixels * (value - self.low) / (self.high - self.low)

    def value(self, distance: float) -> float:
        """Return the value at a distance from the low end: the inverse of :meth:`at`."""
        share = distance / self.pixels
        if self.log:
            return self.low * math.exp(share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)

    def beyond(self, value: float) -> int:
        """Return -1 for a value below the scale, 1 for one above it, 0 for one on it."""
        return int(value > self.high) - int(value < self.low)

    def described(self) -> alt.Scale:
        """Return the scale as a chart takes it."""
        return alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False, zero=False)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values on the scale, about so many."""
        found = _round_factors(self.low, self.high, about) if self.log else _round_steps(self.low, self.high, about)
        return [tick for tick in found if self.low <= tick <= self.high]


def _round_factors(low: float, high: float, about: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        found = [mantissa * 10.0**decade for decade in decades for mantissa in mantissas]
        if sum(low <= tick <= high for tick in found) >= about - 1:
            break
    return found


def _round_steps(low: float, high: float, about: int) -> list[float]:
    unit = 10.0 ** math.floor(math.log10((high - low) / about))
    steps = (unit * factor for factor in (1, 2, 5, 10))
    step = min(
        steps, key=lambda size: abs(math.floor(high / size) - math.ceil(low / size) + 1 - about)
    )  # ticks there are
    return [round(index * step, 12) for index in range(math.floor(low / step), math.ceil(high / step) + 1)]


def scale_around(values: Iterable[float], pixels: float, *, room: float = 0.06, log: bool = False) -> Scale:
    """Return a scale around ``values``.

    Args:
        values: what is to be shown; those that are not finite are ignored.
        pixels: length.
        room: share of the range left free at each end.
        log: whether it is logarithmic where the values are positive and span a factor of five.
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known), max(known)
    if log and low > 0 and high > 5 * low:
        margin = (high / low) ** room
        return Scale(low=low / margin, high=high * margin, pixels=pixels, log=True)
    margin = room * (high - low) if high > low else 0.05 * max(abs(high), 1.0)
    return Scale(low=low - margin, high=high + margin, pixels=pixels)


def focus(values: Sequence[float], important: Sequence[float]) -> tuple[float, float]:
    """Return the range to show: all ``values`` but those far out from the ``important`` ones.

    One hopeless arm would otherwise press all the others into a line.

    Example:
        >>> focus([0.0, 1.0, 2.0, 50.0], [0.0, 1.0])
        (0.0, 2.0)
    """
    low, high = min(important), max(important)
    reach = FAR * (high - low) or math.inf
    near = [value for value in (*values, low, high) if low - reach <= value <= high + reach]
    return min(near), max(near)
