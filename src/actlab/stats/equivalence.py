"""Posterior probability of practical equivalence (ROPE), and probability of superiority.

Source: Benavoli et al. (2017), JMLR 18(77), for the region of practical equivalence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from actlab.stats.e_process import ROUNDING, Floats

__all__ = ["posterior_equivalent", "probability_equivalent", "probability_superior"]


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
    """Return the posterior probability that the true mean difference is at most ``rope`` in size.

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
    return float(posterior_equivalent(sample.size, mean, spread, rope / scale))


def posterior_equivalent(n: ArrayLike, mean: float, spread: float, rope: float) -> Floats:
    """Return `probability_equivalent` from the number, the mean and the positive standard deviation of the differences.

    Example:
        >>> posterior_equivalent([5, 50], 0.0, 1.0, 0.2).round(3).tolist()
        [0.322, 0.836]
    """
    count = np.asarray(n, dtype=np.float64)
    error = spread / np.sqrt(count)
    above, below = (rope - mean) / error, (-rope - mean) / error
    return np.asarray(stdtr(count - 1, above) - stdtr(count - 1, below), dtype=np.float64)
