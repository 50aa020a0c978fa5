"""Crossings: from how many elements on kernels beat what torch has, as a table for the terminal."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.bench.crossover import Calibration

__all__ = ["crossing_table"]

SHOWN = (2**12, 2**16, 2**20, 2**24)  # sizes that a terminal has room for


def crossing_table(found: Calibration) -> RenderableType:
    """Return the sizes from which kernels run, and how often as quick as torch they are at some."""
    sizes = [size for size in SHOWN if any(size in one.times for one in found.crossings)]
    headings = ["function", "dtype", "kernel from", *(f"x at {_short(size)}" for size in sizes)]
    rows = [
        [
            one.name,
            one.dtype,
            "never" if isinf(one.fewest) else _short(int(one.fewest)),
            *(f"{one.times[size]:.2f}" if size in one.times else "" for size in sizes),
        ]
        for one in found.crossings
    ]
    threads = f"{found.threads} thread{'s' if found.threads != 1 else ''}"
    kept = f"Kept in {found.file}; layers that are made from now on go by it." if found.file else "Not kept."
    note = (
        f"Measured on this machine's {found.device}, {threads}. x: how often as quick as torch's own, the worse of forward alone and of "
        f"both passes. {kept}"
    )
    return Group(grid(headings, rows, right=headings[2:]), Padding(Text(note, style="dim"), (1, 0, 0, 0)))


def _short(size: int) -> str:
    """Return a number of elements as the bench reads it.

    Example:
        >>> _short(65536), _short(2**24), _short(256)
        ('64k', '16M', '256')
    """
    for unit, name in ((2**20, "M"), (2**10, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
