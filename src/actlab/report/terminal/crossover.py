"""Terminal table of the sizes from which kernels are faster than torch."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from actlab.report.content.format import plural
from actlab.report.terminal.text_table import below, text_table

if TYPE_CHECKING:
    from actlab.bench.crossover import Calibration

__all__ = ["crossover_table"]

# sizes that fit into a terminal
SHOWN = (2**12, 2**16, 2**20, 2**24)


def crossover_table(calibration: Calibration) -> RenderableType:
    """Return the sizes from which kernels run, with their speedup over torch at some sizes."""
    crossings = calibration.crossings
    sizes = [size for size in SHOWN if any(size in crossing.times for crossing in crossings)]
    headings = ["function", "dtype", "kernel from", *(f"speedup at {_size_text(size)}" for size in sizes)]
    rows = [
        [
            crossing.name,
            crossing.dtype,
            "never" if isinf(crossing.fewest) else _size_text(int(crossing.fewest)),
            *(f"{crossing.times[size]:.2f}" if size in crossing.times else "" for size in sizes),
        ]
        for crossing in crossings
    ]
    file = calibration.file
    stored = f"Stored in {file}, which layers built from now on use." if file else "Not stored."
    note = (
        f"Measured on this machine's {calibration.device}, {plural(calibration.threads, 'thread')}. speedup: torch's time divided by the "
        f"kernel's, the smaller one of forward alone and of both passes. {stored}"
    )
    return Group(text_table(headings, rows, right=headings[2:]), below(note))


def _size_text(size: int) -> str:
    """Return a number of elements in the form that ``actlab bench --size`` takes.

    Example:
        >>> _size_text(65536), _size_text(2**24), _size_text(256)
        ('64k', '16M', '256')
    """
    for unit, name in ((2**20, "M"), (2**10, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
