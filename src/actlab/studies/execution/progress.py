"""The progress of a running study: what a person waiting for it wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actlab.studies.execution.scheduler import View
from actlab.studies.plan import Plan
from actlab.studies.store.store import Result

__all__ = ["Progress", "progress_of"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A piece of news.

    Attributes:
        done: trials that have a row.
        total: trials there will be if no further arm leaves.
        eliminated: arms that have left by the evidence.
        leader: the arm in the race with the best mean so far, or None.
        seconds_left: an estimate from the trials of this run, or None before the first.
        running: number of workers.
    """

    done: int
    total: int
    eliminated: tuple[str, ...]
    leader: str | None
    seconds_left: float | None
    running: int


def progress_of(plan: Plan, view: View, results: Sequence[Result], *, workers: int) -> Progress:
    """Sum up a view of the rows.

    Args:
        plan: of the study.
        view: what the frontier saw.
        results: all results so far.
        workers: number of processes at work.
    """
    remaining = view.total - view.done
    per_trial = float(np.median([result.seconds for result in results])) if results else None
    return Progress(
        done=view.done,
        total=view.total,
        eliminated=view.eliminated,
        leader=_leader(plan, view, results),
        seconds_left=None if per_trial is None else per_trial * remaining / max(1, workers),
        running=0 if view.finished else workers,
    )


def _leader(plan: Plan, view: View, results: Sequence[Result]) -> str | None:
    """Return the arm with the best mean over the seeds that all arms in the race have."""
    values: dict[str, dict[int, float]] = {arm: {} for arm in view.active}
    for result in results:
        if result.key.stage == "main" and result.metric is not None and result.key.arm in values:
            values[result.key.arm][result.key.seed] = result.metric
    seen = {arm: own for arm, own in values.items() if own}
    common = set.intersection(*map(set, seen.values())) if seen else set()
    if not common:
        return None
    best = max if plan.direction == "max" else min
    return best(seen, key=lambda arm: float(np.mean([seen[arm][seed] for seed in sorted(common)])))
