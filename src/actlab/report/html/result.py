"""HTML of the results of public functions for notebooks, made from what the command line prints."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from rich.console import RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from actlab.report.terminal.plain_text import blocks, plain_text
from actlab.report.terminal.result import renderable
from actlab.system.printable import printable

__all__ = ["html", "markup"]


def html(value: Any) -> str:
    """Return a result as one HTML element that needs no style sheet, script or file."""
    return markup(renderable(value))


def markup(shown: RenderableType) -> str:
    """Return tables as HTML tables and text as paragraphs; all text is escaped."""
    parts = (_element(block.body, 8 * block.indent) for block in blocks(shown))
    return printable(f'<div style="max-width: 60em; overflow-x: auto">{"".join(parts)}</div>')


def _element(body: RenderableType, indent: int) -> str:
    if isinstance(body, Table):
        return "".join(_table(body))
    if isinstance(body, str | Text):
        text = Text(body) if isinstance(body, str) else body
        lines = "<br>".join(map(escape, text.plain.splitlines()))
        return f'<p style="margin: 0.3em 0 0.3em {indent}px{_css(text.style)}">{lines}</p>'
    return f"<pre>{escape(plain_text(body))}</pre>"


def _table(table: Table) -> Iterator[str]:
    yield '<table style="margin: 0.6em 0; border-collapse: collapse">'
    aligned = [f"text-align: {'right' if column.justify == 'right' else 'left'}" for column in table.columns]
    if table.show_header:
        headings = (
            f'<th scope="col" style="{a}">{_cell(c.header)}</th>' for a, c in zip(aligned, table.columns, strict=True)
        )
        yield f"<thead><tr>{''.join(headings)}</tr></thead>"
    yield "<tbody>"
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        row = [f'<td style="{a}">{_cell(cell)}</td>' for a, cell in zip(aligned, cells, strict=True)]
        yield f"<tr>{''.join(row)}</tr>"
    yield "</tbody></table>"


def _cell(cell: RenderableType) -> str:
    text = cell.plain if isinstance(cell, Text) else str(cell)
    bold = isinstance(cell, Text) and "bold" in _css(cell.style)
    shown = "<br>".join(map(escape, text.splitlines()))
    return f"<b>{shown}</b>" if bold else shown


def _css(style: str | Style) -> str:
    """Return the part of a style that a page needs, as CSS declarations."""
    words = str(style).split()
    return ("; font-weight: bold" if "bold" in words else "") + ("; opacity: 0.75" if "dim" in words else "")
