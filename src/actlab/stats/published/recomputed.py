"""P-values, effect sizes and intervals recomputed from printed summaries by every usual method.

Each function returns the range of results for numbers that the printed figures may stand for, by the name of the method. A printed
p-value, effect size or interval that meets none of the ranges cannot have been computed from the row's own figures by these methods.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scipy.special import gammaln, stdtr, stdtrit

from actlab.stats.published.figure_range import Range

__all__ = [
    "EFFECT_FAMILIES",
    "HALF_WIDTH_FAMILIES",
    "P_FAMILIES",
    "SummaryRange",
    "difference_half_widths",
    "effect_sizes",
    "mean_half_widths",
    "p_values",
    "paired_effect_sizes",
    "paired_half_widths",
    "paired_p_values",
]

DIVISOR_N: Final = " from SDs with divisor n"
ONE_SIDED: Final = ", one-sided"
OTHER_SIDE: Final = ", one-sided against the difference"
_TESTS = ("Welch", "Student", "normal")
_BOTH = tuple(f"{test}{divisor}" for divisor in ("", DIVISOR_N) for test in _TESTS)
#: Methods that the rows of one column may have been computed by; rows of one column belong to one family.
P_FAMILIES: Final = (_BOTH, tuple(f"{test}{side}" for side in (ONE_SIDED, OTHER_SIDE) for test in _BOTH))
EFFECT_FAMILIES: Final = (
    ("pooled SD", "Hedges' g", f"pooled SD{DIVISOR_N}"),
    ("SD of the reference", "SD of the row"),
)
HALF_WIDTH_FAMILIES: Final = (_BOTH, ("t", "normal", f"t{DIVISOR_N}", f"normal{DIVISOR_N}"))


@dataclass(frozen=True, kw_only=True)
class SummaryRange:
    """What the printed figures of a row may stand for.

    Attributes:
        mean: of the runs.
        sd: standard deviation of single runs (divisor n - 1), from 0 up.
        runs: number of runs, from 2 up.
    """

    mean: Range
    sd: Range
    runs: int

    @property
    def _if_divisor_n(self) -> SummaryRange:
        """The row if its standard deviation was printed with divisor n."""
        return SummaryRange(mean=self.mean, sd=self.sd.times(math.sqrt(self.runs / (self.runs - 1))), runs=self.runs)


def p_values(row: SummaryRange, reference: SummaryRange) -> dict[str, Range]:
    """Return the p-values of a difference of two means, by method; two-sided and one-sided.

    Example:
        >>> row = SummaryRange(mean=Range(low=1, high=1), sd=Range(low=0.5, high=0.5), runs=10)
        >>> round(p_values(row, SummaryRange(mean=Range(low=1.5, high=1.5), sd=row.sd, runs=10))["Student"].low, 4)
        0.0382
    """
    found = {}
    for name, error, freedom in _standard_errors(row, reference):
        statistic = abs(row.mean - reference.mean).over(error)
        low, high = _tails(statistic, freedom)
        found[name] = Range(low=2 * low, high=2 * high)
        found[f"{name}{ONE_SIDED}"] = Range(low=low, high=high)
        found[f"{name}{OTHER_SIDE}"] = Range(low=1 - high, high=1 - low)
    return found


def paired_p_values(row: SummaryRange, reference: SummaryRange) -> Range | None:
    """Return the two-sided p-values that a paired t-test may have, whatever the correlation of the runs; None for unequal run counts."""
    error = _paired_error(row, reference)
    if error is None:
        return None
    low, high = _tails(abs(row.mean - reference.mean).over(error), Range(low=row.runs - 1, high=row.runs - 1))
    return Range(low=2 * low, high=2 * high)


def effect_sizes(row: SummaryRange, reference: SummaryRange) -> dict[str, Range]:
    """Return sizes of standardised differences, without their sign, by the standard deviation that divides them.

    Example:
        >>> row = SummaryRange(mean=Range(low=1, high=1), sd=Range(low=0.5, high=0.5), runs=10)
        >>> effect_sizes(row, SummaryRange(mean=Range(low=1.5, high=1.5), sd=row.sd, runs=10))["pooled SD"]
        Range(low=1.0, high=1.0)
    """
    size = abs(row.mean - reference.mean)
    freedom = row.runs + reference.runs - 2
    pooled = size.over(_pooled(row, reference))
    small = math.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2) if freedom > 1 else 1.0
    return {
        "pooled SD": pooled,
        "Hedges' g": pooled.times(small),
        f"pooled SD{DIVISOR_N}": size.over(_pooled(row._if_divisor_n, reference._if_divisor_n)),
        "SD of the reference": size.over(reference.sd),
        "SD of the row": size.over(row.sd),
    }


def paired_effect_sizes(row: SummaryRange, reference: SummaryRange) -> Range | None:
    """Return the sizes of the mean paired difference over its standard deviation; None for unequal run counts."""
    error = _paired_error(row, reference)
    return None if error is None else abs(row.mean - reference.mean).over(error.times(math.sqrt(row.runs)))


def mean_half_widths(row: SummaryRange, level: float) -> dict[str, Range]:
    """Return the half widths of confidence intervals of a mean, by method.

    Args:
        row: of which the mean is.
        level: of the interval, in (0, 1).

    Example:
        >>> row = SummaryRange(mean=Range(low=1, high=1), sd=Range(low=0.4, high=0.4), runs=23)
        >>> round(mean_half_widths(row, 0.95)["t"].low, 4)
        0.173
    """
    found = {}
    for suffix, spread in (("", row.sd), (DIVISOR_N, row._if_divisor_n.sd)):
        error = spread.times(1 / math.sqrt(row.runs))
        found[f"t{suffix}"] = error.times(_quantile(row.runs - 1, level))
        found[f"normal{suffix}"] = error.times(_quantile(math.inf, level))
    return found


def difference_half_widths(row: SummaryRange, reference: SummaryRange, level: float) -> dict[str, Range]:
    """Return the half widths of confidence intervals of a difference of two means, by method."""
    return {
        name: Range(low=error.low * _quantile(freedom.high, level), high=error.high * _quantile(freedom.low, level))
        for name, error, freedom in _standard_errors(row, reference)
    }


def paired_half_widths(row: SummaryRange, reference: SummaryRange, level: float) -> Range | None:
    """Return the half widths that an interval of the mean paired difference may have; None for unequal run counts."""
    error = _paired_error(row, reference)
    return None if error is None else error.times(_quantile(row.runs - 1, level))


def _standard_errors(row: SummaryRange, reference: SummaryRange) -> Iterator[tuple[str, Range, Range]]:
    """Yield method, standard error of the difference and degrees of freedom."""
    for suffix, a, b in (("", row, reference), (DIVISOR_N, row._if_divisor_n, reference._if_divisor_n)):
        welch = Range(
            low=math.hypot(a.sd.low / math.sqrt(a.runs), b.sd.low / math.sqrt(b.runs)),
            high=math.hypot(a.sd.high / math.sqrt(a.runs), b.sd.high / math.sqrt(b.runs)),
        )
        shared = a.runs + b.runs - 2
        yield f"Welch{suffix}", welch, _welch_freedom(a, b)
        yield (
            f"Student{suffix}",
            _pooled(a, b).times(math.sqrt(1 / a.runs + 1 / b.runs)),
            Range(low=shared, high=shared),
        )
        yield f"normal{suffix}", welch, Range(low=math.inf, high=math.inf)


def _pooled(a: SummaryRange, b: SummaryRange) -> Range:
    freedom = a.runs + b.runs - 2
    low, high = (
        math.sqrt(((a.runs - 1) * s**2 + (b.runs - 1) * t**2) / freedom)
        for s, t in ((a.sd.low, b.sd.low), (a.sd.high, b.sd.high))
    )
    return Range(low=low, high=high)


def _paired_error(row: SummaryRange, reference: SummaryRange) -> Range | None:
    """Return the standard errors of a mean paired difference, from a correlation of 1 to one of -1."""
    if row.runs != reference.runs:
        return None
    apart = abs(row.sd - reference.sd).low
    return Range(low=apart, high=row.sd.high + reference.sd.high).times(1 / math.sqrt(row.runs))


def _welch_freedom(a: SummaryRange, b: SummaryRange) -> Range:
    """Return the degrees of freedom of Welch's test: a function of the first row's share of the variance, with one maximum."""
    v, w = ((x.sd.low**2 / x.runs, x.sd.high**2 / x.runs) for x in (a, b))
    least = v[0] / (v[0] + w[1]) if v[0] + w[1] > 0 else 0.0
    most = v[1] / (v[1] + w[0]) if v[1] + w[0] > 0 else 1.0
    shares = [least, most, min(max((a.runs - 1) / (a.runs + b.runs - 2), least), most)]
    freedom = [1 / (share**2 / (a.runs - 1) + (1 - share) ** 2 / (b.runs - 1)) for share in shares]
    return Range(low=min(freedom), high=max(freedom))


def _tails(statistic: Range, freedom: Range) -> tuple[float, float]:
    """Return the smallest and largest probability above a statistic from 0 up; it decreases with both."""
    return float(_tail(statistic.high, freedom.high)), float(_tail(statistic.low, freedom.low))


def _tail(statistic: float, freedom: float) -> float:
    return 0.0 if math.isinf(statistic) else float(stdtr(min(freedom, 1e12), -statistic))


def _quantile(freedom: float, level: float) -> float:
    return float(stdtrit(min(freedom, 1e12), (1 + level) / 2))
