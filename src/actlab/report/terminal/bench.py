"""Speeds: what the bench measured, as a table for the terminal and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.charts.bench import BOTH
from actlab.report.content.format import NOTHING
from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.bench.speed import Bench, Measurement

__all__ = ["speed_table"]


def speed_table(bench: Bench) -> RenderableType:
    """Return the measurements for a terminal: how often as quick as torch, and the share of the memory's speed."""
    contenders = list(dict.fromkeys(m.contender for m in bench.measurements))
    found = {(m.spec, m.contender, m.passes): m for m in bench.measurements}
    rivals = [contender for contender in contenders if contender != "torch"]
    prefixes = [""] if len(rivals) == 1 else [f"{name} " for name in rivals]
    headings = ["function", *contenders, *(prefix + part for prefix in prefixes for part in ("x", "forward", "floor"))]
    rows = [
        [
            spec,
            *(
                brief(found[spec, name, BOTH].seconds) if (spec, name, BOTH) in found else NOTHING
                for name in contenders
            ),
        ]
        + [cell for name in rivals for cell in _cells(found, spec, name)]
        for spec in dict.fromkeys(m.spec for m in bench.measurements)
    ]
    lines = Group(*(Text(note, style="dim") for note in _notes(bench, contenders)))
    return Group(grid(headings, rows, right=headings[1:]), Padding(lines, (1, 0, 0, 0)))


def brief(seconds: float) -> str:
    """Return a time with three digits.

    Example:
        >>> brief(0.01234), brief(45.6e-6)
        ('12.3 ms', '45.6 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _notes(bench: Bench, contenders: Sequence[str]) -> list[str]:
    threads = f"{bench.threads} thread{'s' if bench.threads != 1 else ''}"
    before, after = bench.load
    where = (
        f"{bench.size:,} elements of {bench.dtype} on {bench.device}, {threads}, memory {bench.allocator}, "
        f"load {before:.1f} to {after:.1f}, median of {bench.rounds} rounds in turns."
    )
    what = (
        "Times are of forward and backward together. x: how often as quick as torch's own; forward: the same without backward; "
        f"floor: share of the speed of a copy, {bench.copy / 1e9:.1f} GB/s here, counting the bytes that must be moved."
    )
    means = [f"{c} {bench.geometric_mean(c, BOTH):.2f}x" for c in contenders if c != "torch"]
    return [where, what, *([f"Geometric mean, forward and backward: {', '.join(means)}."] if means else [])]


def _cells(found: dict[tuple[str, str, str], Measurement], spec: str, contender: str) -> list[str]:
    if (spec, contender, BOTH) not in found:  # another library has no such function
        return [NOTHING] * 3
    both, forward = found[spec, contender, BOTH], found[spec, contender, "forward"]
    return [f"{both.times:.2f}", f"{forward.times:.2f}", f"{both.roofline:.0%}"]
