"""Charts of the Pareto fronts of int8 metric and cost on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import altair as alt

from actlab.report.charts.label_layout import Box, beside, shortened
from actlab.report.charts.palette import ArmStyle, arm_styles
from actlab.report.charts.scales import Scale, scale_around
from actlab.report.charts.svg import Frame, data, haloed, sized, ticked
from actlab.studies.verdict.axes.front import Front, FrontPoint

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["front_plot"]

_MARGIN: Final = 0.03  # beside each cost, so that differences of a thousandth are not drawn as large ones


def front_plot(front: Front, verdict: Verdict, frame: Frame) -> alt.LayerChart:
    """Return the int8 metric with its interval over a cost for every arm.

    Arms on the front are filled circles, joined by a dashed line of steps; the others are open.

    Args:
        front: at least two points.
        verdict: whose arms they are.
        frame: size and font.
    """
    look = arm_styles(verdict)
    padding = {"left": 56 if frame.narrow else 62, "right": 16, "top": 14, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 250 if frame.narrow else 320
    rows = [_row(point, look[point.arm]) for point in front.points]
    ends = [factor * row["cost"] for row in rows for factor in (1 - _MARGIN, 1 + _MARGIN)]
    x = scale_around(ends, width, room=0.1, log=True)
    y = scale_around([row[end] for row in rows for end in ("low", "mean", "high")], height, room=0.08)
    layers = [_steps([row for row in rows if row["is_on_front"]], front, x, y), *_points(rows, front, x, y, frame)]
    pixels = [(x.at(row["cost"]), height - y.at(row["mean"])) for row in rows]
    names = [shortened(row["arm"], frame.label) for row in rows]
    boxes = beside(pixels, names, font_size=frame.font, frame=(width, height), lines=[_bar(row, x, y) for row in rows])
    labels = [
        {"text": name, "colour": row["name_colour"], "x": x.value(box.x), "y": y.value(height - box.y)}
        for name, row, box in zip(names, rows, boxes, strict=True)
    ]
    across, up = alt.X("x:Q", scale=x.to_altair()), alt.Y("y:Q", scale=y.to_altair())
    layers += haloed(labels, frame, x=across, y=up, align="left")
    return sized(layers, width=width, height=height, padding=padding)


def _row(point: FrontPoint, style: ArmStyle) -> dict[str, Any]:
    low, high = point.ci
    return {
        "arm": point.arm,
        "cost": point.cost,
        "mean": point.mean,
        "low": point.mean if low is None else low,
        "high": point.mean if high is None else high,
        "colour": style.colour,
        "fill": style.colour if point.is_on_front else "var(--page)",
        "name_colour": style.colour if style.best or style.baseline else "var(--muted)",
        "is_on_front": point.is_on_front,
    }


def _bar(row: Mapping[str, Any], x: Scale, y: Scale) -> Box:
    low, high = y.at(row["low"]), y.at(row["high"])
    return Box(x=x.at(row["cost"]) - 3, y=y.pixels - (low + high) / 2, width=6, height=high - low)


def _steps(rows: Sequence[Mapping[str, Any]], front: Front, x: Scale, y: Scale) -> alt.Chart:
    """Return the line below which, or above which, no arm is better: level from one arm on the front to the cost of the next."""
    ordered = sorted(rows, key=lambda row: row["cost"])
    corners = [{"cost": ordered[0]["cost"], "mean": y.low if front.quality.direction == "max" else y.high, "order": 0}]
    for row in ordered:
        corners += [
            {"cost": row["cost"], "mean": corners[-1]["mean"], "order": len(corners)},
            {"cost": row["cost"], "mean": row["mean"], "order": len(corners) + 1},
        ]
    corners.append({"cost": x.high, "mean": corners[-1]["mean"], "order": len(corners)})
    line = alt.Chart(data(corners)).mark_line(color="var(--muted)", strokeWidth=1.2, strokeDash=[5, 3])
    drawn: alt.Chart = line.encode(
        x=alt.X("cost:Q", scale=x.to_altair()), y=alt.Y("mean:Q", scale=y.to_altair()), order="order:Q"
    )
    return drawn


def _points(rows: Sequence[Mapping[str, Any]], front: Front, x: Scale, y: Scale, frame: Frame) -> list[alt.Chart]:
    unit = f" ({front.cost.unit})" if front.cost.unit else ""
    across = alt.X(
        "cost:Q",
        scale=x.to_altair(),
        title=f"{front.cost.name}{unit}, fewer are better",
        axis=ticked(x, frame, about=4 if frame.narrow else 6, grid=False, label="format(datum.value, '.4~s')"),
    )
    up = alt.Y("mean:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5))
    colour = alt.Color("colour:N", scale=None)
    spans = alt.Chart(data(rows)).mark_rule(strokeWidth=2, opacity=0.55, strokeCap="round", clip=True)
    dots = alt.Chart(data(rows)).mark_point(filled=False, size=110, opacity=1, strokeWidth=2)
    return [
        spans.encode(x=across, y=alt.Y("low:Q", scale=y.to_altair()), y2="high:Q", color=colour),
        dots.encode(x=across, y=up, stroke=alt.Stroke("colour:N", scale=None), fill=alt.Fill("fill:N", scale=None)),
    ]
