"""Speeds: what the bench measured, as a table for the terminal and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.amounts import NOTHING
from actlab.report.drawing import WIDE, Frame, data, sized, svg, texts, ticked
from actlab.report.palette import LIGHT
from actlab.report.placing import text_width
from actlab.report.scales import scale_around
from actlab.report.tables import grid

if TYPE_CHECKING:
    from actlab.studies.bench import Bench, Measurement

__all__ = ["speed_plot", "speed_table", "write_speed_plot"]

BOTH = "forward+backward"
BAND, LEGEND = 30, 110  # pixels of a function in the drawing, and of a name in its legend
INK, MUTED, LINE, PAGE = "#1c1c1c", "#5f5f5f", "#d4d4d4", "#ffffff"  # a drawing on its own has no page's colours


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


def write_speed_plot(bench: Bench, path: str | Path) -> Path:
    """Write the drawing as an SVG file; return its path."""
    path = Path(path)
    text = svg(speed_plot(bench, WIDE), name="speeds")
    for variable, colour in (("ink", INK), ("muted", MUTED), ("line", LINE), ("page", PAGE)):
        text = text.replace(f"var(--{variable})", colour)
    text = text.replace('font-family="inherit"', 'font-family="sans-serif"').replace('aria-hidden="true"', "", 1)
    path.write_text(text, encoding="utf-8")
    return path


def speed_plot(bench: Bench, frame: Frame) -> alt.LayerChart:
    """Return how much of the memory's speed each contender reaches, forward and backward, one row per function."""
    rows = _points(bench)
    specs = list(dict.fromkeys(row["spec"] for row in rows))
    contenders = list(dict.fromkeys(row["contender"] for row in rows))
    longest = max((text_width(spec, frame.font) for spec in specs), default=0)
    padding = {"left": longest + 20, "right": 60, "top": 34, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], BAND * len(specs)
    across = scale_around([0.0, 1.0, *(row["roofline"] for row in rows)], width)
    percent = ticked(across, frame, about=6, label="format(datum.value, '.0%')")
    x = alt.X("roofline:Q", scale=across.described(), title="share of the memory's speed", axis=percent)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    floor = alt.Chart(data([{"roofline": 1.0}])).mark_rule(color="var(--muted)", strokeDash=[4, 3])
    dots = alt.Chart(data(rows)).mark_circle(size=70, opacity=0.9)
    layers = [
        floor.encode(x=x),
        dots.encode(x=x, y=y, color=alt.Color("colour:N", scale=None)),
        texts(_names(specs), frame, x=alt.value(-10), y=y, align="right"),
        *(
            texts([entry], frame, x=alt.value(LEGEND * number), y=alt.value(-18), align="left")
            for number, entry in enumerate(_legend(contenders))
        ),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def _points(bench: Bench) -> list[dict[str, Any]]:
    both = [m for m in bench.measurements if m.passes == BOTH]
    specs = list(dict.fromkeys(m.spec for m in both))
    contenders = list(dict.fromkeys(m.contender for m in both))
    return [
        {
            "spec": m.spec,
            "contender": m.contender,
            "roofline": m.roofline,
            "times": m.times,
            "y": specs.index(m.spec) * BAND + BAND / 2,
            "colour": LIGHT[contenders.index(m.contender) % len(LIGHT)],
        }
        for m in both
    ]


def _names(specs: Sequence[str]) -> list[dict[str, Any]]:
    return [{"text": spec, "colour": "var(--ink)", "y": i * BAND + BAND / 2} for i, spec in enumerate(specs)]


def _legend(contenders: Sequence[str]) -> list[dict[str, Any]]:
    return [{"text": f"● {name}", "colour": LIGHT[i % len(LIGHT)]} for i, name in enumerate(contenders)]
