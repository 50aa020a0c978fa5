"""Charts of axes, reliability diagrams and curves over severity, attack size and the like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import altair as alt

from actlab.report.charts.label_layout import shortened, spread, text_width
from actlab.report.charts.palette import ArmStyle, arm_styles
from actlab.report.charts.scales import Scale, scale_around
from actlab.report.charts.study import diagonal_line, line_plot
from actlab.report.charts.svg import Frame, data, sized, texts, ticked
from actlab.report.content.axes import axis_curves, curve_titles, has_diagonal, reliability_curves
from actlab.report.content.series import Row

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["curve_of_axis_plot", "reliability_plot"]

_PERCENT = "format(datum.value, '.0%')"


def curve_of_axis_plot(
    verdict: Verdict, rows: Iterable[Row], frame: Frame, *, axis: str, name: str
) -> alt.LayerChart | None:
    """Return a curve of an axis, as median and quartiles over seeds; None where fewer than two places have values."""
    rows = list(rows)
    points = axis_curves(verdict, rows, axis, name)
    if len({point["step"] for point in points}) < 2:
        return None
    across, _ = curve_titles(rows, axis, name)
    return line_plot(points, verdict, frame, across_name=across, diagonal=has_diagonal(rows, axis, name))


def reliability_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return accuracy over confidence of every arm, with the diagonal on which both are equal; None where no trial has it."""
    points = reliability_curves(verdict, rows)
    if not points:
        return None
    look = arm_styles(verdict)
    arms = list(dict.fromkeys(point["arm"] for point in points))
    longest = max(text_width(shortened(arm, frame.label), frame.font) for arm in arms)
    padding = {"left": 48, "right": longest + 16, "top": 8, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 250 if frame.narrow else 340
    values = [point[end] for point in points for end in ("confidence", "accuracy")]
    x, y = scale_around([*values, 1.0], width, room=0.03), scale_around([*values, 1.0], height, room=0.03)
    layers = [diagonal_line(x, y)]
    for arm in reversed(verdict.arms):  # the best is drawn last, on top
        own = [point for point in points if point["arm"] == arm.spec]
        layers += _curve(own, look[arm.spec], x, y, frame) if own else []
    ends = {point["arm"]: point["accuracy"] for point in points}
    places = spread([y.at(end) for end in ends.values()], gap=1.2 * frame.font, low=4, high=y.pixels - 4)
    names = [
        {"text": shortened(arm, frame.label), "colour": _label_colour(look[arm]), "y": y.value(place)}
        for arm, place in zip(ends, places, strict=True)
    ]
    layers.append(texts(names, frame, x=alt.value(width + 8), y=alt.Y("y:Q", scale=y.to_altair()), align="left"))
    return sized(layers, width=width, height=height, padding=padding)


def _curve(points: Sequence[Row], look: ArmStyle, x: Scale, y: Scale, frame: Frame) -> list[alt.Chart]:
    across = alt.X(
        "confidence:Q",
        scale=x.to_altair(),
        title="confidence",
        axis=ticked(x, frame, about=4 if frame.narrow else 7, grid=False, label=_PERCENT),
    )
    up = alt.Y("accuracy:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5, label=_PERCENT))
    width = 2.2 if look.best or look.baseline else 1.3
    line = alt.Chart(data(points)).mark_line(color=look.colour, strokeWidth=width, strokeDash=list(look.dash))
    dots = alt.Chart(data(points)).mark_point(filled=True, size=26, opacity=1, color=look.colour)
    return [line.encode(x=across, y=up), dots.encode(x=across, y=up)]


def _label_colour(look: ArmStyle) -> str:
    return look.colour if look.best or look.baseline else "var(--muted)"
