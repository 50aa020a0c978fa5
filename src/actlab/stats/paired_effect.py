"""The effect: what a change to a model does to a measure, sample by sample, with an interval and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from actlab.stats.bootstrap import bootstrap_interval

__all__ = ["Effect", "effect", "holm", "judged"]

State = Literal["worse", "better", "not distinguishable from zero", "none"]
Floats = NDArray[np.float64]

_BY_RESAMPLING: Final = 1000
"""Up to so many samples the interval is a bootstrap; beyond, Student's: the mean of a thousand is normal enough, and 4,000 draws of
10,000 samples would take 320 MB."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How much worse a measure gets.

    Attributes:
        mean: over samples of the paired difference, positive where the change makes the model worse.
        low: lower end of its interval.
        high: upper end.
        p: of "the mean is zero", two-sided, paired t.
        adjusted: the p value after Holm's correction over all tests of the table; the p value itself before.
        state: "none" where no sample changes by more than rounding; "worse" or "better" where the adjusted p is below the error rate.
    """

    mean: float
    low: float
    high: float
    p: float
    adjusted: float
    state: State


def effect(worsening: Floats, *, rounding: float, level: float = 0.95, seed: int = 0) -> Effect:
    """Judge paired differences.

    Args:
        worsening: for every sample, positive where the change is for the worse, shape (n,), n >= 2.
        rounding: differences up to this are rounding.
        level: of the interval, which holds for this effect alone.
        seed: of the bootstrap.

    Example:
        >>> found = effect(np.array([0.1, 0.3, 0.2, 0.25, 0.15, 0.2]), rounding=1e-6)
        >>> found.low < 0.2 < found.high, found.p < 0.01
        (True, True)
    """
    mean = float(worsening.mean())
    if np.abs(worsening).max() <= rounding:
        return Effect(mean=mean, low=mean, high=mean, p=1.0, adjusted=1.0, state="none")
    low, high = _interval(worsening, level, seed)
    p = _t_test(worsening)
    return Effect(mean=mean, low=low, high=high, p=p, adjusted=p, state="not distinguishable from zero")


def _interval(values: Floats, level: float, seed: int) -> tuple[float, float]:
    if len(values) <= _BY_RESAMPLING:
        found = bootstrap_interval(values, seed=seed, level=level)
        assert found is not None  # noqa: S101 # there are two values at least
        return found
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    return float(values.mean()) - half, float(values.mean()) + half


def _t_test(values: Floats) -> float:
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    if error == 0.0:
        return 0.0 if values.mean() else 1.0
    return float(2 * stdtr(len(values) - 1, -abs(float(values.mean())) / error))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values: the error rate at which each would be rejected, whatever depends on what.

    Args:
        p: p values, in any order.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


def judged(effects: Sequence[Effect], *, alpha: float) -> list[Effect]:
    """Return the effects with their adjusted p values, over all of them, and what may be said of each at the error rate ``alpha``."""
    adjusted = holm([found.p for found in effects])
    return [_said(found, p, alpha) for found, p in zip(effects, adjusted, strict=True)]


def _said(found: Effect, adjusted: float, alpha: float) -> Effect:
    if found.state == "none" or adjusted >= alpha:
        return replace(found, adjusted=adjusted)
    return replace(found, adjusted=adjusted, state="worse" if found.mean > 0 else "better")
