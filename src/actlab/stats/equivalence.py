"""Practical equivalence by an e-process and as a posterior probability; probability of superiority.

**A statement that holds at any time.** Two arms are practically equivalent when the centre delta of their differences lies within the
region of practical equivalence, ``-rope <= delta <= rope``. `log_equivalence` is the smaller one of two one-sided processes of
`actlab.stats.e_process`, on ``rope - d`` and on ``d + rope``. If the arms are *not* equivalent, one of the two is a supermartingale:
``rope - d`` is symmetric about ``rope - delta < 0``, or ``d + rope`` about ``delta + rope < 0``. The smaller value is at most that one,
so it ever reaches 1/alpha with probability at most alpha; two tests need no correction because both have to succeed. The pairs of a
study are decided together by `actlab.stats.closed_test`: the probability that any pair is ever called equivalent and is not is at
most alpha for the whole study. The condition is that of the race, differences that are symmetric about their centre.

**A posterior probability** (`probability_equivalent`) is an estimate for one look at the data, under Gaussian differences. Looked
at after every seed it passes 95 % too often, so nothing is decided by it.

Source: Schuirmann (1987) for two one-sided tests; Benavoli et al. (2017), JMLR 18(77), for the region of practical equivalence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from actlab.stats.e_process import ROUNDING, Floats, log_growth

__all__ = ["log_equivalence", "probability_equivalent", "probability_superior"]


def log_equivalence(differences: ArrayLike, rope: float) -> Floats:
    """Return the log of the evidence that two arms are practically equivalent, after each difference.

    Args:
        differences: paired differences in the order of the seeds, shape (..., n), in the unit of the metric; infinite where
            one of the two arms diverged, which ends all evidence; NaN where both did, which says nothing.
        rope: half width of the region of practical equivalence, same unit. With 0 only identical results are evidence.

    Returns:
        Natural logarithms, float64, shape (..., n).

    Example:
        >>> np.exp(log_equivalence([0.01, -0.01, 0.0, 0.02, -0.01], rope=0.1)).round(1).tolist()
        [1.9, 3.5, 6.9, 13.7, 27.3]
    """
    d = np.asarray(differences, dtype=np.float64)
    finite = np.where(np.isfinite(d), d, 0.0)
    growth = log_growth(np.stack([rope - finite, rope + finite]), zero_gains=rope == 0)
    growth = np.where(np.isnan(d), 0.0, np.where(np.isinf(d), -np.inf, growth))
    return np.asarray(growth.cumsum(-1).min(axis=0), dtype=np.float64)


def probability_superior(gains: ArrayLike) -> float | None:
    """Return the share of seeds on which the arm is better, with ties counted half; None without seeds.

    Args:
        gains: paired differences, positive where the arm is better, shape (n,).

    Example:
        >>> probability_superior([0.1, 0.0, -0.2, 0.3])
        0.625
    """
    signs = np.sign(np.asarray(gains, dtype=np.float64))
    return None if signs.size == 0 else float((1 + signs.mean()) / 2)


def probability_equivalent(differences: ArrayLike, rope: float) -> float | None:
    """Return the posterior probability that the true mean difference is at most ``rope`` in size; an estimate, for one look.

    The model is the paired Student-t model with the reference prior, so the posterior of the mean is a t distribution
    with n - 1 degrees of freedom around the observed mean. It cannot be used when all differences are equal,
    as happens with an accuracy in coarse steps. In that case: if the true median were outside the region, each difference would
    fall inside with probability at most 1/2, so at even prior odds the probability of "inside" is 1 / (1 + 2^-n).

    Args:
        differences: paired differences, shape (n,), in the unit of the metric.
        rope: half width of the region of practical equivalence, same unit.

    Returns:
        A probability, or None for n < 2, where the posterior does not exist.

    Example:
        >>> round(probability_equivalent([0.01, -0.01, 0.02, -0.02], rope=0.05), 3)
        0.988
    """
    sample = np.asarray(differences, dtype=np.float64)
    if sample.size < 2:
        return None
    scale = float(np.abs(sample).max()) or 1.0  # avoids underflow of squares, and keeps equal differences equal
    mean, spread = float((sample / scale).mean()), float((sample / scale).std(ddof=1))
    if spread < ROUNDING:
        inside = 1 / (1 + 0.5**sample.size)
        return inside if abs(mean) <= rope / scale else 1 - inside
    error = spread / np.sqrt(sample.size)
    above, below = (rope / scale - mean) / error, (-rope / scale - mean) / error
    return float(stdtr(sample.size - 1, above) - stdtr(sample.size - 1, below))
