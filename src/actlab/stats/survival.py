"""Kaplan-Meier curve, median and restricted mean of censored times, and area under a curve.

A time is *censored* when observation ended before the event; it is then known to be later. The restricted mean up to a horizon h is the
mean of min(T, h), the area under the survival curve from 0 to h. Where no time is censored before h, every min(T, h) is known, so that
the restricted mean is a plain mean, and the paired differences of two samples on one horizon are exact: a pair of which neither
reached the event by h differs by 0, and one that reached it at h is equal to one that did not reach it.

Sources: Kaplan & Meier (1958), JASA 53(282); Uno et al. (2014), Journal of Clinical Oncology 32(22), for the restricted mean as a
measure of an effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actlab.stats.e_process import Floats

__all__ = [
    "SurvivalCurve",
    "area_under_curve",
    "common_horizon",
    "kaplan_meier",
    "restricted_gains",
    "restricted_times",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class SurvivalCurve:
    """Estimated probability that the event comes later than a time.

    Attributes:
        times: different times, events and censored ones, in ascending order, shape (m,).
        survival: probability of a later event after each of them, shape (m,); 1 before the first.
    """

    times: Floats
    survival: Floats

    def at(self, time: float) -> float:
        """Return the probability that the event comes later than ``time``."""
        position = int(np.searchsorted(self.times, time, side="right"))
        return 1.0 if position == 0 else float(self.survival[position - 1])

    @property
    def median(self) -> float | None:
        """Earliest time by which half of the events have come; None where more than half are censored before."""
        below = np.flatnonzero(self.survival <= 0.5 + 1e-12)  # products of fractions such as 3/4 * 2/3 are rounded
        return float(self.times[below[0]]) if below.size else None

    def restricted_mean(self, horizon: float) -> float | None:
        """Return the area under the curve from 0 to ``horizon``, the mean of min(T, horizon).

        None where the curve is not known up to the horizon: the last time is censored, and earlier.
        """
        if horizon > self.times[-1] and self.survival[-1] > 0:
            return None
        inside = self.times < horizon
        edges = np.concatenate([[0.0], self.times[inside], [horizon]])
        heights = np.concatenate([[1.0], self.survival[inside]])
        return float(np.sum(np.diff(edges) * heights))


def kaplan_meier(times: ArrayLike, reached: ArrayLike) -> SurvivalCurve:
    """Return the Kaplan-Meier curve of right-censored times.

    Its numbers are those of ``scipy.stats.ecdf``, whose import would take 0.3 s and 36 MB of every study.

    Args:
        times: of the event, or of the end of observation, shape (n,), n >= 1; at least 0 and finite.
        reached: whether the event came, else the time is censored, shape (n,).

    Example:
        >>> curve = kaplan_meier([1.0, 2.0, 2.0, 5.0], [True, True, False, True])
        >>> curve.times.tolist(), curve.survival.tolist(), curve.median
        ([1.0, 2.0, 5.0], [0.75, 0.5, 0.0], 2.0)
    """
    known, event = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=np.bool_)
    different, counts = np.unique(known, return_counts=True)
    at_risk = len(known) - np.concatenate([[0], np.cumsum(counts)[:-1]])
    events = np.bincount(np.searchsorted(different, known[event]), minlength=len(different))
    return SurvivalCurve(times=different, survival=np.cumprod((at_risk - events) / at_risk))


def common_horizon(times: ArrayLike, reached: ArrayLike) -> float:
    """Return the latest time up to which every min(T, horizon) is known: the first censored time, or the last time if none is censored.

    Args:
        times: as for :func:`kaplan_meier`; infinite where the event is known to come never.
        reached: as for :func:`kaplan_meier`.

    Example:
        >>> common_horizon([3.0, 9.0, 7.0], [True, True, False]), common_horizon([3.0, 9.0], [True, True])
        (7.0, 9.0)
    """
    known, event = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=np.bool_)
    censored = known[~event & np.isfinite(known)]
    return float(censored.min()) if censored.size else float(known[np.isfinite(known)].max(initial=0.0))


def restricted_times(times: ArrayLike, reached: ArrayLike, horizon: float) -> Floats:
    """Return min(T, horizon), NaN where it is not known because the time is censored before the horizon.

    Example:
        >>> restricted_times([3.0, 9.0, 7.0, 4.0], [True, True, False, False], 7.0).tolist()
        [3.0, 7.0, 7.0, nan]
    """
    known, event = np.asarray(times, dtype=np.float64), np.asarray(reached, dtype=np.bool_)
    return np.where(event | (known >= horizon), np.minimum(known, horizon), np.nan)


def restricted_gains(faster: ArrayLike, slower: ArrayLike) -> Floats:
    """Return by how much one sample of restricted times is earlier than another on each seed; their mean is the gain in restricted mean.

    Args:
        faster: min(T, horizon) of one arm by seed, from :func:`restricted_times`, shape (n,).
        slower: of the other arm on the same seeds and the same horizon, shape (n,).

    Returns:
        Paired differences, positive where ``faster`` is earlier, 0 where neither reached the event by the horizon; seeds on which one
        is not known are left out.

    Example:
        >>> restricted_gains([3.0, 7.0, 2.0], [5.0, 7.0, float("nan")]).tolist()
        [2.0, 0.0]
    """
    gains = np.asarray(slower, dtype=np.float64) - np.asarray(faster, dtype=np.float64)
    return np.asarray(gains[~np.isnan(gains)], dtype=np.float64)


def area_under_curve(steps: ArrayLike, values: ArrayLike) -> float | None:
    """Return the area under a curve by trapezoids over its length, the mean value between its first and its last step.

    Args:
        steps: ascending, shape (n,).
        values: at these steps, shape (n,).

    Returns:
        The area in units of the values; None for fewer than two different steps, or where a value is not finite.

    Example:
        >>> area_under_curve([0, 10, 20], [0.0, 1.0, 1.0])
        0.75
    """
    at, heights = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if at.size < 2 or at[-1] <= at[0] or not np.isfinite(heights).all():
        return None
    return float(np.trapezoid(heights, at) / (at[-1] - at[0]))
