"""Number formatting for metrics, differences, probabilities, sizes and durations.

Terminal, pages and charts use the same functions. A missing number (None, NaN or infinite) is a dash, never a zero.
"""

from __future__ import annotations

import math
from typing import TypeGuard

from actlab.system.plural import plural

__all__ = [
    "MINUS",
    "MISSING",
    "chance",
    "count",
    "decimals",
    "duration",
    "fixed",
    "interval",
    "p_value",
    "percent",
    "plain",
    "plural",
    "ratio",
    "short_time",
    "signed",
    "size",
]

_MOST_PLACES = 6
_LEAST_EXPONENT = -4

MISSING = "—"
MINUS = "−"  # noqa: RUF001 the typographic minus is as wide as the plus, so that columns of differences align


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def decimals(*widths: float | None) -> int:
    """Return the number of decimals (at least 1) that shows the smallest of some widths (of intervals, a ROPE) with two digits.

    Example:
        >>> decimals(0.012, 0.4)
        3
    """
    known = [abs(width) for width in widths if _known(width) and width != 0]
    return max(1, 1 - math.floor(math.log10(min(known)))) if known else 3


def _written(value: float, places: int, sign: str = "") -> str:
    """Return a number with its decimals, at most six; a number below 0.0001 that has more to show as a power of ten."""
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if places > _MOST_PLACES and value and exponent < _LEAST_EXPONENT:
        return f"{value:{sign}.{min(_MOST_PLACES, max(0, places + exponent))}e}"
    return f"{value:{sign}.{min(places, _MOST_PLACES)}f}"


def fixed(value: float | None, places: int) -> str:
    """Return ``value`` with ``places`` decimals; with more than six a small number as a power of ten.

    Example:
        >>> fixed(0.97621, 4), fixed(1.2345e-7, 9)[:4], fixed(None, 4)
        ('0.9762', '1.23', '—')
    """
    return _written(value, places).replace("-", MINUS) if _known(value) else MISSING


def signed(value: float | None, places: int) -> str:
    """Return a difference with its sign.

    Example:
        >>> signed(0.00702, 4)
        '+0.0070'
    """
    return _written(value, places, "+").replace("-", MINUS) if _known(value) else MISSING


def interval(ends: tuple[float | None, float | None] | None, places: int, *, sign: bool = False) -> str:
    """Return an interval in brackets, each end with ``places`` decimals and optionally its sign.

    Example:
        >>> interval((0.9, 1.1), 1, sign=True)
        '[+0.9, +1.1]'
    """
    if ends is None or not all(map(_known, ends)):
        return MISSING
    write = signed if sign else fixed
    return f"[{write(ends[0], places)}, {write(ends[1], places)}]"


def plain(value: float | None, digits: int = 3) -> str:
    """Return a number with at most ``digits`` significant digits and no trailing zeros.

    Example:
        >>> plain(0.0050), plain(12.0), plain(0.123456, 5)
        ('0.005', '12', '0.12346')
    """
    return f"{value:.{digits}g}".replace("-", MINUS) if _known(value) else MISSING


def percent(share: float | None) -> str:
    """Return a share in percent with three significant digits.

    Example:
        >>> percent(0.1234), percent(0.0)
        ('12.3%', '0%')
    """
    return f"{plain(100 * share)}%" if _known(share) else MISSING


def p_value(value: float | None) -> str:
    """Return a p value with three decimals, or ``<0.001``.

    Example:
        >>> p_value(0.04), p_value(2e-7)
        ('0.040', '<0.001')
    """
    if not _known(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def chance(value: float | None) -> str:
    """Return a probability in whole percent; 0% and 100% are shown only for exactly 0 and 1.

    Example:
        >>> chance(0.812), chance(0.999), chance(1.0)
        ('81%', '>99%', '100%')
    """
    if not _known(value):
        return MISSING
    if 0 < value < 0.01:
        return "<1%"
    if 0.99 < value < 1:
        return ">99%"
    return f"{100 * value:.0f}%"


def ratio(value: float | None) -> str:
    """Return a factor, such as the step time relative to the baseline.

    Example:
        >>> ratio(1.0912)
        '1.09x'
    """
    return f"{value:.2f}x" if _known(value) else MISSING


def _scaled(value: float, step: float, units: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= 0.9995 * step and power < len(units) - 1:
        value, power = value / step, power + 1
    return f"{value:.0f}{units[0]}" if power == 0 else f"{value:.3g}{units[power]}"


def count(value: float | None) -> str:
    """Return a number of parameters with three digits and a decimal unit.

    Example:
        >>> count(12_812), count(940)
        ('12.8k', '940')
    """
    return _scaled(value, 1000, ("", "k", "M", "G", "T")) if _known(value) else MISSING


def size(value: float | None) -> str:
    """Return a number of bytes with a decimal unit.

    Example:
        >>> size(3_480_000)
        '3.48 MB'
    """
    return _scaled(value, 1000, (" B", " kB", " MB", " GB", " TB")) if _known(value) else MISSING


def duration(seconds: float | None) -> str:
    """Return a duration in seconds, minutes or hours.

    Example:
        >>> duration(8), duration(72.4), duration(7500)
        ('8 s', '1:12 min', '2:05 h')
    """
    if not _known(seconds):
        return MISSING
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s" if seconds >= 10 or rounded == seconds else f"{seconds:.1f} s"
    if rounded < 3600:
        return f"{rounded // 60}:{rounded % 60:02d} min"
    return f"{rounded // 3600}:{rounded % 3600 // 60:02d} h"


def short_time(seconds: float) -> str:
    """Return a time from nanoseconds to seconds with three digits.

    Example:
        >>> short_time(0.01234), short_time(45.6e-6)
        ('12.3 ms', '45.6 µs')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
