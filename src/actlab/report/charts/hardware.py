"""Chart of the times of activations over ReLU's on a machine, by function and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from actlab.report.charts.bench import GAP, LEGEND, ROW, legend_entries, row_names
from actlab.report.charts.label_layout import shortened, text_width
from actlab.report.charts.scales import scale_around
from actlab.report.charts.svg import Frame, data, sized, texts, ticked
from actlab.report.content.hardware import BOTH_PASSES

if TYPE_CHECKING:
    from actlab.bench.hardware import Hardware

__all__ = ["ratio_plot"]

_REACH = 1.5  # times the outermost ratios, where intervals are cut off: on a busy machine they would make the scale
_TIMES = "format(datum.value, '~g') + 'x'"


def ratio_plot(found: Hardware, frame: Frame, passes: str = BOTH_PASSES) -> alt.LayerChart | None:
    """Return the time over ReLU's in the same dtype, one row per function and dtype, with intervals; None where only ReLU was timed.

    Args:
        found: what was measured.
        frame: size and font.
        passes: "forward" or "forward+backward".
    """
    colours = [f"var(--arm-{place + 1})" for place in range(len(found.dtypes))]
    rows = _points(found, passes, colours)
    if not rows:
        return None
    specs = list(dict.fromkeys(row["spec"] for row in rows))
    band = ROW * len(found.dtypes) + GAP
    names = row_names([shortened(spec, frame.label) for spec in specs], band)
    longest = max(text_width(name["text"], frame.font) for name in names)
    padding = {"left": longest + 20, "right": 16, "top": 26, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], band * len(specs)
    across = scale_around([1.0, *(row[end] for row in rows for end in ("low", "high"))], width, log=True)
    ticks = ticked(across, frame, about=4 if frame.narrow else 7, label=_TIMES)
    x = alt.X("ratio:Q", scale=across.to_altair(), title="time over ReLU's in the same dtype", axis=ticks)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    colour = alt.Color("colour:N", scale=None)
    ends = alt.X("low:Q", scale=across.to_altair()), alt.X2("high:Q")
    relu = alt.Chart(data([{"ratio": 1.0}])).mark_rule(color="var(--muted)", strokeDash=[4, 3])
    layers = [
        relu.encode(x=x),
        alt.Chart(data(rows)).mark_rule(strokeWidth=2).encode(x=ends[0], x2=ends[1], y=y, color=colour),
        alt.Chart(data(rows)).mark_circle(size=50, opacity=1).encode(x=x, y=y, color=colour),
        texts(names, frame, x=alt.value(-10), y=y, align="right"),
        *(
            texts([entry], frame, x=alt.value((70 if frame.narrow else LEGEND) * place), y=alt.value(-14), align="left")
            for place, entry in enumerate(legend_entries(found.dtypes, colours))
        ),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def _points(found: Hardware, passes: str, colours: list[str]) -> list[dict[str, Any]]:
    timings = [one for one in found.timings if one.passes == passes and one.spec != "relu"]
    specs = list(dict.fromkeys(one.spec for one in timings))
    band = ROW * len(found.dtypes) + GAP
    ratios = [1.0, *(one.over_relu.ratio for one in timings)]
    least, most = min(ratios) / _REACH, max(ratios) * _REACH
    return [
        {
            "spec": one.spec,
            "dtype": one.dtype,
            "ratio": one.over_relu.ratio,
            "low": max(least, one.over_relu.low or one.over_relu.ratio),
            "high": min(most, one.over_relu.high or one.over_relu.ratio),
            "y": specs.index(one.spec) * band + GAP / 2 + ROW * (found.dtypes.index(one.dtype) + 0.5),
            "colour": colours[found.dtypes.index(one.dtype)],
        }
        for one in timings
    ]
