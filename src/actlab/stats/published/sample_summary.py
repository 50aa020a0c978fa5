"""Two-sample t-tests from means, deviations and run counts, and the runs that a difference needs.

Runs are taken as unpaired and Gaussian, because a published table does not say which run of one row belongs to which of another.

Source: Welch (1947), Biometrika 34, for the test with unequal variances; Satterthwaite (1946) for its degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, ndtri, stdtr, stdtrit

from actlab.stats.e_process import Floats

__all__ = ["Summary", "largest_spread", "power", "runs_needed", "welch_p_values"]

# From so many runs on, noncentral t and normal distribution give the same number of runs but for one in ten thousand.
_MANY = 10_000
_LARGEST_RATIO = 1e7  # of spread to difference; above it the difference is one that rounding made


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Mean, standard deviation (divisor n - 1) and number of the runs of a row.

    Attributes:
        mean: of the runs.
        sd: standard deviation of single runs, from 0 up, in the unit of the mean; NaN where unknown.
        runs: number of runs, from 1 up; 0 where unknown.
    """

    mean: float
    sd: float
    runs: int


def welch_p_values(summaries: list[Summary]) -> Floats:
    """Return the two-sided p-values of Welch's test between all rows, NaN where it is not defined.

    It is not defined for a row with fewer than two runs, without a standard deviation, or for two rows without any spread.

    Args:
        summaries: one a row.

    Returns:
        Symmetric matrix, shape (rows, rows), with NaN on the diagonal.

    Example:
        >>> rows = [Summary(mean=87.48, sd=0.4, runs=23), Summary(mean=86.66, sd=0.58, runs=23)]
        >>> f"{welch_p_values(rows)[0, 1]:.1e}"
        '2.0e-06'
    """
    mean = np.array([row.mean for row in summaries], dtype=np.float64)
    sd = np.array([row.sd for row in summaries], dtype=np.float64)
    runs = np.array([row.runs if row.runs >= 2 else np.nan for row in summaries], dtype=np.float64)
    variance = sd**2 / runs
    total = variance[:, None] + variance
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = total**2 / ((variance**2 / (runs - 1))[:, None] + variance**2 / (runs - 1))
        p = 2 * stdtr(freedom, -np.abs(mean[:, None] - mean) / np.sqrt(total))
    p[~(total > 0)] = np.nan
    np.fill_diagonal(p, np.nan)
    return np.asarray(p, dtype=np.float64)


def power(difference: float, first: float, second: float, runs: int, alpha: float) -> float:
    """Return the probability that a two-sided Welch test with equal run counts finds a difference.

    Args:
        difference: of the true means.
        first: standard deviation of single runs of the first row, same unit.
        second: that of the second row.
        runs: of each row, from 2 up.
        alpha: error rate of the test.

    Example:
        >>> round(power(0.5, 0.5, 0.5, runs=17, alpha=0.05), 3)
        0.807
    """
    v1, v2 = first**2, second**2
    if v1 + v2 == 0:
        return 1.0 if difference else alpha
    freedom = (runs - 1) * (v1 + v2) ** 2 / (v1**2 + v2**2)
    shift = abs(difference) / math.sqrt((v1 + v2) / runs)
    bound = float(stdtrit(freedom, 1 - alpha / 2))
    return float(1 - nctdtr(freedom, shift, bound) + nctdtr(freedom, shift, -bound))


def runs_needed(difference: float, first: float, second: float, *, alpha: float, target: float = 0.8) -> int | None:
    """Return how many runs each of two rows needs so that a Welch test finds their difference with a given probability.

    Args:
        difference: of the means as printed, taken as the true one.
        first: standard deviation of single runs of the first row, same unit.
        second: that of the second row.
        alpha: error rate of the two-sided test, of this pair alone.
        target: probability of finding the difference.

    Returns:
        Number of runs, at least 2; None for no difference, or an unknown standard deviation.

    Example:
        >>> runs_needed(0.16, 0.4, 0.4, alpha=0.05)
        100
    """
    variance = first**2 + second**2
    if difference == 0 or math.isnan(variance):
        return None
    ratio = math.sqrt(variance) * float(ndtri(1 - alpha / 2) + ndtri(target)) / abs(difference)
    if ratio > _LARGEST_RATIO:
        return None
    runs = max(2, math.ceil(ratio**2))
    while runs < _MANY and power(difference, first, second, runs, alpha) < target:
        runs += 1
    return runs


def largest_spread(difference: float, first: int, second: int, alpha: float) -> float:
    """Return the standard deviation of single runs up to which a difference of means is significant.

    Both rows are taken to have the same standard deviation. Where both have one run, it is taken as known from elsewhere.

    Args:
        difference: of the means.
        first: number of runs of the first row, from 1 up.
        second: that of the second row.
        alpha: error rate of the two-sided test.

    Example:
        >>> round(largest_spread(0.7, 1, 1, alpha=0.05), 3)
        0.253
    """
    freedom = first + second - 2
    bound = float(stdtrit(freedom, 1 - alpha / 2)) if freedom else float(ndtri(1 - alpha / 2))
    return abs(difference) / (bound * math.sqrt(1 / first + 1 / second))
