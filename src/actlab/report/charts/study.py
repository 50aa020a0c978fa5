"""Charts of a study with learning curves, paired differences and metric over step time.

Every chart is an altair description that vl-convert renders to SVG in this process, without browser or network. Colours are CSS variables,
for the light and the dark page; the page embeds a wide and a narrow version and shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from actlab.report.charts.label_layout import Box, beside, shortened, spread, text_width
from actlab.report.charts.palette import ArmStyle, arm_styles
from actlab.report.charts.scales import Scale, focus, scale_around
from actlab.report.charts.svg import WIDE, Frame, data, haloed, sized, texts, ticked
from actlab.report.content.format import decimals, signed
from actlab.report.content.series import Row, costs, curves, differences, seed_differences, smoothed
from actlab.report.content.verdict import metric_decimals

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["cost_plot", "curve_plot", "diagonal_line", "difference_plot", "line_plot"]


def _label_colour(look: ArmStyle) -> str:
    return look.colour if look.best or look.baseline else "var(--muted)"


def curve_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return the learning curves as median training loss over seeds with quartiles, labelled at their ends.

    The loss axis is logarithmic if the losses span a factor of five. None if no trial has a curve.
    """
    points = smoothed(curves(verdict, rows))
    return line_plot(points, verdict, frame, log=True) if points else None


