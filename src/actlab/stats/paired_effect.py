"""Paired per-sample effect of a model change, with interval and Holm-adjusted p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from actlab.stats.bootstrap import bootstrap_interval

__all__ = ["Effect", "State", "classify_effects", "estimate_effect", "holm"]

State = Literal["worse", "better", "not distinguishable from zero", "none"]
Floats = NDArray[np.float64]

_MOST_RESAMPLED: Final = 1000
"""Largest number of samples with a bootstrap interval. Beyond, the interval is Student's: the mean of a thousand samples is close enough
to normal, and 4,000 resamples of 10,000 samples would take 320 MB."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Paired effect of a change to a model.

    Attributes:
        mean: mean over samples of the paired difference, positive where the change makes the model worse.
        low: lower end of its confidence interval.
        high: upper end of its confidence interval.
        p: two-sided p-value of the paired t-test for "the mean is zero".
        adjusted: p-value after Holm's correction over all tests of a table; before the correction, equal to ``p``.
        state: "none" if no sample changes by more than rounding, "worse" or "better" if the adjusted p is below the error rate.
    """

    mean: float
    low: float
    high: float
    p: float
    adjusted: float
    state: State


def estimate_effect(worsening: Floats, *, rounding: float, level: float = 0.95, seed: int = 0) -> Effect:
    """Estimate an effect from paired differences, before the correction for multiple tests.

    Args:
        worsening: paired differences, positive where the change makes the model worse, shape (n,), n >= 2.
        rounding: largest difference that counts as a rounding error.
        level: confidence level of the interval, for this effect alone.
        seed: of the bootstrap.

    Example:
        >>> effect = estimate_effect(np.array([0.1, 0.3, 0.2, 0.25, 0.15, 0.2]), rounding=1e-6)
        >>> effect.low < 0.2 < effect.high, effect.p < 0.01
        (True, True)
    """
    mean = float(worsening.mean())
    if np.abs(worsening).max() <= rounding:
        return Effect(mean=mean, low=mean, high=mean, p=1.0, adjusted=1.0, state="none")
    low, high = _interval(worsening, level, seed)
    p = _t_test(worsening)
    return Effect(mean=mean, low=low, high=high, p=p, adjusted=p, state="not distinguishable from zero")


def _interval(values: Floats, level: float, seed: int) -> tuple[float, float]:
    interval = bootstrap_interval(values, seed=seed, level=level) if len(values) <= _MOST_RESAMPLED else None
    if interval is not None:
        return interval
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    return float(values.mean()) - half, float(values.mean()) + half


def _t_test(values: Floats) -> float:
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    if error == 0.0:
        return 0.0 if values.mean() else 1.0
    return float(2 * stdtr(len(values) - 1, -abs(float(values.mean())) / error))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, the error rates at which each hypothesis would be rejected, under any dependence.

    Args:
        p: p-values, in any order.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]


def classify_effects(effects: Sequence[Effect], *, alpha: float) -> list[Effect]:
    """Return the effects with p-values adjusted over all of them, and their states at the error rate ``alpha``."""
    adjusted = holm([effect.p for effect in effects])
    return [_classified(effect, p, alpha) for effect, p in zip(effects, adjusted, strict=True)]


def _classified(effect: Effect, adjusted: float, alpha: float) -> Effect:
    if effect.state == "none" or adjusted >= alpha:
        return replace(effect, adjusted=adjusted)
    return replace(effect, adjusted=adjusted, state="worse" if effect.mean > 0 else "better")
