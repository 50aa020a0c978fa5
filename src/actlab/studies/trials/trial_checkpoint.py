"""Checkpoint of a trial in the folder of its study."""

from __future__ import annotations

from typing import Any

from actlab.studies.arm import Arm
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.tasks.training.checkpoint import Checkpoint, checkpoint_file

__all__ = ["trial_checkpoint"]


def trial_checkpoint(arm: Arm, settings: TrialSettings, measured: Measurements) -> Checkpoint | None:
    """Return the checkpoint of a trial, and note it in the measurements; None where trials are executed without.

    It belongs to code, data, weights and versions as they are now: with others, the trial begins anew.

    Args:
        arm: of the trial.
        settings: of the trial.
        measured: of the trial, with all digests of what it is computed from.
    """
    conditions = settings.conditions
    if conditions.checkpoints is None:
        return None
    trial: dict[str, Any] = {"stage": settings.stage, "arm": arm.label, "seed": settings.seed, "lr": settings.lr}
    rest = {"init": settings.init, "decay_learned": settings.decay_learned, "device": conditions.device}
    measured.checkpoint = Checkpoint(
        checkpoint_file(conditions.checkpoints, **trial),
        key={**trial, **rest, "inputs": measured.inputs, "versions": measured.versions},
        every=conditions.checkpoint_every,
    )
    return measured.checkpoint