def line_plot(
    points: Sequence[Row],
    verdict: Verdict,
    frame: Frame,
    *,
    log: bool = False,
    line: float | None = None,
    line_name: str = "",
    across_name: str = "training step",
    diagonal: bool = False,
) -> alt.LayerChart:
    """Return curves over training steps, as a line of medians with a band, labelled at their ends.

    Args:
        points: ``{"arm", "step", "median", "low", "high"}``, at least one.
        verdict: whose arms they are.
        frame: size and font.
        log: whether the axis is logarithmic if the values span a factor of five.
        line: value of a horizontal line, or None.
        line_name: its label.
        across_name: what "step" is.
        diagonal: whether the line on which both axes are equal is drawn.
    """
    look = arm_styles(verdict)
    longest = max(text_width(shortened(arm, frame.label), frame.font) for arm in {point["arm"] for point in points})
    padding = {"left": 34 if frame.narrow else 40, "right": longest + 12, "top": 8, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 250 if frame.narrow else 340
    x = scale_around([point["step"] for point in points], width, room=0)
    values = [point[end] for point in points for end in ("low", "high")]
    y = scale_around([*values, *([] if line is None else [line])], height, log=log)
    across = alt.X(
        "step:Q",
        scale=x.to_altair(),
        title=across_name,
        axis=ticked(x, frame, about=4 if frame.narrow else 7, grid=False),
    )
    layers = [] if line is None else _level(line, line_name, y, frame)
    layers += [diagonal_line(x, y)] if diagonal else []
    for arm in reversed(verdict.arms):  # the best is drawn last, on top
        curve = [point for point in points if point["arm"] == arm.spec]
        layers += _curve(curve, look[arm.spec], across, y, frame) if curve else []
    last = {point["arm"]: point for point in points}
    names = _end_labels(last, look, y, frame)
    layers.append(texts(names, frame, x=alt.value(width + 8), y=alt.Y("y:Q", scale=y.to_altair()), align="left"))
    return sized(layers, width=width, height=height, padding=padding)


def diagonal_line(x: Scale, y: Scale) -> alt.Chart:
    """Return a dashed line on which the values of both scales are equal."""
    ends = [{"across": at, "up": at} for at in (max(x.low, y.low), min(x.high, y.high))]
    line = alt.Chart(data(ends)).mark_line(color="var(--ink)", strokeWidth=1.2, strokeDash=[5, 3])
    drawn: alt.Chart = line.encode(x=alt.X("across:Q", scale=x.to_altair()), y=alt.Y("up:Q", scale=y.to_altair()))
    return drawn


def _level(value: float, name: str, y: Scale, frame: Frame) -> list[alt.Chart]:
    """Return a horizontal line with its label above it, at the left."""
    up = alt.Y("y:Q", scale=y.to_altair(), title=None)
    rule = alt.Chart(data([{"y": value}])).mark_rule(color="var(--ink)", strokeWidth=1.2, strokeDash=[5, 3])
    label = [{"text": name, "colour": "var(--muted)", "y": value}]
    below = y.at(value) > y.pixels - 2 * frame.font  # where there is no room above
    lifted = y.value(y.at(value) + (-0.9 if below else 0.9) * frame.font)
    return [rule.encode(y=up), *haloed([{**label[0], "y": lifted}], frame, x=alt.value(4), y=up, align="left")]


def _curve(points: Sequence[Row], look: ArmStyle, across: alt.X, y: Scale, frame: Frame) -> list[alt.Chart]:
    up = alt.Y("median:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5))
    band = alt.Chart(data(points)).mark_area(color=look.colour, opacity=0.16 if look.best else 0.10, clip=True)
    line = alt.Chart(data(points)).mark_line(
        color=look.colour, strokeWidth=2.2 if look.best or look.baseline else 1.3, strokeDash=list(look.dash), clip=True
    )
    return [band.encode(x=across, y=alt.Y("low:Q", scale=y.to_altair()), y2="high:Q"), line.encode(x=across, y=up)]


def _end_labels(
    last: Mapping[str, Mapping[str, Any]], look: dict[str, ArmStyle], y: Scale, frame: Frame
) -> list[dict[str, Any]]:
    ends = [y.at(point["median"]) for point in last.values()]
    places = spread(ends, gap=1.2 * frame.font, low=4, high=y.pixels - 4)
    return [
        {"text": shortened(arm, frame.label), "colour": _label_colour(look[arm]), "y": y.value(place)}
        for arm, place in zip(last, places, strict=True)
    ]


def difference_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return the differences to the baseline with intervals, single seeds, the zero line and the ROPE.

    Arms are in the verdict's order, best first. None if nothing can be compared.
    """
    means = differences(verdict)
    if not means:
        return None
    dots = seed_differences(verdict, rows)
    look = arm_styles(verdict)
    order = {row["arm"]: index for index, row in enumerate(means)}
    longest = max(text_width(shortened(arm, frame.label), frame.font) for arm in order)
    padding = {
        "left": 14 if frame.narrow else longest + 20,
        "right": 14 if frame.narrow else 78,
        "top": 22,
        "bottom": 44,
    }
    band = 52 if frame.narrow else 42
    width, height = frame.width - padding["left"] - padding["right"], band * len(means)
    x = _difference_scale(means, dots, verdict, width)
    down = band / 2 + (5 if frame.narrow else -4)
    heights = {arm: index * band + down for arm, index in order.items()}
    drawn = [{**row, "y": heights[row["arm"]], "colour": look[row["arm"]].colour} for row in means]
    seeds = [
        {**dot, "y": heights[dot["arm"]] + 11, "colour": look[dot["arm"]].colour}
        for dot in dots
        if dot["arm"] in order and not x.beyond(dot["difference"])
    ]
    up = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    layers = [
        *_guides(verdict, x, height, frame),
        *_intervals(drawn, seeds, x, up),
        *_difference_labels(drawn, verdict, x, up, frame),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def _difference_scale(means: Sequence[Row], dots: Sequence[Row], verdict: Verdict, width: float) -> Scale:
    """Return a scale for the best set, zero and the ROPE; arms far outside are arrows at its edge."""
    guides = [0.0, -verdict.rope, verdict.rope]
    spans = {row["arm"]: [row[end] for end in ("low", "mean", "high") if row[end] is not None] for row in means}
    seeds = [dot["difference"] for dot in dots]
    low, high = focus(
        [*guides, *seeds, *(value for span in spans.values() for value in span)],
        [*guides, *(value for arm, span in spans.items() if arm in verdict.best_set for value in span)],
    )
    return scale_around([low, high], width)


def _guides(verdict: Verdict, x: Scale, height: float, frame: Frame) -> list[alt.Chart]:
    better = "\u2192 better" if verdict.direction == "max" else "\u2190 better"
    title = f"{verdict.metric} minus that of {verdict.baseline}   {better}"
    axis = ticked(
        x,
        frame,
        about=5 if frame.narrow else 7,
        grid=False,
        label="(datum.value > 0 ? '+' : '') + replace(format(datum.value, '~g'), '-', '\u2212')",
    )
    bottom = {"y": alt.value(0), "y2": alt.value(height)}
    zero = alt.Chart(data([{"x": 0.0}])).mark_rule(color="var(--ink)", strokeWidth=1.2)
    guides = [zero.encode(x=alt.X("x:Q", scale=x.to_altair(), title=title, axis=axis), **bottom)]
    if verdict.rope:
        region = alt.Chart(data([{"x": -verdict.rope, "x2": verdict.rope}])).mark_rect(color="var(--rope)")
        guides.insert(0, region.encode(x=alt.X("x:Q", scale=x.to_altair()), x2="x2:Q", **bottom))
        name = [{"text": "practically equivalent", "colour": "var(--muted)"}]
        half = text_width(name[0]["text"], frame.font) / 2
        middle = min(max(x.at(0.0), half), x.pixels - half)
        guides.append(texts(name, frame, x=alt.value(middle), y=alt.value(-11), align="center"))
    return guides


def _intervals(drawn: Sequence[Row], seeds: Sequence[Row], x: Scale, y: alt.Y) -> list[alt.Chart]:
    across, colour = x.to_altair(), alt.Color("colour:N", scale=None)
    inside = [row for row in drawn if not x.beyond(row["mean"])]
    dots = alt.Chart(data(seeds)).mark_point(filled=True, size=20, opacity=0.55, strokeWidth=0)
    known = [row for row in inside if row["low"] is not None and row["high"] is not None]
    lines = alt.Chart(data(known)).mark_rule(strokeWidth=3, strokeCap="round", clip=True)
    means = alt.Chart(data(inside)).mark_point(filled=True, size=95, opacity=1, stroke="var(--page)", strokeWidth=2)
    return [
        dots.encode(x=alt.X("difference:Q", scale=across), y=y, color=colour),
        lines.encode(x=alt.X("low:Q", scale=across), x2="high:Q", y=y, color=colour),
        means.encode(x=alt.X("mean:Q", scale=across), y=y, fill=alt.Fill("colour:N", scale=None)),
        *_arrows(drawn, x, y),
    ]


def _arrows(drawn: Sequence[Row], x: Scale, y: alt.Y) -> list[alt.Chart]:
    """Return arrows at the edge for arms that lie beyond the scale."""
    layers = []
    for side, shape, edge in ((-1, "triangle-left", 8.0), (1, "triangle-right", x.pixels - 8.0)):
        outside = [row for row in drawn if x.beyond(row["mean"]) == side]
        arrow = alt.Chart(data(outside)).mark_point(filled=True, size=70, opacity=1, shape=shape)
        layers.append(arrow.encode(x=alt.value(edge), y=y, color=alt.Color("colour:N", scale=None)))
    return layers


def _difference_labels(drawn: Sequence[Row], verdict: Verdict, x: Scale, y: alt.Y, frame: Frame) -> list[alt.Chart]:
    """Return the arms' names and differences, beside the plot or, in the narrow chart, above each interval."""
    look, digits, lift = arm_styles(verdict), metric_decimals(verdict), -19 if frame.narrow else 0
    names = [
        {"text": shortened(row["arm"], WIDE.label), "colour": _label_colour(look[row["arm"]]), "y": row["y"] + lift}
        for row in drawn
    ]
    means = [{"text": signed(row["mean"], digits), "colour": "var(--ink)", "y": row["y"] + lift} for row in drawn]
    if frame.narrow:
        return [
            *haloed(names, frame, x=alt.value(0), y=y, align="left"),
            *haloed(means, frame, x=alt.value(x.pixels), y=y, align="right"),
        ]
    return [
        texts(names, frame, x=alt.value(-12), y=y, align="right"),
        texts(means, frame, x=alt.value(x.pixels + 14), y=y, align="left"),
    ]


def cost_plot(verdict: Verdict, frame: Frame) -> alt.LayerChart | None:
    """Return the metric with its interval over the relative step time of every arm; None if fewer than two arms have both."""
    points = costs(verdict)
    if len(points) < 2:
        return None
    look = arm_styles(verdict)
    padding = {"left": 56 if frame.narrow else 62, "right": 16, "top": 14, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 270 if frame.narrow else 340
    x = scale_around([point["time"] for point in points], width, room=0.14)
    y = _metric_scale(points, verdict, height)
    drawn = [{**_clamped(point, y), "colour": look[point["arm"]].colour} for point in points]
    pixels = [(x.at(point["time"]), height - y.at(point["mean"])) for point in drawn]
    names = [shortened(point["arm"], frame.label) for point in points]
    boxes = beside(pixels, names, font_size=frame.font, frame=(width, height), lines=_whiskers(drawn, x, y))
    labels = [
        {"text": name, "colour": _label_colour(look[point["arm"]]), "x": x.value(box.x), "y": y.value(height - box.y)}
        for name, point, box in zip(names, points, boxes, strict=True)
    ]
    across, up = alt.X("x:Q", scale=x.to_altair()), alt.Y("y:Q", scale=y.to_altair())
    layers = [*_points(drawn, x, y, frame), *haloed(labels, frame, x=across, y=up, align="left")]
    return sized(layers, width=width, height=height, padding=padding)


def _metric_scale(points: Sequence[Row], verdict: Verdict, height: float) -> Scale:
    """Return a scale for the best set and the baseline; arms far outside are arrows at its edge."""
    spans = {row["arm"]: [row[end] for end in ("low", "mean", "high") if row[end] is not None] for row in points}
    values = [value for span in spans.values() for value in span]
    wanted = {*verdict.best_set, verdict.baseline}
    low, high = focus(values, [value for arm, span in spans.items() if arm in wanted for value in span] or values)
    return scale_around([low, high], height, room=0.08)


def _clamped(point: Row, y: Scale) -> dict[str, Any]:
    """Return a point with its shape; one beyond the scale becomes an arrow at the edge, without its interval."""
    side = y.beyond(point["mean"])
    if not side:
        return {**point, "shape": "circle"}
    edge = y.value(8.0 if side < 0 else y.pixels - 8.0)
    return {**point, "mean": edge, "low": None, "high": None, "shape": "triangle-up" if side > 0 else "triangle-down"}


def _whiskers(points: Sequence[Row], x: Scale, y: Scale) -> list[Box]:
    known = [row for row in points if row["low"] is not None and row["high"] is not None]
    spans = [(x.at(row["time"]), y.at(row["low"]), y.at(row["high"])) for row in known]
    return [Box(x=at - 3, y=y.pixels - (low + high) / 2, width=6, height=high - low) for at, low, high in spans]


def _points(points: Sequence[Row], x: Scale, y: Scale, frame: Frame) -> list[alt.Chart]:
    digits = decimals(y.high - y.low)
    across = alt.X(
        "time:Q",
        scale=x.to_altair(),
        title="step time relative to the baseline",
        axis=ticked(x, frame, about=5, label="format(datum.value, '~g') + 'x'"),
    )
    up = alt.Axis(
        values=y.ticks(5),
        ticks=False,
        domain=False,
        labelFontSize=frame.font - 1,
        format=f".{digits}f" if digits <= 6 else ".1e",
    )
    colour = alt.Color("colour:N", scale=None)
    known = [point for point in points if point["low"] is not None and point["high"] is not None]
    bars = alt.Chart(data(known)).mark_rule(strokeWidth=2, opacity=0.55, strokeCap="round", clip=True)
    dots = alt.Chart(data(points)).mark_point(filled=True, size=110, opacity=1, stroke="var(--page)", strokeWidth=2)
    shape, fill = alt.Shape("shape:N", scale=None), alt.Fill("colour:N", scale=None)
    return [
        bars.encode(x=across, y=alt.Y("low:Q", scale=y.to_altair(), title=None, axis=up), y2="high:Q", color=colour),
        dots.encode(x=across, y=alt.Y("mean:Q", scale=y.to_altair()), fill=fill, shape=shape),
    ]
