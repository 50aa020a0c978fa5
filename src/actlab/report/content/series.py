"""Data series of the study charts (learning curves, differences, costs), as lists of dicts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["Row", "costs", "curves", "differences", "main_trials", "quartiles", "seed_differences", "smoothed"]

Row = Mapping[str, Any]


def main_trials(rows: Iterable[Row]) -> list[Row]:
    """Return the trials of the verdict, without those that tuned a learning rate."""
    return [row for row in rows if row["stage"] == "main"]


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile; of one value, the value twice."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def curves(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the learning curves, as median and quartiles of the training loss over seeds, per arm and step.

    Losses that are not finite are left out, so that a diverged seed counts up to its last finite loss.

    Returns:
        ``{"arm", "step", "median", "low", "high", "seeds"}`` with losses in the task's units, ordered by arm (as in the verdict) and step.
    """
    losses: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in main_trials(rows):
        for point in row["curve"] or ():
            if point["loss"] is not None and math.isfinite(point["loss"]):
                losses[row["arm"]][int(point["step"])].append(float(point["loss"]))
    points = []
    for arm in verdict.arms:
        for step, at_step in sorted(losses[arm.spec].items()):
            low, high = quartiles(at_step)
            point = {"arm": arm.spec, "step": step, "median": median(at_step), "low": low, "high": high}
            points.append({**point, "seeds": len(at_step)})
    return points


def smoothed(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return curves smoothed by a moving average over 1/25 of the curve's points on either side.

    Losses of single batches are noisy. Near the ends the window shrinks on both sides, so that the ends are not biased.
    """
    result = []
    for arm in dict.fromkeys(point["arm"] for point in points):
        curve = [point for point in points if point["arm"] == arm]
        for index, point in enumerate(curve):
            reach = min(len(curve) // 25, index, len(curve) - 1 - index)
            window = curve[index - reach : index + reach + 1]
            means = {name: fmean(other[name] for other in window) for name in ("median", "low", "high")}
            result.append({**point, **means})
    return result


def differences(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the difference of every arm to the baseline with its interval, in the metric's units and the verdict's order.

    Returns:
        ``{"arm", "mean", "low", "high"}``; arms without a difference (the baseline, or no finished trial) are left out.
    """
    return [
        {"arm": arm.spec, "mean": arm.diff.mean, "low": arm.diff.ci[0], "high": arm.diff.ci[1]}
        for arm in verdict.arms
        if arm.diff is not None and arm.diff.mean is not None
    ]


def seed_differences(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the differences of single seeds, arm minus baseline, for seeds on which both have a result.

    Returns:
        ``{"arm", "seed", "difference"}`` in the metric's units.
    """
    results = {(row["arm"], row["seed"]): row["metric"] for row in main_trials(rows) if row["metric"] is not None}
    return [
        {"arm": arm.spec, "seed": seed, "difference": results[arm.spec, seed] - results[verdict.baseline, seed]}
        for arm in verdict.arms
        for seed in verdict.seeds
        if arm.spec != verdict.baseline and (arm.spec, seed) in results and (verdict.baseline, seed) in results
    ]


def costs(verdict: Verdict) -> list[dict[str, Any]]:
    """Return relative step time, mean metric and its interval per arm.

    Returns:
        ``{"arm", "time", "mean", "low", "high"}``; arms without time or mean are left out.
    """
    return [
        {"arm": arm.spec, "time": arm.step_time_ratio, "mean": arm.mean, "low": arm.ci[0], "high": arm.ci[1]}
        for arm in verdict.arms
        if arm.step_time_ratio is not None and arm.mean is not None
    ]
