"""Chart of the share of memory bandwidth that each contender of a speed benchmark reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from actlab.bench.speed import PASSES, Bench
from actlab.report.charts.figure_file import write_chart
from actlab.report.charts.label_layout import text_width
from actlab.report.charts.palette import LIGHT
from actlab.report.charts.scales import scale_around
from actlab.report.charts.svg import WIDE, Frame, data, sized, texts, ticked

__all__ = ["GAP", "LEGEND", "ROW", "legend_entries", "row_names", "speed_plot", "write_speed_plot"]

# pixels between the dots of a function, which have a diameter of 9.4; between functions; per name in the legend
ROW, GAP, LEGEND = 10, 14, 110


def write_speed_plot(bench: Bench, path: str | Path) -> Path:
    """Write the chart as a file that ends in .svg, .pdf or .png, and return its path.

    Raises:
        ActlabError: the ending is another one, or the file cannot be written.
    """
    return write_chart(speed_plot(bench, WIDE), path, name="speeds")


def speed_plot(bench: Bench, frame: Frame) -> alt.LayerChart:
    """Return the share of the memory bandwidth that each contender reaches, forward and backward, one row per contender and function."""
    rows = _points(bench)
    specs = list(dict.fromkeys(row["spec"] for row in rows))
    contenders = list(dict.fromkeys(row["contender"] for row in rows))
    band = ROW * len(contenders) + GAP
    longest = max((text_width(spec, frame.font) for spec in specs), default=0)
    padding = {"left": longest + 20, "right": 60, "top": 58, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], band * len(specs)
    across = scale_around([0.0, 1.0, *(row["roofline"] for row in rows)], width)
    percent = ticked(across, frame, about=6, label="format(datum.value, '.0%')")
    x = alt.X("roofline:Q", scale=across.to_altair(), title="share of memory bandwidth", axis=percent)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    floor = alt.Chart(data([{"roofline": 1.0}])).mark_rule(color="var(--muted)", strokeDash=[4, 3])
    dots = alt.Chart(data(rows)).mark_circle(size=70, opacity=0.9)
    layers = [
        floor.encode(x=x),
        dots.encode(x=x, y=y, color=alt.Color("colour:N", scale=None)),
        texts(row_names(specs, band), frame, x=alt.value(-10), y=y, align="right"),
        texts([_title(bench)], frame, x=alt.value(0), y=alt.value(-42), align="left", fontWeight="bold"),
        *(
            texts([entry], frame, x=alt.value(LEGEND * number), y=alt.value(-18), align="left")
            for number, entry in enumerate(legend_entries(contenders, LIGHT))
        ),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def _title(bench: Bench) -> dict[str, Any]:
    text = f"Speed, forward and backward: {bench.size:,} elements of {bench.dtype} on {bench.device}"
    return {"text": text, "colour": "var(--ink)"}


def _points(bench: Bench) -> list[dict[str, Any]]:
    both = [m for m in bench.measurements if m.passes == PASSES[-1]]
    specs = list(dict.fromkeys(m.spec for m in both))
    contenders = list(dict.fromkeys(m.contender for m in both))
    band = ROW * len(contenders) + GAP
    return [
        {
            "spec": m.spec,
            "contender": m.contender,
            "roofline": m.roofline,
            "times": m.times,
            "y": specs.index(m.spec) * band + GAP / 2 + ROW * (contenders.index(m.contender) + 0.5),
            "colour": LIGHT[contenders.index(m.contender) % len(LIGHT)],
        }
        for m in both
    ]


def row_names(specs: Sequence[str], band: float) -> list[dict[str, Any]]:
    """Return the labels of functions, each in the middle of its band of ``band`` pixels."""
    return [{"text": spec, "colour": "var(--ink)", "y": i * band + band / 2} for i, spec in enumerate(specs)]


def legend_entries(names: Sequence[str], colours: Sequence[str]) -> list[dict[str, Any]]:
    """Return a dot with a name for each of ``names``, in colours that repeat."""
    return [{"text": f"● {name}", "colour": colours[i % len(colours)]} for i, name in enumerate(names)]
