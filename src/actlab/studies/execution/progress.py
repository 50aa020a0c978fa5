"""Progress of a running study, with trials done, time left and current leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actlab.studies.execution.scheduler import Schedule
from actlab.studies.plan import Plan
from actlab.studies.store.store import TrialSummary
from actlab.studies.trials.stage import share_of

__all__ = ["Progress", "summarize_progress"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a running study.

    Attributes:
        done: number of finished trials.
        total: number of trials if no further arm is eliminated.
        eliminated: arms eliminated by the evidence.
        leader: the active arm with the best mean so far, or None.
        seconds_left: estimated from the median time of a trial, in which a short one of tuning counts as its share of the steps; None
            before the first trial ends.
        running: number of workers.
    """

    done: int
    total: int
    eliminated: tuple[str, ...]
    leader: str | None
    seconds_left: float | None
    running: int


def summarize_progress(plan: Plan, schedule: Schedule, results: Sequence[TrialSummary], *, workers: int) -> Progress:
    """Return the progress of a study.

    Args:
        plan: of the study.
        schedule: computed from the results.
        results: all results so far.
        workers: number of worker processes.
    """
    per_trial = (
        float(np.median([result.seconds / share_of(result.key.stage) for result in results])) if results else None
    )
    return Progress(
        done=schedule.done,
        total=schedule.total,
        eliminated=schedule.eliminated,
        leader=_leader(plan, schedule, results),
        seconds_left=None if per_trial is None else per_trial * schedule.work_left / max(1, workers),
        running=0 if schedule.finished else workers,
    )


def _leader(plan: Plan, schedule: Schedule, results: Sequence[TrialSummary]) -> str | None:
    """Return the active arm with the best mean over the seeds that all active arms have."""
    metrics: dict[str, dict[int, float]] = {arm: {} for arm in schedule.active}
    for result in results:
        if result.key.stage == "main" and result.metric is not None and result.key.arm in metrics:
            metrics[result.key.arm][result.key.seed] = result.metric
    begun = {arm: values for arm, values in metrics.items() if values}
    common = set.intersection(*map(set, begun.values())) if begun else set()
    if not common:
        return None
    best = max if plan.direction == "max" else min
    return best(begun, key=lambda arm: float(np.mean([begun[arm][seed] for seed in sorted(common)])))
