"""Charts as SVG: learning curves, paired differences, cost against quality. The numbers are those of `series`.

Every chart is a Vega-Lite description (altair) that vl-convert turns into SVG inside this process: no browser and no network.
Colours are CSS variables, so one drawing serves the light and the dark page; the page embeds a wide and a narrow drawing and
shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

from actlab.report.amounts import decimals, signed
from actlab.report.palette import Look, looks
from actlab.report.placing import Box, beside, shortened, spread, text_width
from actlab.report.scales import Scale, focus, scale_around
from actlab.report.series import Row, costs, curves, differences, seed_differences, smoothed

if TYPE_CHECKING:
    from actlab.studies.verdict import Verdict

__all__ = ["NARROW", "WIDE", "Frame", "cost_plot", "curve_plot", "difference_plot", "svg"]

CONFIG = {
    "aria": False,  # the page gives each chart one text alternative; a label per mark would be read out mark by mark
    "background": None,
    "font": "inherit",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--line)",
        "gridColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "labelPadding": 5,
        "tickSize": 4,
    },
}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Size of a drawing in CSS pixels: the whole width, its font size and how many characters a label may have."""

    width: int
    font: float
    label: int

    @property
    def narrow(self) -> bool:
        """Whether this is the drawing for a phone."""
        return self.width < 500


WIDE = Frame(width=760, font=12.5, label=32)
NARROW = Frame(width=350, font=11.5, label=16)


