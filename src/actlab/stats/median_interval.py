"""Confidence interval of a median from order statistics, without any assumption on the distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

__all__ = ["median_interval"]


def median_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[float, float] | None:
    """Return the narrowest symmetric pair of order statistics that contains the median with probability ``level``.

    The k-th smallest and the k-th largest of n independent values enclose the median of their distribution with probability
    1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution.

    Args:
        values: sample, shape (n,), any order; no NaN.
        level: confidence level.

    Returns:
        (low, high) in the unit of the values, or None where even the smallest and the largest value do not reach the level (n < 6 at 95 %).

    Source: David & Nagaraja (2003), "Order Statistics", section 7.1.

    Example:
        >>> median_interval([5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0])
        (2.0, 8.0)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ranks = np.arange(1, ordered.size // 2 + 1)
    enough = np.flatnonzero(1 - 2 * bdtr(ranks - 1, ordered.size, 0.5) >= level)
    if not enough.size:
        return None
    rank = int(enough[-1])
    return float(ordered[rank]), float(ordered[ordered.size - 1 - rank])
