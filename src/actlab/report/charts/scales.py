"""Axis scales that map values to pixels, with round ticks and handling of outliers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import altair as alt

__all__ = ["Scale", "focus", "scale_around"]

# values further out than this many widths of the important range are not shown
FAR = 3.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Linear or logarithmic scale whose length is known before drawing, so that labels can be placed.

    Attributes:
        low: value at pixel 0.
        high: value at the last pixel.
        pixels: length.
        log: whether the scale is logarithmic.
    """

    low: float
    high: float
    pixels: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the distance of a value from the low end, in pixels."""
        if self.log:
            return self.pixels * math.log(value / self.low) / math.log(self.high / self.low)
        return self.pixels * (value - self.low) / (self.high - self.low)

    def value(self, distance: float) -> float:
        """Return the value at a distance from the low end, the inverse of :meth:`at`."""
        share = distance / self.pixels
        if self.log:
            return self.low * math.exp(share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)

    def beyond(self, value: float) -> int:
        """Return -1 for a value below the scale, 1 for one above, 0 for one on it."""
        return int(value > self.high) - int(value < self.low)

    def to_altair(self) -> alt.Scale:
        """Return the scale for an altair chart."""
        return alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False, zero=False)

    def ticks(self, about: int = 5) -> list[float]:
        """Return approximately ``about`` round values on the scale."""
        ticks = _round_factors(self.low, self.high, about) if self.log else _round_steps(self.low, self.high, about)
        return [tick for tick in ticks if self.low <= tick <= self.high]


def _round_factors(low: float, high: float, about: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        ticks = [mantissa * 10.0**decade for decade in decades for mantissa in mantissas]
        if sum(low <= tick <= high for tick in ticks) >= about - 1:
            break
    return ticks


def _round_steps(low: float, high: float, about: int) -> list[float]:
    unit = 10.0 ** math.floor(math.log10((high - low) / about))
    # of the round steps, the one whose number of ticks is closest to `about`
    steps = (unit * factor for factor in (1, 2, 5, 10))
    step = min(steps, key=lambda size: abs(math.floor(high / size) - math.ceil(low / size) + 1 - about))
    return [round(index * step, 12) for index in range(math.floor(low / step), math.ceil(high / step) + 1)]


def scale_around(values: Iterable[float], pixels: float, *, room: float = 0.06, log: bool = False) -> Scale:
    """Return a scale around ``values``.

    Args:
        values: values to show; those that are not finite are ignored.
        pixels: length.
        room: margin at each end, as a share of the range.
        log: whether to use a logarithmic scale if the values are positive and span a factor of five.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    if log and low > 0 and high > 5 * low:
        margin = (high / low) ** room
        return Scale(low=low / margin, high=high * margin, pixels=pixels, log=True)
    margin = room * (high - low) if high > low else 0.05 * max(abs(high), 1.0)
    return Scale(low=low - margin, high=high + margin, pixels=pixels)


def focus(values: Sequence[float], important: Sequence[float]) -> tuple[float, float]:
    """Return the range of all ``values`` except those far from the ``important`` ones, which would compress the rest.

    Example:
        >>> focus([0.0, 1.0, 2.0, 50.0], [0.0, 1.0])
        (0.0, 2.0)
    """
    low, high = min(important), max(important)
    reach = FAR * (high - low) or math.inf
    near = [value for value in (*values, low, high) if low - reach <= value <= high + reach]
    return min(near), max(near)