def svg(chart: alt.TopLevelMixin, *, name: str) -> str:
    """Return the chart as an SVG element; ``name`` makes its inner ids unique, so that many can share one page."""
    text = vl_convert.vegalite_to_svg(chart.to_dict(), config=CONFIG, allowed_base_urls=[])
    for reference in ('id="', "url(#"):
        for kind in ("clip", "gradient_"):
            text = text.replace(f"{reference}{kind}", f"{reference}{name}-{kind}")
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _data(rows: Sequence[Row]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _sized(layers: Sequence[alt.Chart], *, width: float, height: float, padding: Mapping[str, float]) -> alt.LayerChart:
    """Return the layers in a frame of exact size: the plotting area and ``padding`` around it, whatever stands there."""
    return alt.LayerChart(
        layer=list(layers),
        width=width,
        height=height,
        padding=padding,
        autosize=alt.AutoSizeParams(type="none", contains="content"),
    )


def _text(rows: Sequence[Row], frame: Frame, *, x: Any, y: Any, **mark: Any) -> alt.Chart:
    """Return a layer of direct labels; ``rows`` have ``text``, ``colour`` and ``bold``."""
    marked = alt.Chart(_data(rows)).mark_text(baseline="middle", fontSize=frame.font, **mark)
    labels: alt.Chart = marked.encode(x=x, y=y, text="text:N", color=alt.Color("colour:N", scale=None))
    return labels


def _labelled(look: Look) -> str:
    return look.colour if look.best or look.baseline else "var(--muted)"


def curve_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return the learning curves: median training loss over seeds, the middle half as a band, lines named at their ends.

    The loss axis is logarithmic where the losses span a factor of five. None when no trial has a curve.
    """
    points = smoothed(curves(verdict, rows))
    if not points:
        return None
    look = looks(verdict)
    longest = max(text_width(shortened(arm, frame.label), frame.font) for arm in {point["arm"] for point in points})
    padding = {"left": 34 if frame.narrow else 40, "right": longest + 12, "top": 8, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 250 if frame.narrow else 340
    x = scale_around([point["step"] for point in points], width, room=0)
    y = scale_around([point[end] for point in points for end in ("low", "high")], height, log=True)
    across = alt.X(
        "step:Q",
        scale=x.described(),
        title="training step",
        axis=_ticked(x, frame, about=4 if frame.narrow else 7, grid=False),
    )
    layers = []
    for arm in reversed(verdict.arms):  # the best is drawn last, on top
        mine = [point for point in points if point["arm"] == arm.spec]
        layers += _curve(mine, look[arm.spec], across, y, frame) if mine else []
    last = {point["arm"]: point for point in points}
    names = _end_labels(last, look, y, frame)
    layers.append(_text(names, frame, x=alt.value(width + 8), y=alt.Y("y:Q", scale=y.described()), align="left"))
    return _sized(layers, width=width, height=height, padding=padding)


def _curve(points: Sequence[Row], look: Look, across: alt.X, y: Scale, frame: Frame) -> list[alt.Chart]:
    up = alt.Y("median:Q", scale=y.described(), title=None, axis=_ticked(y, frame, about=5))
    band = alt.Chart(_data(points)).mark_area(color=look.colour, opacity=0.16 if look.best else 0.10, clip=True)
    line = alt.Chart(_data(points)).mark_line(
        color=look.colour, strokeWidth=2.2 if look.best or look.baseline else 1.3, strokeDash=list(look.dash), clip=True
    )
    return [band.encode(x=across, y=alt.Y("low:Q", scale=y.described()), y2="high:Q"), line.encode(x=across, y=up)]


def _end_labels(last: dict[str, dict[str, Any]], look: dict[str, Look], y: Scale, frame: Frame) -> list[dict[str, Any]]:
    ends = [y.at(point["median"]) for point in last.values()]
    places = spread(ends, gap=1.2 * frame.font, low=4, high=y.pixels - 4)
    return [
        {"text": shortened(arm, frame.label), "colour": _labelled(look[arm]), "y": y.value(place)}
        for arm, place in zip(last, places, strict=True)
    ]


def _ticked(axis: Scale, frame: Frame, *, about: int, grid: bool = True, label: str = "") -> alt.Axis:
    return alt.Axis(
        values=axis.ticks(about),
        grid=grid,
        domain=not grid,
        ticks=not grid,
        labelFontSize=frame.font - 1,
        titleFontSize=frame.font,
        titlePadding=8,
        labelOverlap=False,
        labelExpr=label or "replace(format(datum.value, '~g'), '-', '\u2212')",
    )


def difference_plot(verdict: Verdict, rows: Iterable[Row], frame: Frame) -> alt.LayerChart | None:
    """Return each arm's difference to the baseline: the mean, its interval, a dot for every seed, the zero line, the ROPE.

    Arms stand in the verdict's order, best first. None when nothing can be compared.
    """
    means = differences(verdict)
    if not means:
        return None
    dots = seed_differences(verdict, rows)
    look = looks(verdict)
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
    rope = verdict.rope or 0.0
    x = _difference_scale(means, dots, verdict, width)
    down = band / 2 + (5 if frame.narrow else -4)
    places = [{**row, "y": order[row["arm"]] * band + down, "colour": look[row["arm"]].colour} for row in means]
    seeds = [
        {**dot, "y": order[dot["arm"]] * band + down + 11, "colour": look[dot["arm"]].colour}
        for dot in dots
        if dot["arm"] in order and not x.beyond(dot["difference"])
    ]
    layers = [
        *_guides(verdict, rope, x, height, frame),
        *_intervals(places, seeds, x, height),
        *_difference_labels(places, look, frame, width, height),
    ]
    return _sized(layers, width=width, height=height, padding=padding)


def _difference_scale(means: Sequence[Row], dots: Sequence[Row], verdict: Verdict, width: float) -> Scale:
    """Return a scale that shows the best set, zero and the ROPE well; arms far outside stand at its edge as arrows."""
    guides = [0.0, -verdict.rope, verdict.rope]
    spans = {row["arm"]: [row[end] for end in ("low", "mean", "high") if row[end] is not None] for row in means}
    seeds = [dot["difference"] for dot in dots]
    low, high = focus(
        [*guides, *seeds, *(value for span in spans.values() for value in span)],
        [*guides, *(value for arm, span in spans.items() if arm in verdict.best_set for value in span)],
    )
    return scale_around([low, high], width)


def _guides(verdict: Verdict, rope: float, x: Scale, height: float, frame: Frame) -> list[alt.Chart]:
    better = "\u2192 better" if verdict.direction == "max" else "\u2190 better"
    title = f"{verdict.metric} minus that of {verdict.baseline}   {better}"
    axis = _ticked(
        x,
        frame,
        about=5 if frame.narrow else 7,
        grid=False,
        label="(datum.value > 0 ? '+' : '') + replace(format(datum.value, '~g'), '-', '\u2212')",
    )
    bottom = {"y": alt.value(0), "y2": alt.value(height)}
    zero = alt.Chart(_data([{"x": 0.0}])).mark_rule(color="var(--ink)", strokeWidth=1.2)
    guides = [zero.encode(x=alt.X("x:Q", scale=x.described(), title=title, axis=axis), **bottom)]
    if rope:
        region = alt.Chart(_data([{"x": -rope, "x2": rope}])).mark_rect(color="var(--rope)")
        guides.insert(0, region.encode(x=alt.X("x:Q", scale=x.described()), x2="x2:Q", **bottom))
        name = [{"text": "practically the same", "colour": "var(--muted)"}]
        half = text_width(name[0]["text"], frame.font) / 2
        middle = min(max(x.at(0.0), half), x.pixels - half)
        guides.append(_text(name, frame, x=alt.value(middle), y=alt.value(-11), align="center"))
    return guides


def _intervals(places: Sequence[Row], seeds: Sequence[Row], x: Scale, height: float) -> list[alt.Chart]:
    across, colour = x.described(), alt.Color("colour:N", scale=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    inside = [row for row in places if not x.beyond(row["mean"])]
    dots = alt.Chart(_data(seeds)).mark_point(filled=True, size=20, opacity=0.55, strokeWidth=0)
    known = [row for row in inside if row["low"] is not None and row["high"] is not None]
    lines = alt.Chart(_data(known)).mark_rule(strokeWidth=3, strokeCap="round", clip=True)
    means = alt.Chart(_data(inside)).mark_point(filled=True, size=95, opacity=1, stroke="var(--page)", strokeWidth=2)
    return [
        dots.encode(x=alt.X("difference:Q", scale=across), y=y, color=colour),
        lines.encode(x=alt.X("low:Q", scale=across), x2="high:Q", y=y, color=colour),
        means.encode(x=alt.X("mean:Q", scale=across), y=y, fill=alt.Fill("colour:N", scale=None)),
        *_arrows(places, x, y),
    ]


def _arrows(places: Sequence[Row], x: Scale, y: alt.Y) -> list[alt.Chart]:
    """Return the marks of arms that lie beyond the scale: an arrow at the edge, towards where they are."""
    layers = []
    for side, shape, edge in ((-1, "triangle-left", 8.0), (1, "triangle-right", x.pixels - 8.0)):
        outside = [row for row in places if x.beyond(row["mean"]) == side]
        arrow = alt.Chart(_data(outside)).mark_point(filled=True, size=70, opacity=1, shape=shape)
        layers.append(arrow.encode(x=alt.value(edge), y=y, color=alt.Color("colour:N", scale=None)))
    return layers


def _difference_labels(
    places: Sequence[Row], look: dict[str, Look], frame: Frame, width: float, height: float
) -> list[alt.Chart]:
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    digits = decimals(
        *(row["high"] - row["low"] for row in places if row["low"] is not None and row["high"] is not None)
    )
    lift = -19 if frame.narrow else 0
    names = [
        {"text": shortened(row["arm"], 32), "colour": _labelled(look[row["arm"]]), "y": row["y"] + lift}
        for row in places
    ]
    sums = [{"text": signed(row["mean"], digits), "colour": "var(--ink)", "y": row["y"] + lift} for row in places]
    at_left = {"x": alt.value(0), "align": "left"} if frame.narrow else {"x": alt.value(-12), "align": "right"}
    at_right = (
        {"x": alt.value(width), "align": "right"} if frame.narrow else {"x": alt.value(width + 14), "align": "left"}
    )
    halo = {"stroke": "var(--page)", "strokeWidth": 4, "strokeJoin": "round"}
    under = [_text(names, frame, y=y, **at_left, **halo)] if frame.narrow else []  # the names cross the zero line there
    return [*under, _text(names, frame, y=y, **at_left), _text(sums, frame, y=y, **at_right)]


def cost_plot(verdict: Verdict, frame: Frame) -> alt.LayerChart | None:
    """Return price and yield of every arm: step time against the baseline across, the metric with its interval upwards.

    None when fewer than two arms have both.
    """
    points = costs(verdict)
    if len(points) < 2:
        return None
    look = looks(verdict)
    padding = {"left": 56 if frame.narrow else 62, "right": 16, "top": 14, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], 270 if frame.narrow else 340
    x = scale_around([point["time"] for point in points], width, room=0.14)
    y = _metric_scale(points, verdict, height)
    drawn = [{**_held(point, y), "colour": look[point["arm"]].colour} for point in points]
    pixels = [(x.at(point["time"]), height - y.at(point["mean"])) for point in drawn]
    names = [shortened(point["arm"], frame.label) for point in points]
    boxes = beside(pixels, names, font_size=frame.font, frame=(width, height), lines=_whiskers(drawn, x, y))
    labels = [
        {"text": name, "colour": _labelled(look[point["arm"]]), "x": x.value(box.x), "y": y.value(height - box.y)}
        for name, point, box in zip(names, points, boxes, strict=True)
    ]
    across, up = alt.X("x:Q", scale=x.described()), alt.Y("y:Q", scale=y.described())
    layers = [*_points(drawn, x, y, frame), _text(labels, frame, x=across, y=up, align="left")]
    return _sized(layers, width=width, height=height, padding=padding)


def _metric_scale(points: Sequence[Row], verdict: Verdict, height: float) -> Scale:
    """Return a scale that shows the best set and the baseline well; arms far outside stand at its edge as arrows."""
    spans = {row["arm"]: [row[end] for end in ("low", "mean", "high") if row[end] is not None] for row in points}
    values = [value for span in spans.values() for value in span]
    wanted = {*verdict.best_set, verdict.baseline}
    low, high = focus(values, [value for arm, span in spans.items() if arm in wanted for value in span] or values)
    return scale_around([low, high], height, room=0.08)


def _held(point: Row, y: Scale) -> dict[str, Any]:
    """Return a point on the scale; one beyond it becomes an arrow at the edge, without its interval."""
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
        scale=x.described(),
        title="time per step against the baseline",
        axis=_ticked(x, frame, about=5, label="format(datum.value, '~g') + 'x'"),
    )
    up = alt.Axis(values=y.ticks(5), ticks=False, domain=False, labelFontSize=frame.font - 1, format=f".{digits}f")
    colour = alt.Color("colour:N", scale=None)
    known = [point for point in points if point["low"] is not None and point["high"] is not None]
    bars = alt.Chart(_data(known)).mark_rule(strokeWidth=2, opacity=0.55, strokeCap="round", clip=True)
    dots = alt.Chart(_data(points)).mark_point(filled=True, size=110, opacity=1, stroke="var(--page)", strokeWidth=2)
    shape, fill = alt.Shape("shape:N", scale=None), alt.Fill("colour:N", scale=None)
    return [
        bars.encode(x=across, y=alt.Y("low:Q", scale=y.described(), title=None, axis=up), y2="high:Q", color=colour),
        dots.encode(x=across, y=alt.Y("mean:Q", scale=y.described()), fill=fill, shape=shape),
    ]
