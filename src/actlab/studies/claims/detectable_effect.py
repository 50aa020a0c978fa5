"""Smallest effect that a number of seeds would have shown with a power of 80 %."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np

from actlab.stats.e_process import Floats
from actlab.stats.robust_e_process import log_robust_growth

__all__ = ["detectable_effect", "detectable_in_deviations"]

_POWER: Final = 0.8
_SAMPLES: Final = 1000
_HALVINGS: Final = 12
_LARGEST: Final = 32.0  # standard deviations


def detectable_effect(effects: Floats, alpha: float) -> float | None:
    """Return the effect that would have been shown to be above 0 with probability 0.8, in the effects' unit.

    The noise is taken as Gaussian, with the standard deviation of the finite effects.

    Args:
        effects: by seed, shape (n,); infinite where one side diverged.
        alpha: error rate of the statement.

    Returns:
        The effect; infinite where no effect would have been shown by so few seeds; None with fewer than two finite effects.

    Example:
        >>> round(detectable_effect(np.array([0.1, -0.1, 0.2, -0.2, 0.1, -0.1, 0.2, -0.2]), 0.05), 2)
        0.26
    """
    finite = effects[np.isfinite(effects)]
    if finite.size < 2:
        return None
    return float(finite.std(ddof=1)) * detectable_in_deviations(effects.size, alpha)


@lru_cache(maxsize=256)
def detectable_in_deviations(seeds: int, alpha: float) -> float:
    """Return the same in standard deviations of the noise, by simulation of 1,000 Gaussian samples with a fixed seed.

    Args:
        seeds: their number.
        alpha: error rate of the statement.

    Example:
        >>> detectable_in_deviations(4, 0.05), round(detectable_in_deviations(20, 0.05), 1)
        (inf, 0.9)
    """
    noise = np.random.default_rng(0).standard_normal((_SAMPLES, seeds))
    low, high = 0.0, _LARGEST
    if _share_shown(noise + high, alpha) < _POWER:
        return math.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _share_shown(noise + middle, alpha) >= _POWER else (middle, high)
    return high


def _share_shown(effects: Floats, alpha: float) -> float:
    evidence = log_robust_growth(effects).cumsum(-1)
    return float((evidence.max(axis=-1) >= math.log(1 / alpha)).mean())
