"""Published table of means, with the figures of its rows and what its columns say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from actlab.errors import TableError, did_you_mean
from actlab.published.cells import Figure, clean, figure, interval_cell, is_missing, mean_cell, p_cell
from actlab.published.columns import Columns, direction_of, level_of, possible_range, runs_in, words_of
from actlab.published.settings import LintSettings
from actlab.published.text_file import RawTable
from actlab.stats.published.figure_range import Range

__all__ = ["Claimed", "PublishedTable", "Row", "Spread", "means_table", "row_name", "whole_number"]

Cells = tuple[str, ...]
_LARGEST = 1e15
_MOST = 10**6  # runs or cases


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """Figure of a row that is recomputed from others, as printed and as the range that it may stand for."""

    text: str
    range: Range


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Printed spread of a row.

    Attributes:
        kind: "sd", "se" or "ci" (half width of an interval of the mean).
        figure: as printed.
    """

    kind: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Row:
    """Row of a table of means.

    Attributes:
        name: of the row.
        line: of the file.
        mean: as printed.
        spreads: printed spreads, the standard deviation first.
        runs: number of runs, or None where it is not known.
        p: p-value of the difference from the baseline.
        d: standardised difference from the baseline.
        interval: ends of an interval, of the mean or of the difference from the baseline.
        interval_text: as printed.
    """

    name: str
    line: int
    mean: Figure
    spreads: tuple[Spread, ...] = ()
    runs: int | None = None
    p: Claimed | None = None
    d: Claimed | None = None
    interval: tuple[Range, Range] | None = None
    interval_text: str = ""


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """Table of means, with what its columns and the settings say.

    Attributes:
        name: of the file.
        metric: name of the column with the means.
        direction: "max" or "min".
        rows: in the order of the file.
        baseline: index of the row that p-values and differences refer to.
        spread_assumed: whether nothing says what kind of spread is printed.
        level: confidence level of intervals.
        limits: smallest and largest possible value of the metric.
        scale: value of the metric for a share of 1, 1 or 100.
        notes: what was assumed or left out in reading, in sentences.
    """

    name: str
    metric: str
    direction: str
    rows: tuple[Row, ...]
    baseline: int
    spread_assumed: bool
    level: float
    limits: tuple[float, float]
    scale: float
    notes: tuple[str, ...]


def means_table(path: Path, raw: RawTable, columns: Columns, settings: LintSettings) -> PublishedTable:
    """Return a table of means.

    Raises:
        TableError: a cell cannot be read, a figure is impossible, or the table does not say which direction is better.
    """
    assert columns.mean is not None  # noqa: S101 # tables of wins are read elsewhere
    title = columns.header[columns.mean]
    direction = settings.direction or direction_of(title)
    if direction is None:
        raise TableError(
            f"The column {title!r} does not say whether larger or smaller is better; give --direction max or --direction min."
        )
    kind, assumed = _kind_of_spread(columns, settings)
    has_mean = [row for row in raw.rows if not is_missing(row[1][columns.mean])]
    rows = [_row(line, cells, columns, settings, kind) for line, cells in has_mean]
    if len(rows) < 2:
        raise TableError(f"{path} has {len(rows)} row with a number in the column {title!r}; two or more are needed.")
    _check_units(rows, title)
    _check_names(rows)
    values = [row.mean.value for row in rows]
    found = possible_range(title, values, any(row.mean.percent for row in rows))
    left_out = [
        f"Line {line} ({cells[columns.name or 0]}) has no mean and is left out."
        for line, cells in raw.rows
        if (line, cells) not in has_mean
    ]
    return PublishedTable(
        name=path.name,
        metric=clean(title),
        direction=direction,
        rows=tuple(rows),
        baseline=_baseline(rows, settings.baseline),
        spread_assumed=assumed and any(spread.kind == kind for row in rows for spread in row.spreads),
        level=next(
            (level_of(columns.title(role)) for role in ("interval", "half", "low") if role in columns.others), 0.95
        ),
        limits=settings.limits or found,
        scale=100.0 if found[1] == 100.0 or any(row.mean.percent for row in rows) else 1.0,
        notes=(*left_out, *_unread(columns)),
    )


def index_of(rows: list[Row] | tuple[Row, ...], name: str, what: str) -> int:
    """Return the index of a row.

    Raises:
        TableError: no row has that name.
    """
    names = [row.name for row in rows]
    wanted = [i for i, known in enumerate(names) if known.lower() == clean(name).lower()]
    if not wanted:
        raise TableError(
            f"{what} is {name!r}; there is no such row.{did_you_mean(name, names)} Rows are {', '.join(names)}."
        )
    return wanted[0]


def row_name(cells: Cells, columns: Columns, line: int) -> str:
    """Return the name of a row; where the table has none, its line."""
    return clean(cells[columns.name]) if columns.name is not None and cells[columns.name].strip() else f"line {line}"


def whole_number(text: str, what: str, line: int, least: int) -> int:
    """Return a count.

    Raises:
        TableError: the cell holds no whole number, or one below ``least``.
    """
    value = figure(text, what, line).value
    if value != int(value) or not least <= value <= _MOST:
        raise TableError(
            f"Line {line}: {text.strip()!r} in the column {what!r}; a whole number from {least} to {_MOST} is needed."
        )
    return int(value)


