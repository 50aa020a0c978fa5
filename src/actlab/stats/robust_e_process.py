"""E-process for paired differences in which an outlier weighs little more than other differences.

`actlab.stats.e_process` takes the root mean square of the differences as its unit. A single difference of 500 times the size of the
others, such as the likelihood of one training that nearly diverged, makes that unit so large that next to nothing is bet on the seeds after
it. Here differences count up to 2.5 times the median size of those so far, without those that are 0 ::

    m_n = median of |d_i|, i <= n, d_i != 0,        c_i = d_i limited to 2.5 m_n in size,        u_n = c_n / sqrt(mean of c_1^2 .. c_n^2),

and a bet is at most 0.9, so that one seed takes away 90 % of the evidence at most, not 99 %. All else is as there.

**Validity after every seed** follows as there: given the past, u_n is an odd function of d_n that does not decrease. Write a = |d_n|. Where
m_n does not depend on a, u_n = x / sqrt((A + x^2) / n) with x = min(a, 2.5 m_n), which does not decrease with a. Where it does, m_n is a
itself or its mean with a neighbour, so that a is inside the limit and m_n / a does not increase with a; hence no min(|d_i|, 2.5 m_n) / a
increases, and u_n, the inverse of their root mean square, does not decrease. At a = 0, u_n is 0.

The price is small (`benchmarks/axis_error_control.py`): with Gaussian differences the power is that of the process without limits to within
three points.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from actlab.stats.e_process import LARGEST_DIFFERENCE, TINY_GAIN, Floats, log_bets

__all__ = ["log_robust_growth"]

_TIMES_MEDIAN: Final = 2.5
_LARGEST_BET: Final = 0.9


def log_robust_growth(differences: Floats, *, zero_gains: bool = False) -> Floats:
    """Return log(1 + b_n), by which each difference adds to the log of the one-sided e-process of this module.

    Args:
        differences: paired differences in the order of the seeds, shape (..., n), one process per leading index.
        zero_gains: as for :func:`actlab.stats.e_process.log_growth`.

    Returns:
        Natural logarithms, float64, shape (..., n); they do not depend on the scale of the differences.

    Example:
        >>> from actlab.stats.e_process import log_growth
        >>> gains = np.array([-500.0, *[1.0, 1.2, 0.9, 1.1] * 4])
        >>> [float(np.exp(growth(gains).sum()).round(1)) for growth in (log_growth, log_robust_growth)]
        [0.1, 63.4]
    """
    d = np.clip(differences, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
    if zero_gains:
        d = np.where(np.maximum.accumulate(np.abs(d), axis=-1) == 0, TINY_GAIN, d)
    unit, mean = np.zeros_like(d), np.zeros_like(d)
    for n in range(1, d.shape[-1] + 1):
        so_far = d[..., :n]
        limit = _TIMES_MEDIAN * _median_size(so_far)[..., None]
        limited = np.divide(np.clip(so_far, -limit, limit), limit, out=np.zeros_like(so_far), where=limit > 0)
        size = np.sqrt(np.square(limited).mean(-1, keepdims=True))
        in_units = np.divide(limited, size, out=np.zeros_like(limited), where=size > 0)
        unit[..., n - 1], mean[..., n - 1] = in_units[..., -1], in_units.mean(-1)
    return log_bets(unit, mean, _LARGEST_BET)


def _median_size(d: Floats) -> Floats:
    """Return the median size of the differences that are not 0, shape (...); 0 where all are."""
    ordered = np.sort(np.abs(d), axis=-1)
    zeros, last = np.count_nonzero(ordered == 0, axis=-1, keepdims=True), d.shape[-1] - 1
    others = d.shape[-1] - zeros
    below, above = (np.minimum(zeros + at, last) for at in ((others - 1) // 2, others // 2))
    low, high = (np.take_along_axis(ordered, np.maximum(at, 0), axis=-1)[..., 0] for at in (below, above))
    return np.asarray(low + (high - low) / 2, dtype=np.float64)
