"""Sentences on how the learning rates of a study were chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from actlab.report.content.format import plain, plural
from actlab.studies.plan import Plan
from actlab.studies.rungs import GRID
from actlab.studies.settings import TUNING_SEEDS
from actlab.studies.trials.stage import MAIN, is_tuning
from actlab.studies.trials.tuning import tuned_grid

__all__ = ["learning_rates", "planned_learning_rates"]


def planned_learning_rates(plan: Plan, default: float) -> str:
    """Return how the learning rates of a plan will be chosen.

    Args:
        plan: of the study.
        default: the task's own learning rate; 0 for the own one of a training that ActLab does not know.

    Example:
        >>> from actlab.studies.plan import make_plan
        >>> from actlab.tasks import resolve
        >>> planned_learning_rates(make_plan(resolve("digits"), ["relu", "gelu"]), 0.003)
        "the task's own, 0.003"
    """
    if plan.tune is None:
        return f"the task's own, {plain(default)}" if default else "the training's own"
    return _tuned(tuned_grid(plan, default), len(TUNING_SEEDS), halving=plan.tuning == "halving")


def learning_rates(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return how the learning rates of a study were chosen, and what was chosen.

    Args:
        rows: all trials of the study.

    Example:
        >>> learning_rates([{"stage": "main", "arm": "relu", "seed": 0, "lr": 0.003}])
        "the task's own, 0.003; not tuned"
    """
    tuning: list[Mapping[str, Any]] = []
    chosen: dict[str, float] = {}
    for row in rows:
        if is_tuning(row["stage"]):
            tuning.append(row)
        elif row["stage"] == MAIN:
            chosen[row["arm"]] = row["lr"]
    if not tuning:
        own = ", ".join(sorted({f"{rate:.3g}" for rate in chosen.values() if rate}))
        return f"the task's own, {own}; not tuned" if own else "the training's own"
    halving = any(row["stage"] != GRID[0].stage for row in tuning)
    how = _tuned({row["lr"] for row in tuning}, len({row["seed"] for row in tuning}), halving=halving)
    return "; ".join([how, *(f"{arm} {rate:.2g}" for arm, rate in chosen.items())])


def _tuned(rates: Collection[float], seeds: int, *, halving: bool) -> str:
    grid = f"{plural(len(rates), 'rate')} from {min(rates):.2g} to {max(rates):.2g} on {plural(seeds, 'seed')}"
    return f"tuned for every arm with the same budget: {grid}{', by successive halving' if halving else ''}"
