"""Rows of cells from a text file with commas, semicolons, tabs, or in Markdown or LaTeX."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from actlab.errors import TableError
from actlab.published.latex import is_latex, latex_rows

__all__ = ["RawTable", "read_cells"]

_SEPARATORS = ("\t", "|", ";", ",")
_MOST_ROWS = 500  # all pairs are compared
_MOST_BYTES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Table as text.

    Attributes:
        header: names of the columns.
        rows: line of the file and cells, as many as columns.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_cells(path: Path) -> RawTable:
    """Read a table. Empty lines, lines that begin with # and the rule below a Markdown header are left out.

    Args:
        path: of a file in UTF-8.

    Raises:
        TableError: there is no such file, it is no text, or a line has another number of cells than the header.
    """
    text = _text(path)
    if is_latex(text):
        return _table(path, latex_rows(text, str(path)))
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if not _is_left_out(line)]
    first = lines[0][1] if lines else ""
    separator = max(_SEPARATORS, key=lambda mark: (mark in first, -_SEPARATORS.index(mark)))
    return _table(path, [(number, _cells(line, separator, number)) for number, line in lines])


def _table(path: Path, split: list[tuple[int, tuple[str, ...]]]) -> RawTable:
    if len(split) < 2:
        raise TableError(
            f"{path} has no table: a line with the names of the columns and a line for each row are needed."
        )
    if len(split) > _MOST_ROWS:
        raise TableError(
            f"{path} has {len(split)} lines; up to {_MOST_ROWS} are read. Is it a table of single runs? Means are needed."
        )
    header = split[0][1]
    if len(header) < 2:
        raise TableError(
            f"{path} has one column, {header[0]!r}; commas, semicolons, tabs, | or & must stand between the columns, in the first line too."
        )
    for number, cells in split[1:]:
        if len(cells) != len(header):
            raise TableError(
                f"Line {number} of {path} has {len(cells)} cells, the header has {len(header)}: {', '.join(header)}. "
                'Put a cell that contains the separator into "quotes".'
            )
    return RawTable(header=header, rows=tuple(split[1:]))


def _text(path: Path) -> str:
    if not path.exists():
        raise TableError(f"There is no file {path}; looked in {path.parent.resolve()}.")
    if path.is_dir():
        raise TableError(f"{path} is a folder; a file with a table is needed, such as {path / 'table.csv'}.")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TableError(f"{path} has more than {_MOST_BYTES // 1_000_000} MB; a table of means is needed.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise TableError(f"{path} is no text in UTF-8; save the table as CSV in UTF-8.") from None
    if "\0" in text:
        raise TableError(f"{path} is no text; save the table as CSV in UTF-8.")
    return text


def _is_left_out(line: str) -> bool:
    stripped = line.strip()
    return (
        not stripped.strip(",;| \t") or stripped.startswith("#") or ("-" in stripped and not stripped.strip("|:- \t"))
    )


def _cells(line: str, separator: str, number: int) -> tuple[str, ...]:
    if separator == "|":
        line = line.strip().removeprefix("|").removesuffix("|")
    try:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=separator != "|"))
    except csv.Error as error:
        raise TableError(f"Line {number} cannot be split into cells: {error}. A quote is not closed.") from None
    return tuple(cell.strip() for cell in cells)
