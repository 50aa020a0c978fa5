"""Plot of one curve as lines of Braille characters, each of two by four dots."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["curve"]

# bit of each dot in a character, by column and row from the top (Unicode block 2800)
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
BLANK = 0x2800


def curve(values: Sequence[float], *, width: int, height: int, low: float, high: float) -> list[str]:
    """Return the graph of evenly spaced ``values`` as lines of text from top to bottom.

    Neighbouring dots are connected vertically. Values that are not finite leave a gap; values outside ``low`` and ``high`` are cut off.

    Args:
        values: function values at evenly spaced inputs; two per character suffice.
        width: characters per line.
        height: number of lines.
        low: value at the bottom edge.
        high: value at the top edge.

    Example:
        >>> curve([0.0, 1.0], width=1, height=1, low=0.0, high=1.0)
        ['⡸']
    """
    cells = [[BLANK] * width for _ in range(height)]
    rows = [_row(value, low, high, 4 * height) for value in _resampled(values, 2 * width)]
    before: int | None = None
    for x, row in enumerate(rows):
        if row is None:
            before = None
            continue
        start = row if before is None else before + (row > before) - (row < before)
        for y in range(min(start, row), max(start, row) + 1):
            if 0 <= y < 4 * height:
                cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
        before = row
    return ["".join(map(chr, line)) for line in cells]


def _resampled(values: Sequence[float], count: int) -> list[float]:
    last = len(values) - 1
    return [values[round(index * last / (count - 1))] for index in range(count)]


def _row(value: float, low: float, high: float, rows: int) -> int | None:
    """Return the row of dots from the top; one row outside for values that are cut off."""
    if not math.isfinite(value) or high <= low:
        return None
    return max(-1, min(rows, round((high - value) / (high - low) * (rows - 1))))
