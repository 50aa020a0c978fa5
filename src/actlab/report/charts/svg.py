"""Chart sizes, labels and axes, and conversion of altair charts to inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from actlab.report.charts.scales import Scale
from actlab.report.content.series import Row
from actlab.system.printable import printable

__all__ = ["NARROW", "WIDE", "Frame", "data", "haloed", "sized", "svg", "texts", "ticked"]

CONFIG = {
    # the page gives each chart one alternative text; with labels per mark, screen readers would read out every mark
    "aria": False,
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
    """Size of a chart.

    Attributes:
        width: total width in CSS pixels.
        font: font size in CSS pixels.
        label: maximum number of characters of a label.
    """

    width: int
    font: float
    label: int

    @property
    def narrow(self) -> bool:
        """Whether the chart is for a phone."""
        return self.width < 500


WIDE = Frame(width=760, font=12.5, label=32)
NARROW = Frame(width=350, font=11.5, label=16)


def svg(chart: alt.TopLevelMixin, *, name: str) -> str:
    """Return a chart as an SVG element, with ``name`` in its ids to make them unique in a page."""
    # not validated here, which would take a third of the time of a page; the tests validate
    drawn = _printable(chart.to_dict(validate=False))
    text = vl_convert.vegalite_to_svg(drawn, config=CONFIG, allowed_base_urls=[])
    for reference in ('id="', "url(#"):
        for kind in ("clip", "gradient_"):
            text = text.replace(f"{reference}{kind}", f"{reference}{name}-{kind}")
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _printable(value: Any) -> Any:
    """Return a chart's description whose texts have no unprintable characters; a lone surrogate ends vl_convert's process."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as the data of a layer."""
    return alt.InlineData(values=list(rows))


def sized(layers: Sequence[alt.Chart], *, width: float, height: float, padding: Mapping[str, float]) -> alt.LayerChart:
    """Return the layers as a chart of exact size, given the plotting area and the padding around it."""
    return alt.LayerChart(
        layer=list(layers),
        width=width,
        height=height,
        padding=padding,
        autosize=alt.AutoSizeParams(type="none", contains="content"),
    )


def texts(rows: Sequence[Row], frame: Frame, *, x: Any, y: Any, **mark: Any) -> alt.Chart:
    """Return a layer of labels; ``rows`` have ``text`` and ``colour``."""
    marked = alt.Chart(data(rows)).mark_text(baseline="middle", fontSize=frame.font, **mark)
    labels: alt.Chart = marked.encode(x=x, y=y, text="text:N", color=alt.Color("colour:N", scale=None))
    return labels


def haloed(rows: Sequence[Row], frame: Frame, **placed: Any) -> list[alt.Chart]:
    """Return labels outlined in the page's colour, for places where lines and dots lie behind them."""
    rim = {"stroke": "var(--page)", "strokeWidth": 4, "strokeJoin": "round"}
    return [texts(rows, frame, **placed, **rim), texts(rows, frame, **placed)]


def ticked(axis: Scale, frame: Frame, *, about: int, grid: bool = True, label: str = "") -> alt.Axis:
    """Return an axis with round ticks, and grid lines or a base line.

    Args:
        axis: its scale.
        frame: size of the chart.
        about: approximate number of ticks.
        grid: whether to draw grid lines instead of a base line with ticks.
        label: Vega expression of a tick's text; by default the number with a typographic minus.
    """
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
