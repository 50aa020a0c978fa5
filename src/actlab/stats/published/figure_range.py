"""Ranges of numbers that a printed figure may stand for, and arithmetic with them.

A printed figure stands for every number less than one unit of its last digit away, so it may have been rounded in any direction or cut
off. Whatever is computed from such ranges contains the result of the unrounded numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Range", "printed"]

_FLOAT32 = (
    2.0**-23
)  # results in float32 that are printed in full differ by less than this share from the unrounded ones
_ROUNDING = 1e-9  # share by which the computations here may be off


@dataclass(frozen=True, kw_only=True)
class Range:
    """Closed interval of numbers.

    Attributes:
        low: smallest number.
        high: largest number, at least ``low``.

    Example:
        >>> Range(low=1.0, high=2.0) - Range(low=0.5, high=3.0)
        Range(low=-2.0, high=1.5)
    """

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(low=self.low + other.low, high=self.high + other.high)

    def __sub__(self, other: Range) -> Range:
        return Range(low=self.low - other.high, high=self.high - other.low)

    def __abs__(self) -> Range:
        ends = sorted((abs(self.low), abs(self.high)))
        return Range(low=0.0 if self.low <= 0 <= self.high else ends[0], high=ends[1])

    def times(self, factor: float) -> Range:
        """Return the range multiplied by a number from 0 up."""
        return Range(low=self.low * factor, high=self.high * factor)

    def over(self, other: Range) -> Range:
        """Return the quotient of two ranges of numbers from 0 up; 0 over 0 is 0."""
        return Range(low=_quotient(self.low, other.high), high=_quotient(self.high, other.low))

    def meets(self, other: Range) -> bool:
        """Return whether two ranges have a number in common, but for rounding of the computation."""
        ends = (self.low, self.high, other.low, other.high)
        slack = _ROUNDING * max((abs(end) for end in ends if math.isfinite(end)), default=0.0)
        return self.low <= other.high + slack and other.low <= self.high + slack


def printed(value: float, unit: float) -> Range:
    """Return what a printed figure may stand for.

    Args:
        value: as printed.
        unit: of its last digit, such as 0.01 for 87.48.

    Example:
        >>> printed(87.5, 0.5)
        Range(low=87.0, high=88.0)
    """
    unit = max(unit, _FLOAT32 * abs(value))
    return Range(low=value - unit, high=value + unit)


def _quotient(above: float, below: float) -> float:
    if below <= 0:
        return math.inf if above > 0 else 0.0
    return above / below
