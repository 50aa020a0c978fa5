"""Forecast of the number of seeds after which a pair of arms is decided."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from actlab.stats.e_process import log_e_process
from actlab.stats.equivalence import log_equivalence

__all__ = ["forecast"]

_SOON = 60


def forecast(
    gains: ArrayLike,
    *,
    better: float,
    worse: float,
    rope: float = 0.0,
    equivalent: float = math.inf,
    cap: int = 1000,
) -> int | None:
    """Return how many more seeds a pair needs until it is decided, if the results so far repeat in their order.

    Args:
        gains: by how much the first arm beats the second on each seed so far, shape (n,).
        better: e-value of "the first is better" at which the second is eliminated (`actlab.stats.racing.Race.needed_e`).
        worse: e-value of "the second is better" at which the first is eliminated.
        rope: half width of the region of practical equivalence, in the unit of the gains.
        equivalent: evidence (`actlab.stats.equivalence.log_equivalence`) at which the pair is practically equivalent.
        cap: largest total number of seeds to report.

    Returns:
        Number of seeds to add, at least 1; None when ``cap`` seeds in total do not suffice, or for fewer than two
        gains, which show no spread.

    Example:
        >>> forecast([1.0, 2.0, 0.5, 1.5], better=40.0, worse=40.0)
        2
    """
    sample = np.asarray(gains, dtype=np.float64)
    if not 2 <= sample.size < cap:
        return None
    for total in (min(sample.size + _SOON, cap), cap):  # most pairs are decided soon, or not at all
        repeated = np.resize(sample, total)
        first, second = log_e_process(np.stack([repeated, -repeated]))
        decided = (first >= math.log(better)) | (second >= math.log(worse))
        if math.isfinite(equivalent):
            decided |= log_equivalence(repeated, rope) >= math.log(equivalent)
        later = decided[sample.size :]
        if later.any():
            return int(later.argmax()) + 1
    return None
