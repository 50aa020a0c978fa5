"""Search for figures of a published table that do not follow from the other figures of their row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from actlab.published.judgement import Check, Judgement, judge
from actlab.published.result import Contradiction
from actlab.published.row_checks import ERROR_METHODS, RowChecks
from actlab.published.row_summary import MEAN, meaning_of_intervals, summary_range
from actlab.published.table import PublishedTable, Row, Spread
from actlab.stats.published.recomputed import EFFECT_FAMILIES, HALF_WIDTH_FAMILIES, P_FAMILIES

__all__ = ["Consistency", "search_table"]


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """What was found in a table.

    Attributes:
        table: with the spreads as they were read in the end.
        meaning: what its intervals are of.
        contradictions: in the order of the file.
        methods: by which method how many figures of each column follow.
        notes: what was assumed.
        misses: number of figures that no method reproduces.
        total: number of figures that were recomputed.
    """

    table: PublishedTable
    meaning: str
    contradictions: tuple[Contradiction, ...]
    methods: tuple[str, ...]
    notes: tuple[str, ...]
    misses: int
    total: int


def search_table(table: PublishedTable, *, items: int | None, paired: bool) -> Consistency:
    """Search a table for contradictions.

    Where nothing says what kind of spread is printed, standard deviations of single runs are assumed; if most other figures contradict
    that and follow from standard errors or half widths of intervals, these are taken.

    Args:
        table: with the spreads as first assumed.
        items: number of test examples that each mean is a share of, or None.
        paired: whether p-values, effect sizes and intervals of differences come from paired runs.
    """
    found = _searched(table, items, paired)
    if not table.spread_assumed:
        return found
    if 2 * found.misses > found.total:
        for kind, name in (("se", "standard error"), ("ci", f"half width of a {100 * table.level:g}% interval")):
            other = _searched(_with_spread(table, kind), items, paired)
            if 2 * other.misses < other.total:
                count = f"{other.total - other.misses} of {other.total} other figures follow, as a standard deviation"
                note = f"A spread is taken as the {name}: with it {count} {found.total - found.misses}."
                return replace(other, notes=(note, *other.notes))
    note = "A spread is taken as the standard deviation of single runs, because nothing says what it is (--spread)."
    return replace(found, notes=(note, *found.notes))


def _searched(table: PublishedTable, items: int | None, paired: bool) -> Consistency:
    meaning = meaning_of_intervals(table)
    columns = list(_columns(table, meaning, paired))
    found = [contradiction for column in columns for contradiction in column.contradictions]
    found += [
        Contradiction(row=row.name, line=row.line, figure=figure, sentence=text)
        for row in table.rows
        for figure, text in _impossible(row, table, meaning, items)
    ]
    has_intervals = any(row.interval for row in table.rows)
    return Consistency(
        table=table,
        meaning=meaning,
        contradictions=tuple(sorted(found, key=lambda one: one.line)),
        methods=tuple(column.sentence for column in columns),
        notes=(f"Intervals are taken as {100 * table.level:g}% intervals of {meaning}.",) if has_intervals else (),
        misses=sum(column.misses for column in columns),
        total=sum(column.total for column in columns),
    )


def _columns(table: PublishedTable, meaning: str, paired: bool) -> Iterator[Judgement]:
    """Judge the columns with p-values, effect sizes, intervals and further spreads."""
    rows = RowChecks(table=table, meaning=meaning)
    of_mean = meaning == MEAN
    columns: list[tuple[Callable[[int], Check | None], Sequence[Sequence[str]], bool]] = [
        (rows.p_value, P_FAMILIES, paired),
        (rows.effect_size, EFFECT_FAMILIES, paired),
        (rows.interval, HALF_WIDTH_FAMILIES[1:] if of_mean else HALF_WIDTH_FAMILIES[:1], paired and not of_mean),
        (partial(rows.second_spread, kind="se"), (ERROR_METHODS,), False),
        (partial(rows.second_spread, kind="ci"), HALF_WIDTH_FAMILIES[1:], False),
    ]
    for check, families, lenient in columns:
        checks = [found for index in range(len(table.rows)) if (found := check(index)) is not None]
        if checks:
            yield judge(checks, families, lenient=lenient)


def _impossible(row: Row, table: PublishedTable, meaning: str, items: int | None) -> Iterator[tuple[str, str]]:
    """Yield figures that no runs can give: means and spreads outside of the metric's range, shares that no counts give."""
    low, high = table.limits
    if row.mean.value + row.mean.unit < low or row.mean.value - row.mean.unit > high:
        yield "mean", f"The mean {row.mean.value:g} is outside of the possible range, {low:g} to {high:g}."
        return
    own = summary_range(row, table.level, meaning)
    if own is not None and math.isfinite(high - low):
        middle = min(max((low + high) / 2, own.mean.low), own.mean.high)  # the mean that allows the widest spread
        most = math.sqrt(max(0.0, (middle - low) * (high - middle)) * own.runs / (own.runs - 1))
        if own.sd.low > most:
            numbers = f"numbers from {low:g} to {high:g} with the mean {row.mean.value:g}"
            sd = (own.sd.low + own.sd.high) / 2
            yield "spread", f"The standard deviation {sd:.4g} is impossible for {numbers}: it is {most:.4g} at most."
    if items is not None and row.runs is not None and not _is_share(row, row.runs * items, table.scale):
        yield "mean", f"The mean {row.mean.value:g} is no share of {row.runs} runs times {items} test examples."


def _is_share(row: Row, total: int, scale: float) -> bool:
    """Return whether a whole number of correct examples gives the printed mean (GRIM; Brown & Heathers 2017)."""
    counts = row.mean.range.times(total / scale)
    return math.floor(counts.high + 1e-9 * total) >= math.ceil(counts.low - 1e-9 * total)


def _with_spread(table: PublishedTable, kind: str) -> PublishedTable:
    """Return the table with the first spread of every row read as another kind."""
    rows = []
    for row in table.rows:
        first = [Spread(kind=kind, figure=spread.figure) for spread in row.spreads[:1]]
        rows.append(replace(row, spreads=(*first, *row.spreads[1:])))
    return replace(table, rows=tuple(rows))
