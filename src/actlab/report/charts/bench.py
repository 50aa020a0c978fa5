"""Chart of the share of memory bandwidth that each contender of a speed benchmark reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from actlab.bench.speed import PASSES, Bench
from actlab.report.charts.label_layout import text_width
from actlab.report.charts.palette import LIGHT
from actlab.report.charts.scales import scale_around
from actlab.report.charts.svg import WIDE, Frame, data, sized, svg, texts, ticked

__all__ = ["speed_plot", "write_speed_plot"]

# pixels per function, and per name in the legend
BAND, LEGEND = 30, 110
# a file of its own has no page whose style sets these variables
COLOURS = {"ink": "#1c1c1c", "muted": "#5f5f5f", "line": "#d4d4d4", "page": "#ffffff"}


def write_speed_plot(bench: Bench, path: str | Path) -> Path:
    """Write the chart as an SVG file and return its path."""
    path = Path(path)
    text = svg(speed_plot(bench, WIDE), name="speeds")
    for variable, colour in COLOURS.items():
        text = text.replace(f"var(--{variable})", colour)
    text = text.replace('font-family="inherit"', 'font-family="sans-serif"').replace('aria-hidden="true"', "", 1)
    path.write_text(text, encoding="utf-8")
    return path


def speed_plot(bench: Bench, frame: Frame) -> alt.LayerChart:
    """Return the share of the memory bandwidth that each contender reaches, forward and backward, one row per function."""
    rows = _points(bench)
    specs = list(dict.fromkeys(row["spec"] for row in rows))
    contenders = list(dict.fromkeys(row["contender"] for row in rows))
    longest = max((text_width(spec, frame.font) for spec in specs), default=0)
    padding = {"left": longest + 20, "right": 60, "top": 34, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], BAND * len(specs)
    across = scale_around([0.0, 1.0, *(row["roofline"] for row in rows)], width)
    percent = ticked(across, frame, about=6, label="format(datum.value, '.0%')")
    x = alt.X("roofline:Q", scale=across.to_altair(), title="share of memory bandwidth", axis=percent)
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
    both = [m for m in bench.measurements if m.passes == PASSES[-1]]
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
