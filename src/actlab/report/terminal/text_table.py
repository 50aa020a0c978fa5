"""Borderless rich tables of text rows, whose long cells are shortened, or of name-value pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["ListTable", "below", "name_value_table", "shortened", "text_table"]

GAP = 2  # spaces between columns
NARROWEST = 12  # characters to which a cell may be shortened


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


@dataclass(frozen=True, kw_only=True)
class ListTable:
    """Table of which every row is one line; where it is wider than the terminal, cells of some columns are shortened.

    Attributes:
        headings: one per column.
        rows: cells as text.
        right: headings of the columns that are aligned right.
        end: headings of the columns whose cells are shortened at their end.
        middle: headings of the columns whose cells are shortened in the middle, such as paths.
        longest: number of characters to which cells of ``end`` are shortened in any case; None for no limit.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    right: Sequence[str] = ()
    end: Sequence[str] = ()
    middle: Sequence[str] = ()
    longest: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        texts = [[str(cell) for cell in row] for row in self.rows]
        widths = self._widths(texts, options.max_width)
        rows = [
            [
                shortened(cell, width, middle=heading in self.middle)
                for cell, width, heading in zip(row, widths, self.headings, strict=True)
            ]
            for row in texts
        ]
        yield text_table(self.headings, rows, right=self.right)

    def _widths(self, texts: Sequence[Sequence[str]], room: int) -> list[int]:
        """Return the widths of the columns; the widest that may be shortened loses characters first."""
        widths = [max(map(cell_len, column)) for column in zip(self.headings, *texts, strict=True)]
        flexible = [i for i, heading in enumerate(self.headings) if heading in {*self.end, *self.middle}]
        for i in flexible:
            if self.longest is not None and self.headings[i] in self.end:
                widths[i] = min(widths[i], self.longest)
        excess = sum(widths) + GAP * (len(widths) - 1) - room
        while excess > 0 and (wide := [i for i in flexible if widths[i] > NARROWEST]):
            widest = max(wide, key=widths.__getitem__)
            widths[widest] -= 1
            excess -= 1
        return widths


def shortened(text: str, width: int, *, middle: bool = False) -> str:
    """Return text of at most ``width`` characters, with an ellipsis at the end or in the middle for what is left out.

    Example:
        >>> shortened("encoder.layers.0.intermediate.act", 20, middle=True)
        'encoder.la…diate.act'
        >>> shortened("x*sigmoid(beta*x)", 10)
        'x*sigmoid…'
    """
    text = " ".join(text.split())
    if cell_len(text) <= width:
        return text
    if not middle:
        return f"{text[: width - 1]}…"
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


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
