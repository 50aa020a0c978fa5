"""Borderless rich tables of text rows or of name-value pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["below", "name_value_table", "text_table"]


def text_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """Return a table without lines, its first column bold.

    Args:
        headings: one per column.
        rows: cells as text (markup is not interpreted).
        right: headings of the columns that are aligned right.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            overflow="fold",
            style="bold" if number == 0 else "",
        )
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def name_value_table(values: Mapping[str, str | None]) -> Table:
    """Return a table of names and values, without those that are empty or None."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        if value:
            table.add_row(name, Text(value))
    return table


def below(text: str, *, style: str = "dim") -> Padding:
    """Return text with an empty line above it."""
    return Padding(Text(text, style=style), (1, 0, 0, 0))