def _kind_of_spread(columns: Columns, settings: LintSettings) -> tuple[str, bool]:
    """Return what a spread of unknown kind is taken for, and whether nothing says so."""
    if settings.spread is not None:
        return settings.spread, False
    if "sd" in columns.others:
        return "sd", False
    titles = [
        columns.header[columns.mean or 0],
        *(columns.title(role) for role in ("spread",) if role in columns.others),
    ]
    words = {word for title in titles for word in words_of(title)}
    for kind, own in (
        ("ci", {"ci", "confidence"}),
        ("se", {"se", "sem", "stderr"}),
        ("sd", {"sd", "std", "stdev", "sigma", "deviation"}),
    ):
        if words & own:
            return kind, False
    return "sd", True


def _row(line: int, cells: Cells, columns: Columns, settings: LintSettings, kind: str) -> Row:
    assert columns.mean is not None  # noqa: S101 # see above
    has = {role: cells[i] for role, i in columns.others.items() if not is_missing(cells[i])}
    cell = mean_cell(cells[columns.mean], columns.header[columns.mean], line)
    kinds = {"sd": "sd", "spread": kind, "se": "se", "half": "ci"}
    spreads = [
        Spread(kind=kinds[role], figure=figure(has[role], columns.title(role), line))
        for role in ("sd", "spread")
        if role in has
    ]
    if cell.spread is not None:
        spreads.append(Spread(kind=kind, figure=cell.spread))
    spreads += [
        Spread(kind=kinds[role], figure=figure(has[role], columns.title(role), line))
        for role in ("se", "half")
        if role in has
    ]
    ends, text = _interval(has, columns, line)
    if isinstance(ends, Figure):
        spreads.append(Spread(kind="ci", figure=ends))
        ends = None
    if cell.interval is not None and ends is None:
        ends = (cell.interval[0].range, cell.interval[1].range)
        text = f"{cell.interval[0].value:g} to {cell.interval[1].value:g}"
    for spread in spreads:
        if spread.figure.value < 0:
            raise TableError(
                f"Line {line}: the spread {spread.figure.value:g} is negative; a number from 0 up is needed."
            )
    if ends is not None and ends[0].low > ends[1].high:
        raise TableError(
            f"Line {line}: the interval {text} of {row_name(cells, columns, line)} ends below its beginning; the smaller end comes first."
        )
    counted = whole_number(has["runs"], columns.title("runs"), line, 1) if "runs" in has else None
    stated = runs_in(*(columns.header[i] for i in (columns.mean, *columns.others.values())))
    return Row(
        name=row_name(cells, columns, line),
        line=line,
        mean=cell.mean,
        spreads=tuple(spreads),
        runs=counted or settings.runs or stated,
        p=Claimed(text=clean(has["p"]), range=p_cell(has["p"], columns.title("p"), line)) if "p" in has else None,
        d=Claimed(text=clean(has["d"]), range=abs(figure(has["d"], columns.title("d"), line).range))
        if "d" in has
        else None,
        interval=ends,
        interval_text=text,
    )


def _interval(has: dict[str, str], columns: Columns, line: int) -> tuple[tuple[Range, Range] | Figure | None, str]:
    if "low" in has and "high" in has:
        low, high = (figure(has[role], columns.title(role), line) for role in ("low", "high"))
        return (low.range, high.range), f"{clean(has['low'])} to {clean(has['high'])}"
    if "interval" in has:
        return interval_cell(has["interval"], columns.title("interval"), line), clean(has["interval"])
    return None, ""


def _check_units(rows: list[Row], title: str) -> None:
    for row in rows:
        if not row.mean.percent and any(spread.figure.percent for spread in row.spreads):
            raise TableError(
                f"Line {row.line}: the spread is in per cent and the mean in the column {title!r} is not; write both in one unit."
            )
        for value in (row.mean.value, *(spread.figure.value for spread in row.spreads)):
            if not abs(value) < _LARGEST:
                raise TableError(f"Line {row.line}: {value:g} is too large; numbers below {_LARGEST:g} are read.")


def _check_names(rows: list[Row]) -> None:
    twice = next((name for name, count in Counter(row.name.lower() for row in rows).items() if count > 1), None)
    if twice is not None:
        lines = [row.line for row in rows if row.name.lower() == twice]
        raise TableError(
            f"Lines {lines[0]} and {lines[1]} are both named {rows[[row.line for row in rows].index(lines[0])].name!r}. "
            "Names must differ: a row of means for each name, of one data set and model; no single runs."
        )


def _baseline(rows: list[Row], name: str | None) -> int:
    if name is not None:
        return index_of(rows, name, "The baseline")
    bare = [i for i, row in enumerate(rows) if row.p is None and row.d is None]
    return bare[0] if len(bare) == 1 else 0


def _unread(columns: Columns) -> list[str]:
    return [f"Not read: {', '.join(columns.unread)}; --mean chooses another column."] if columns.unread else []
