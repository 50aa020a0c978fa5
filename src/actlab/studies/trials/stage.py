"""Stages of a study's trials, and the share of the training steps that each runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from actlab.studies.rungs import GRID, HALVING
from actlab.tasks.task import Task

__all__ = ["MAIN", "PILOT", "is_tuning", "share_of", "staged", "steps_of"]

#: Stage whose trials are compared; no other reads the test split.
MAIN: Final = "main"
#: Stage of the baseline's trial on a tuning seed, from which the target of convergence follows.
PILOT: Final = "pilot"
# A rung is not shorter than this, unless the training is: the loss after fewer steps says nothing of a learning rate.
_FEWEST_STEPS = 20
_SHARES: Final = {rung.stage: rung.share for rung in (*GRID, *HALVING)}


def is_tuning(stage: str) -> bool:
    """Return whether trials of a stage serve the choice of learning rates.

    Example:
        >>> is_tuning("tune1"), is_tuning("main")
        (True, False)
    """
    return stage in _SHARES


def share_of(stage: str) -> float:
    """Return the share of a main trial's steps that trials of a stage run.

    Example:
        >>> share_of("tune0"), share_of("main")
        (0.125, 1.0)
    """
    return _SHARES.get(stage, 1.0)


def steps_of(stage: str, steps: int) -> int:
    """Return the steps of a trial of a stage.

    Args:
        stage: of the trial.
        steps: of a main trial.

    Example:
        >>> steps_of("tune0", 1600), steps_of("tune0", 40), steps_of("main", 1600)
        (200, 20, 1600)
    """
    return min(steps, max(_FEWEST_STEPS, round(steps * share_of(stage))))


def staged(task: Task, stage: str, steps: int) -> Task:
    """Return the task with the steps of a stage; a scheduler of the learning rate thereby gets the stage's own total.

    Args:
        task: of a main trial.
        stage: of the trial.
        steps: of a main trial, see :func:`actlab.tasks.training.batches.step_count`.
    """
    return task if share_of(stage) == 1 else replace(task, steps=steps_of(stage, steps))
