"""Chart of the instructions of an exported net by layer and core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from actlab.report.charts.bench import GAP, LEGEND, ROW, legend_entries, row_names
from actlab.report.charts.label_layout import shortened, text_width
from actlab.report.charts.scales import scale_around
from actlab.report.charts.svg import Frame, data, sized, texts, ticked

if TYPE_CHECKING:
    from actlab.export.report import DeviceFigures

__all__ = ["instruction_bars"]

_BAR = 8  # pixels of a bar of the ten of a row


def instruction_bars(devices: Sequence[DeviceFigures], frame: Frame) -> alt.LayerChart | None:
    """Return a bar for each layer and core, in the order of the layers; None where no layers were counted.

    Args:
        devices: cores with figures, of the same project.
        frame: size and font.
    """
    layers = [each.layer for each in devices[0].layers] if devices else []
    if not layers:
        return None
    colours = [f"var(--arm-{place + 1})" for place in range(len(devices))]
    band = ROW * len(devices) + GAP
    names = row_names([shortened(layer, frame.label) for layer in layers], band)
    longest = max(text_width(name["text"], frame.font) for name in names)
    padding = {"left": longest + 20, "right": 24, "top": 26, "bottom": 44}
    width, height = frame.width - padding["left"] - padding["right"], band * len(layers)
    rows = _bars(devices, band, colours)
    across = scale_around([0.0, *(row["instructions"] for row in rows)], width)
    ticks = ticked(across, frame, about=3 if frame.narrow else 6, label="format(datum.value, '~s')")
    x = alt.X("instructions:Q", scale=across.to_altair(), title="instructions per inference", axis=ticks)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, height], range=[0, height], zero=False, nice=False), axis=None)
    bars = alt.Chart(data(rows)).mark_bar(size=_BAR, orient="horizontal", cornerRadiusEnd=2)
    entries = legend_entries([each.name for each in devices], colours)
    drawn = [
        bars.encode(x=x, x2=alt.X2(datum=0), y=y, color=alt.Color("colour:N", scale=None)),
        texts(names, frame, x=alt.value(-10), y=y, align="right"),
        *(
            texts([entry], frame, x=alt.value((80 if frame.narrow else LEGEND) * place), y=alt.value(-14), align="left")
            for place, entry in enumerate(entries)
        ),
    ]
    return sized(drawn, width=width, height=height, padding=padding)


def _bars(devices: Sequence[DeviceFigures], band: float, colours: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "core": device.name,
            "layer": layer.layer,
            "instructions": layer.instructions,
            "y": number * band + GAP / 2 + ROW * (place + 0.5),
            "colour": colours[place],
        }
        for place, device in enumerate(devices)
        for number, layer in enumerate(device.layers)
    ]
