"""Mean, standard deviation and run count of a row, from whatever spread or interval is printed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from scipy.special import ndtri, stdtrit

from actlab.published.table import PublishedTable, Row
from actlab.stats.published.figure_range import Range, printed
from actlab.stats.published.recomputed import SummaryRange
from actlab.stats.published.sample_summary import Summary

__all__ = [
    "DIFFERENCE",
    "INVERSE_DIFFERENCE",
    "MEAN",
    "meaning_of_intervals",
    "point",
    "sd_range",
    "summary",
    "summary_range",
]

# Share by which figures in between, such as a tabulated quantile, are rounded where a spread is printed with more digits.
_INTERMEDIATE = 1e-3
MEAN: Final = "the mean"
DIFFERENCE: Final = "the difference from the baseline"
INVERSE_DIFFERENCE: Final = "the difference of the baseline from it"


def meaning_of_intervals(table: PublishedTable) -> str:
    """Return what the intervals of a table are of: that which most of them are centred at, then that which most contain."""
    base = table.rows[table.baseline].mean.range
    others = [row for i, row in enumerate(table.rows) if row.interval is not None and i != table.baseline]
    centres = {
        MEAN: [row.mean.range for row in others],
        DIFFERENCE: [row.mean.range - base for row in others],
        INVERSE_DIFFERENCE: [base - row.mean.range for row in others],
    }

    def score(meaning: str) -> tuple[int, int]:
        pairs = [(row.interval, centre) for row, centre in zip(others, centres[meaning], strict=True) if row.interval]
        centred = sum((ends[0] + ends[1]).times(0.5).meets(centre) for ends, centre in pairs)
        return centred, sum(Range(low=ends[0].low, high=ends[1].high).meets(centre) for ends, centre in pairs)

    return max(centres, key=score)


def sd_range(row: Row, level: float, meaning: str) -> Range | None:
    """Return what the standard deviation of single runs may be, from the first printed spread, else from an interval of the mean."""
    runs = row.runs or 0
    if row.spreads:
        figure = row.spreads[0].figure
        kind, spread = (
            row.spreads[0].kind,
            _from_zero(printed(figure.value, max(figure.unit, _INTERMEDIATE * figure.value))),
        )
        if kind == "sd":
            return spread
    elif row.interval is not None and meaning == MEAN:
        kind, spread = "ci", _from_zero((row.interval[1] - row.interval[0]).times(0.5))
    else:
        return None
    if runs < 2:
        return None
    wide = spread.times(math.sqrt(runs))
    if kind == "se":
        return wide
    # an interval by t or by the normal distribution
    return Range(low=wide.low / _t(runs, level), high=wide.high / float(ndtri((1 + level) / 2)))


def summary(row: Row, level: float, meaning: str) -> Summary:
    """Return the figures of a row as printed, with NaN for an unknown standard deviation and 0 for an unknown number of runs."""
    return Summary(mean=row.mean.value, sd=_sd(row, level, meaning), runs=row.runs or 0)


def summary_range(row: Row, level: float, meaning: str) -> SummaryRange | None:
    """Return what the figures of a row may stand for; None where the standard deviation is unknown or there are fewer than two runs."""
    sd = sd_range(row, level, meaning)
    if sd is None or row.runs is None or row.runs < 2:
        return None
    return SummaryRange(mean=row.mean.range, sd=sd, runs=row.runs)


def point(row: Summary) -> SummaryRange:
    """Return figures without any rounding."""
    return SummaryRange(mean=Range(low=row.mean, high=row.mean), sd=Range(low=row.sd, high=row.sd), runs=row.runs)


def _sd(row: Row, level: float, meaning: str) -> float:
    if row.spreads:
        kind, value = row.spreads[0].kind, row.spreads[0].figure.value
    elif row.interval is not None and meaning == MEAN:
        half = (row.interval[1] - row.interval[0]).times(0.5)
        kind, value = "ci", (half.low + half.high) / 2
    else:
        return math.nan
    if kind == "sd":
        return value
    if (row.runs or 0) < 2:
        return math.nan
    return value * math.sqrt(row.runs or 0) / (1 if kind == "se" else _t(row.runs or 0, level))


def _from_zero(spread: Range) -> Range:
    return replace(spread, low=max(0.0, spread.low))


def _t(runs: int, level: float) -> float:
    return float(stdtrit(runs - 1, (1 + level) / 2))
