"""Plot response curves, vectors and attention maps in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from actlab.nn.probes.response_curves import Bars, Lines, Map, Picture
from actlab.report.terminal.braille import curve

__all__ = ["graphs"]

# characters; two graphs side by side fit into 80 columns
WIDTH, HEIGHT = 36, 9
SHADES = " ░▒▓█"


def graphs(panels: Sequence[Picture]) -> RenderableType:
    """Return graphs side by side."""
    table = Table(box=None, show_header=False, padding=(0, 4, 0, 0), pad_edge=False)
    table.add_row(*(_panel(panel) for panel in panels))
    return table


def _panel(panel: Picture) -> Group:
    if isinstance(panel, Lines):
        return _lines(panel)
    return _bars(panel) if isinstance(panel, Bars) else _map(panel)


def _lines(panel: Lines) -> Group:
    name, values = next(iter(panel.curves.items()))
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(*known, 0.0), max(*known, 0.0)
    drawn = curve(values, width=WIDTH, height=HEIGHT, low=low, high=high)
    which = f" at {name}" if name != "f" else ""
    title = Text(f"{panel.title}{which}, {low:.3g} to {high:.3g}", style="dim")
    axis = f"{panel.x[0]:g}{'0':^{WIDTH - 4}}{panel.x[-1]:+g}"
    return Group(title, Text("\n".join(drawn)), Text(axis, style="dim"))


def _bars(panel: Bars) -> Group:
    rows = [
        f"{name:<7}{' '.join(f'{value:6.2f}' for value in vector)}"
        for name, vector in (("before", panel.before), ("after", panel.after))
    ]
    return Group(Text(panel.title, style="dim"), Text("\n".join(rows)))


def _map(panel: Map) -> Group:
    shades = ["".join(2 * SHADES[math.ceil(value * (len(SHADES) - 1))] for value in row) for row in panel.rows]
    return Group(Text(panel.title, style="dim"), Text("\n".join(shades)))
