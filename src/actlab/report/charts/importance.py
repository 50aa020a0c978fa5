"""Charts of activation importance, cumulative linearisation and learned curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import numpy as np

from actlab.report.charts.function import Area
from actlab.report.charts.label_layout import shortened, spread, text_width
from actlab.report.charts.scales import Scale, scale_around
from actlab.report.charts.svg import Frame, data, sized, texts, ticked
from actlab.report.content.format import plain
from actlab.report.content.model.importance import worsening

if TYPE_CHECKING:
    from actlab.diagnostics.importance_result import Importance
    from actlab.nn.probes.learned_curves import Shape
    from actlab.stats.paired_effect import Effect

__all__ = ["UNITS_SHOWN", "cumulative_plot", "distance_plot", "effect_plot", "learned_curves"]

UNITS_SHOWN: Final = 24
"""Maximum number of curves of a layer with one curve per unit; those shown are evenly spread over the distances."""

_STATES_SHOWN: Final = 12
# pixels per site
_BAND: Final = 34


def effect_plot(importance: Importance, frame: Frame, *, constant: bool) -> alt.LayerChart:
    """Return the effect of replacing each site by a line or a constant, with its interval, in order of execution."""
    effects = [(row.path, row.ablated if constant else row.linearised) for row in importance]
    names = [shortened(path, frame.label) for path, _ in effects]
    room = max(text_width(name, frame.font) for name in names) + 20
    padding = {"left": room, "right": 20, "top": 8, "bottom": 44}
    width, height = frame.width - room - 20, _BAND * len(effects)
    x = scale_around([0.0, *(end for _, effect in effects for end in (effect.low, effect.mean, effect.high))], width)
    rows = [
        {**_effect_row(effect), "y": (number + 0.5) * _BAND, "text": name}
        for number, (name, (_, effect)) in enumerate(zip(names, effects, strict=True))
    ]
    up = alt.Y("y:Q", scale=alt.Scale(domain=[height, 0], zero=False, nice=False), axis=None)
    title = f"{worsening(importance)}, {'constant' if constant else 'linearised'}"
    axis = alt.X("low:Q", scale=x.to_altair(), title=title, axis=ticked(x, frame, about=5, grid=True))
    across, colour = x.to_altair(), alt.Color("colour:N", scale=None)
    bars = alt.Chart(data(rows)).mark_rule(strokeWidth=3, strokeCap="round")
    dots = alt.Chart(data(rows)).mark_point(filled=True, size=95, opacity=1, stroke="var(--page)", strokeWidth=2)
    zero = alt.Chart(data([{"x": 0.0}])).mark_rule(color="var(--ink)", strokeWidth=1.2)
    layers = [
        zero.encode(x=alt.X("x:Q", scale=across)),
        bars.encode(x=axis, x2="high:Q", y=up, color=colour),
        dots.encode(x=alt.X("mean:Q", scale=across), y=up, fill=alt.Fill("colour:N", scale=None)),
        texts([{**row, "colour": "var(--ink)"} for row in rows], frame, x=alt.value(-10), y=up, align="right"),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def _effect_row(effect: Effect) -> dict[str, Any]:
    colour = {"worse": "var(--arm-2)", "better": "var(--arm-3)"}.get(effect.state, "var(--rest)")
    return {"low": effect.low, "mean": effect.mean, "high": effect.high, "colour": colour}


def cumulative_plot(importance: Importance, frame: Frame) -> alt.LayerChart | None:
    """Return the loss by number of linearised sites, with its interval and the tolerance; None for a single site."""
    if len(importance.steps) < 2:
        return None
    rows = [{"lines": 0, "low": 0.0, "mean": 0.0, "high": 0.0}]
    rows += [
        {"lines": number, "low": step.total.low, "mean": step.total.mean, "high": step.total.high}
        for number, step in enumerate(importance.steps, 1)
    ]
    padding = {"left": 58, "right": 16, "top": 12, "bottom": 44}
    width, height = frame.width - 74, 240
    x = Scale(low=0, high=len(importance.steps), pixels=width)
    y = scale_around([importance.tolerance, *(row[end] for row in rows for end in ("low", "high"))], height)
    integers = alt.Axis(
        values=[tick for tick in x.ticks(8) if tick == int(tick)], grid=False, labelFontSize=frame.font - 1, format="d"
    )
    across = alt.X("lines:Q", scale=x.to_altair(), title="linearised activations", axis=integers)
    up = alt.Y("mean:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5))
    tolerance = alt.Chart(data([{"y": importance.tolerance}])).mark_rule(color="var(--muted)", strokeDash=[5, 4])
    band = alt.Chart(data(rows)).mark_area(color="var(--arm-1)", opacity=0.16)
    line = alt.Chart(data(rows)).mark_line(
        color="var(--arm-1)", strokeWidth=2.2, point={"size": 45, "color": "var(--arm-1)"}
    )
    layers = [
        tolerance.encode(y=alt.Y("y:Q", scale=y.to_altair())),
        band.encode(x=across, y=alt.Y("low:Q", scale=y.to_altair()), y2="high:Q"),
        line.encode(x=across, y=up),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def distance_plot(history: Mapping[str, Sequence[Shape]], frame: Frame) -> alt.LayerChart | None:
    """Return the distance of each curve to its initial one during training, mean over units; None if nothing was recorded."""
    curves = {
        path: [(shape.step or 0, float(shape.distance.mean())) for shape in shapes] for path, shapes in history.items()
    }
    points: list[dict[str, Any]] = [
        {"path": path, "step": step, "distance": far} for path, curve in curves.items() for step, far in curve
    ]
    if len({point["step"] for point in points}) < 2:
        return None
    names = {path: shortened(path, frame.label) for path in curves}
    room = max(text_width(name, frame.font) for name in names.values()) + 16
    padding = {"left": 44, "right": room, "top": 8, "bottom": 44}
    width, height = frame.width - 44 - room, 220
    x = scale_around([point["step"] for point in points], width, room=0)
    y = scale_around([0.0, *(point["distance"] for point in points)], height)
    across = alt.X("step:Q", scale=x.to_altair(), title="training step", axis=ticked(x, frame, about=5, grid=False))
    up = alt.Y("distance:Q", scale=y.to_altair(), title=None, axis=ticked(y, frame, about=5))
    lines = alt.Chart(data(points)).mark_line(color="var(--arm-1)", strokeWidth=1.8)
    ends = spread([y.at(curve[-1][1]) for curve in curves.values()], gap=1.2 * frame.font, low=4, high=height - 4)
    labels = [
        {"text": names[path], "colour": "var(--ink)", "y": y.value(end)} for path, end in zip(curves, ends, strict=True)
    ]
    layers = [
        lines.encode(x=across, y=up, detail="path:N"),
        texts(labels, frame, x=alt.value(width + 8), y=alt.Y("y:Q", scale=y.to_altair()), align="left"),
    ]
    return sized(layers, width=width, height=height, padding=padding)


def learned_curves(shape: Shape, history: Sequence[Shape]) -> str:
    """Return the initial and learned curves of one activation as SVG, 350 by 240 pixels.

    A layer with one curve also shows states during training, later ones darker; of one with a curve per unit, a sample of units is shown.
    """
    between = _intermediate(history) if len(shape.y) == 1 else []
    now = [shape.y[unit] for unit in _units(shape)]
    start = [shape.initial[unit] for unit in (_units(shape) if _differ(shape.initial) else [0])]
    values = [float(value) for curve in (*start, *between, *now) for value in curve]
    area = Area(
        x=Scale(low=float(shape.x[0]), high=float(shape.x[-1]), pixels=300),
        y=scale_around([*values, 0.0], 190),
        left=40.0,
        top=8.0,
    )
    drawn = [_curve(area, shape, curve, "start") for curve in start]
    drawn += [
        _curve(area, shape, curve, "way", opacity=0.15 + 0.5 * number / max(1, len(between)))
        for number, curve in enumerate(between)
    ]
    drawn += [_curve(area, shape, curve, "now", opacity=1.0 if len(now) == 1 else 0.55) for curve in now]
    return f'<svg viewBox="0 0 350 240" aria-hidden="true" focusable="false">{_axes(area)}{area.zero()}{area.cut("".join(drawn))}</svg>'


def _intermediate(history: Sequence[Shape]) -> list[np.ndarray]:
    """Return the curve at some recorded steps between the first and the last."""
    inner = history[1:-1]
    return [inner[number].y[0] for number in _evenly(len(inner), _STATES_SHOWN)]


def _units(shape: Shape) -> list[int]:
    """Return the units to draw, all or a sample evenly spread over the distances."""
    order = np.argsort(shape.distance, kind="stable")
    return [int(order[place]) for place in _evenly(len(order), UNITS_SHOWN)]


def _evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` evenly spread indices below ``count``, including the first and the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))}) if count else []


def _differ(curves: np.ndarray) -> bool:
    return bool((curves != curves[:1]).any())


def _curve(area: Area, shape: Shape, curve: np.ndarray, name: str, *, opacity: float = 1.0) -> str:
    return f'<path class="shape {name}" opacity="{opacity:.2f}" d="{area.path(shape.x.tolist(), curve.tolist())}"/>'


def _axes(area: Area) -> str:
    below = area.top + area.y.pixels
    drawn = [
        f'<text class="tick" x="{area.across(x):.1f}" y="{below + 15:.1f}">{plain(x, 6)}</text>'
        for x in area.x.ticks(5)
    ]
    for y in area.y.ticks(5):
        place = area.down(y)
        drawn.append(f'<path class="grid" d="M{area.left:.1f} {place:.1f}h{area.x.pixels:.1f}"/>')
        drawn.append(f'<text class="tick left" x="{area.left - 6:.1f}" y="{place + 4:.1f}">{plain(y, 6)}</text>')
    return "".join(drawn)
