"""The numbers behind every chart, as plain lists of dicts: they can be read, tested and drawn by something else."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["Row", "costs", "curves", "differences", "main_trials", "seed_differences", "smoothed"]

Row = Mapping[str, Any]


def main_trials(rows: Iterable[Row]) -> list[Row]:
    """Return the trials that the verdict is about: those that tuned a learning rate are left out."""
    return [row for row in rows if row["stage"] == "main"]


def _middle_half(losses: Sequence[float]) -> tuple[float, float]:
    if len(losses) == 1:
        return losses[0], losses[0]
    low, _, high = quantiles(losses, n=4, method="inclusive")
    return low, high


def curves(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the learning curves: per arm and step the median training loss over seeds and the middle half around it.

    A loss that is not finite is left out, so a seed that diverged ends where it still had a loss; the median does not
    follow one seed.

    Returns:
        ``{"arm", "step", "median", "low", "high", "seeds"}`` with losses in the task's own units, ordered by arm (as in
        the verdict) and step.
    """
    losses: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in main_trials(rows):
        for point in row["curve"] or ():
            if point["loss"] is not None and math.isfinite(point["loss"]):
                losses[row["arm"]][int(point["step"])].append(float(point["loss"]))
    found = []
    for arm in verdict.arms:
        for step, at_step in sorted(losses[arm.spec].items()):
            low, high = _middle_half(at_step)
            point = {"arm": arm.spec, "step": step, "median": median(at_step), "low": low, "high": high}
            found.append({**point, "seeds": len(at_step)})
    return found


def smoothed(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return curves with each value the mean over its neighbours: a twenty-fifth of the curve's points on either side.

    The losses of single batches jump; nine points of a hundred let the eye follow a line. Near the ends the neighbourhood
    shrinks on both sides alike, so that no end is bent.
    """
    found = []
    for arm in dict.fromkeys(point["arm"] for point in points):
        mine = [point for point in points if point["arm"] == arm]
        for index, point in enumerate(mine):
            reach = min(len(mine) // 25, index, len(mine) - 1 - index)
            near = mine[index - reach : index + reach + 1]
            found.append({**point, **{name: fmean(one[name] for one in near) for name in ("median", "low", "high")}})
    return found


def differences(verdict: Verdict) -> list[dict[str, Any]]:
    """Return every arm's difference to the baseline with its interval, in the metric's units and the verdict's order.

    Returns:
        ``{"arm", "mean", "low", "high"}``; an arm without a difference (the baseline, or nothing finished) has no row.
    """
    return [
        {"arm": arm.spec, "mean": arm.diff.mean, "low": arm.diff.ci[0], "high": arm.diff.ci[1]}
        for arm in verdict.arms
        if arm.diff is not None and arm.diff.mean is not None
    ]


def seed_differences(verdict: Verdict, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the single seeds behind :func:`differences`: arm minus baseline where both have a result.

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
    """Return what every arm costs and gives: step time against the baseline, mean of the metric and its interval.

    Returns:
        ``{"arm", "time", "mean", "low", "high"}``; an arm whose time or mean is not known has no row.
    """
    return [
        {"arm": arm.spec, "time": arm.step_time_ratio, "mean": arm.mean, "low": arm.ci[0], "high": arm.ci[1]}
        for arm in verdict.arms
        if arm.step_time_ratio is not None and arm.mean is not None
    ]
