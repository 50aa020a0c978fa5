"""Charts of convergence, the held-out metric over steps and the share of trials at the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import altair as alt

from actlab.report.charts.label_layout import shortened, spread, text_width
from actlab.report.charts.palette import ArmStyle, arm_styles
from actlab.report.charts.scales import Scale, scale_around
from actlab.report.charts.study import line_plot
from actlab.report.charts.svg import Frame, data, sized, texts, ticked
from actlab.report.content.convergence import held_out_curves, reached_curves
from actlab.report.content.series import Row

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["held_out_plot", "reached_plot"]


def held_out_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return the held-out metric over training steps, as median and quartiles over seeds, with the target as a line.

    None if fewer than two steps were evaluated.
    """
    points = held_out_curves(verdict, rows)
    if len({point["step"] for point in points}) < 2:
        return None
    target = None if verdict.convergence is None else verdict.convergence.target
    if target is None or target.is_loss:
        return line_plot(points, verdict, frame)
    return line_plot(points, verdict, frame, line=target.value, line_name=f"target {target.value:.4g}")


def reached_plot(verdict: Verdict, frame: Frame) -> alt.LayerChart | None:
    """Return the share of trials that have reached the target by a step, one minus the Kaplan-Meier curve; None without a target."""
    points = reached_curves(verdict)
    if not points:
        return None
    look = arm_styles(verdict)
    longest = max(text_width(shortened(arm, frame.label), frame.font) for arm in {point["arm"] for point in points})
    padding = {"left": 44, "right": longest + 12, "top": 8, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 200 if frame.narrow else 260
    x = scale_around([point["step"] for point in points], width, room=0)
    y = scale_around([0.0, 1.0], height, room=0.03)
    layers = []
    for arm in reversed(verdict.arms):  # the best is drawn last, on top
        own = [point for point in points if point["arm"] == arm.spec]
        layers += [_stairs(own, look[arm.spec], x, y, frame)] if own else []
    last = {point["arm"]: point["share"] for point in points}
    places = spread([y.at(share) for share in last.values()], gap=1.2 * frame.font, low=4, high=y.pixels - 4)
    names = [
        {"text": shortened(arm, frame.label), "colour": _label_colour(look[arm]), "y": y.value(place)}
        for arm, place in zip(last, places, strict=True)
    ]
    layers.append(texts(names, frame, x=alt.value(width + 8), y=alt.Y("y:Q", scale=y.to_altair()), align="left"))
    return sized(layers, width=width, height=height, padding=padding)


def _label_colour(look: ArmStyle) -> str:
    return look.colour if look.best or look.baseline else "var(--muted)"


def _stairs(points: Sequence[Row], look: ArmStyle, x: Scale, y: Scale, frame: Frame) -> alt.Chart:
    across = alt.X(
        "step:Q",
        scale=x.to_altair(),
        title="training step",
        axis=ticked(x, frame, about=4 if frame.narrow else 7, grid=False),
    )
    up = alt.Y(
        "share:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5, label="format(datum.value, '.0%')")
    )
    line: alt.Chart = alt.Chart(data(points)).mark_line(
        interpolate="step-after",
        color=look.colour,
        strokeWidth=2.2 if look.best or look.baseline else 1.3,
        strokeDash=list(look.dash),
    )
    drawn: alt.Chart = line.encode(x=across, y=up)
    return drawn
