"""Checks of printed figures against the mean, standard deviation and run count of their row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scipy.special import stdtrit

from actlab.published.judgement import Check
from actlab.published.row_summary import DIFFERENCE, MEAN, point, summary, summary_range
from actlab.published.table import PublishedTable, Row
from actlab.stats.published import recomputed
from actlab.stats.published.figure_range import Range
from actlab.stats.published.recomputed import SummaryRange

__all__ = ["ERROR_METHODS", "RowChecks"]

ERROR_METHODS: Final = ("SD / √runs", "SD / √runs from SDs with divisor n")
_NO_CORRELATION: Final = " No correlation of paired runs gives it either."


@dataclass(frozen=True, kw_only=True)
class RowChecks:
    """Checks of the rows of a table, by index; each returns None where a row has no such figure, or not what it follows from.

    Attributes:
        table: with the rows.
        meaning: what its intervals are of.
        ranges: what the figures of each row may stand for; filled from the table.
    """

    table: PublishedTable
    meaning: str
    ranges: tuple[SummaryRange | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        ranges = tuple(summary_range(row, self.table.level, self.meaning) for row in self.table.rows)
        object.__setattr__(self, "ranges", ranges)

    def p_value(self, index: int) -> Check | None:
        """Check the p-value of a row's difference from the baseline."""
        row, pair = self.table.rows[index], self._pair(index)
        if row.p is None or pair is None:
            return None
        now = recomputed.p_values(*self._points(index))
        paired = recomputed.paired_p_values(*pair)
        possible = paired is not None and paired.meets(row.p.range)
        sentence = (
            f"The p-value {row.p.text} does not follow from means, SDs and run counts: Welch's test gives {_p(now['Welch'].low)}, "
            f"Student's {_p(now['Student'].low)} (two-sided).{self._pairing(index, row.p.range) if possible else _NO_CORRELATION}"
        )
        return _check(row, "p-value", _fits(recomputed.p_values(*pair), row.p.range), sentence, possible=possible)

    def effect_size(self, index: int) -> Check | None:
        """Check the standardised difference of a row from the baseline."""
        row, pair = self.table.rows[index], self._pair(index)
        if row.d is None or pair is None:
            return None
        now = recomputed.effect_sizes(*self._points(index))["pooled SD"].low
        paired = recomputed.paired_effect_sizes(*pair)
        possible = paired is not None and paired.meets(row.d.range)
        sentence = (
            f"The effect size {row.d.text} does not follow from means and SDs: the difference over the pooled SD is {now:.3g}."
            f"{'' if possible else _NO_CORRELATION}"
        )
        return _check(
            row, "effect size", _fits(recomputed.effect_sizes(*pair), row.d.range), sentence, possible=possible
        )

    def interval(self, index: int) -> Check | None:
        """Check the place of a row's interval, and, where spread and runs are known, its width."""
        row = self.table.rows[index]
        if row.interval is None or (self.meaning != MEAN and index == self.table.baseline):
            return None
        centre, middle = self._centre(row), _middle(self._centre(row))
        low, high = row.interval
        if not Range(low=low.low, high=high.high).meets(centre):
            sentence = f"The interval {row.interval_text} does not contain {self.meaning}, {_short(middle)}."
            return _check(row, "interval", frozenset(), sentence, possible=False)
        halves = self._half_widths(index)
        if halves is None:
            return None
        fits = frozenset(name for name, half in halves.items() if self._is_around(row.interval, centre, half))
        paired = self._paired_half_widths(index)
        possible = self.meaning == MEAN or (paired is not None and self._is_around(row.interval, centre, paired))
        name = "t" if self.meaning == MEAN else "Welch"
        sentence = (
            f"The interval {row.interval_text} is {_short(_middle(high) - _middle(low))} wide "
            f"around {_short((_middle(low) + _middle(high)) / 2)}; "
            f"mean, SD and runs give {_short(2 * _middle(halves[name]))} around {_short(middle)} ({name})."
        )
        return _check(row, "interval", fits, sentence, possible=possible)

    def second_spread(self, index: int, kind: str) -> Check | None:
        """Check a standard error ("se") or half width of an interval ("ci") that is printed beside another spread."""
        row, own = self.table.rows[index], self.ranges[index]
        found = next((spread for spread in row.spreads[1:] if spread.kind == kind), None)
        if own is None or found is None or row.spreads[0].kind == kind:
            return None
        error = own.sd.times(1 / math.sqrt(own.runs))
        errors = (error, error.times(math.sqrt(own.runs / (own.runs - 1))))
        expected = (
            recomputed.mean_half_widths(own, self.table.level)
            if kind == "ci"
            else dict(zip(ERROR_METHODS, errors, strict=True))
        )
        name, now = ("half width", expected["t"]) if kind == "ci" else ("standard error", error)
        sentence = f"The {name} {found.figure.value:g} does not follow from SD and run count: they give {_short(_middle(now))}."
        return _check(row, name, _fits(expected, found.figure.range), sentence, possible=True)

    def _pair(self, index: int) -> tuple[SummaryRange, SummaryRange] | None:
        own, reference = self.ranges[index], self.ranges[self.table.baseline]
        return None if own is None or reference is None or index == self.table.baseline else (own, reference)

    def _points(self, index: int) -> tuple[SummaryRange, SummaryRange]:
        own, reference = (
            point(summary(self.table.rows[i], self.table.level, self.meaning)) for i in (index, self.table.baseline)
        )
        return own, reference

    def _pairing(self, index: int, p: Range) -> str:
        """Return which correlation of paired runs gives a p-value."""
        own, base = self._points(index)
        middle, product = _middle(p), 2 * own.sd.low * base.sd.low
        bound = float(stdtrit(own.runs - 1, 1 - middle / 2)) if 0 < middle < 1 else 0.0
        if not bound or not product:
            return " A test of paired runs may give it (--paired)."
        variance = own.runs * (own.mean.low - base.mean.low) ** 2 / bound**2
        needed = min(1.0, max(-1.0, (own.sd.low**2 + base.sd.low**2 - variance) / product))
        return f" A test of paired runs gives it only with a correlation of about {needed:.2f} (--paired)."

    def _centre(self, row: Row) -> Range:
        base = self.table.rows[self.table.baseline].mean.range
        if self.meaning == MEAN:
            return row.mean.range
        return row.mean.range - base if self.meaning == DIFFERENCE else base - row.mean.range

    def _half_widths(self, index: int) -> Mapping[str, Range] | None:
        own, pair = self.ranges[index], self._pair(index)
        if self.meaning == MEAN:
            return None if own is None else recomputed.mean_half_widths(own, self.table.level)
        return None if pair is None else recomputed.difference_half_widths(*pair, self.table.level)

    def _paired_half_widths(self, index: int) -> Range | None:
        pair = self._pair(index)
        return None if pair is None else recomputed.paired_half_widths(*pair, self.table.level)

    def _is_around(self, ends: tuple[Range, Range], centre: Range, half: Range) -> bool:
        """Return whether an interval is as wide on both sides, or ends at a limit of the metric."""
        low, high = centre - half, centre + half
        least, most = self.table.limits if self.meaning == MEAN else (-math.inf, math.inf)
        return (ends[0].meets(low) or (low.low <= least and ends[0].low <= least <= ends[0].high)) and (
            ends[1].meets(high) or (high.high >= most and ends[1].low <= most <= ends[1].high)
        )


def _check(row: Row, figure: str, fits: frozenset[str], sentence: str, *, possible: bool) -> Check:
    return Check(row=row.name, line=row.line, figure=figure, fits=fits, possible=possible, sentence=sentence)


def _fits(expected: Mapping[str, Range], printed: Range) -> frozenset[str]:
    return frozenset(name for name, values in expected.items() if values.meets(printed))


def _middle(ends: Range) -> float:
    return (ends.low + ends.high) / 2


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.4f}"


def _short(value: float) -> str:
    return f"{value:.4g}"
