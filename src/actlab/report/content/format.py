"""Amounts as text: metrics, differences, chances, sizes, durations.

The terminal and the page write every number the same way. A missing number (None, NaN) is always a
dash, so that nobody takes it for a zero.
"""

from __future__ import annotations

import math
from typing import TypeGuard

__all__ = [
    "MINUS",
    "NOTHING",
    "chance",
    "count",
    "decimals",
    "duration",
    "fixed",
    "interval",
    "p_value",
    "plain",
    "ratio",
    "signed",
    "size",
]

NOTHING = "—"
MINUS = "−"  # noqa: RUF001 the typographic minus is as wide as the plus, so that columns of differences line up


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def decimals(*widths: float | None) -> int:
    """Decimals that give the smallest of ``widths`` (interval widths, a ROPE) two significant digits; from 1 to 6.

    Example:
        >>> decimals(0.012, 0.4)
        3
    """
    known = [abs(width) for width in widths if _known(width) and width != 0]
    return min(6, max(1, 1 - math.floor(math.log10(min(known))))) if known else 3


def fixed(value: float | None, places: int) -> str:
    """Return ``value`` with ``places`` decimals.

    Example:
        >>> fixed(0.97621, 4), fixed(None, 4)
        ('0.9762', '—')
    """
    return f"{value:.{places}f}".replace("-", MINUS) if _known(value) else NOTHING


def signed(value: float | None, places: int) -> str:
    """Return a difference, always with its sign.

    Example:
        >>> signed(0.00702, 4)
        '+0.0070'
    """
    return f"{value:+.{places}f}".replace("-", MINUS) if _known(value) else NOTHING


def interval(ends: tuple[float | None, float | None] | None, places: int, *, sign: bool = False) -> str:
    """Return an interval in brackets, each end with ``places`` decimals and, on request, its sign.

    Example:
        >>> interval((0.9, 1.1), 1, sign=True)
        '[+0.9, +1.1]'
    """
    if ends is None or not all(map(_known, ends)):
        return NOTHING
    write = signed if sign else fixed
    return f"[{write(ends[0], places)}, {write(ends[1], places)}]"


def plain(value: float | None) -> str:
    """Return a number with as many digits as it needs, three significant ones at most (a ROPE, a learning rate).

    Example:
        >>> plain(0.0050), plain(12.0)
        ('0.005', '12')
    """
    return f"{value:.3g}".replace("-", MINUS) if _known(value) else NOTHING


def p_value(value: float | None) -> str:
    """Return a p value with three decimals; below 0.001 only that it is below.

    Example:
        >>> p_value(0.04), p_value(2e-7)
        ('0.040', '<0.001')
    """
    if not _known(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def chance(value: float | None) -> str:
    """Return a probability in whole per cent; only certainty is written as 0 or 100.

    Example:
        >>> chance(0.812), chance(0.999), chance(1.0)
        ('81%', '>99%', '100%')
    """
    if not _known(value):
        return NOTHING
    if 0 < value < 0.01:
        return "<1%"
    if 0.99 < value < 1:
        return ">99%"
    return f"{100 * value:.0f}%"


def ratio(value: float | None) -> str:
    """Return a factor, as of step time against the baseline.

    Example:
        >>> ratio(1.0912)
        '1.09x'
    """
    return f"{value:.2f}x" if _known(value) else NOTHING


def _scaled(value: float, step: float, units: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= 0.9995 * step and power < len(units) - 1:
        value, power = value / step, power + 1
    return f"{value:.0f}{units[0]}" if power == 0 else f"{value:.3g}{units[power]}"


def count(value: float | None) -> str:
    """Return a count of parameters with three digits.

    Example:
        >>> count(12_812), count(940)
        ('12.8k', '940')
    """
    return _scaled(value, 1000, ("", "k", "M", "G", "T")) if _known(value) else NOTHING


def size(value: float | None) -> str:
    """Return a size in bytes with decimal units.

    Example:
        >>> size(3_480_000)
        '3.48 MB'
    """
    return _scaled(value, 1000, (" B", " kB", " MB", " GB", " TB")) if _known(value) else NOTHING


def duration(seconds: float | None) -> str:
    """Return a duration as a person says it: ``8 s``, ``1:12 min``, ``2:05 h``.

    Example:
        >>> duration(72.4)
        '1:12 min'
    """
    if not _known(seconds):
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 10 or whole == seconds else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
