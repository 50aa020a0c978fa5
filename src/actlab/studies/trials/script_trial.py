"""Trial of a task that the user's script trains."""

from __future__ import annotations

import hashlib
import json
import math

from actlab.studies.arm import Arm, arm_to_dict
from actlab.studies.source_files import current_digests
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.tasks.scripts.run import VALIDATION, Result, ScriptEndedError, run_script
from actlab.tasks.task import Task
from actlab.tasks.training.recorder import LOSS

__all__ = ["run_script_trial"]


def run_script_trial(task: Task, arm: Arm, settings: TrialSettings, measured: Measurements) -> None:
    """Run the script for an arm and a seed, and fill in the measurements.

    Args:
        task: whose ``door`` is "script".
        arm: activations for the sites of the script's model.
        settings: of the trial.
        measured: filled in, also where the script fails.

    Raises:
        ScriptEndedError: the script did not give its result.
        TaskError: the command cannot be run.
    """
    request = {
        "seed": settings.seed,
        "stage": settings.stage,
        "arm": arm_to_dict(arm),
        "init": settings.init,
        "decay_learned": settings.decay_learned,
    }
    result = Result(metric=task.metric_name, recorder=measured.recorder)
    try:
        run_script(task, request, result, lr=settings.lr, conditions=settings.conditions)
    finally:
        _fill(task, result, measured)
    if settings.stage.startswith("tune") and measured.validation is None:
        raise ScriptEndedError(
            f"the script did not report {VALIDATION}, by which learning rates are chosen; add actlab.report({VALIDATION}=...), the metric "
            "on the validation split."
        )
    if settings.stage == "main":
        measured.metric = result.last[task.metric_name]


def _fill(task: Task, result: Result, measured: Measurements) -> None:
    measured.inputs["code"] = hashlib.sha256(json.dumps(current_digests(task), sort_keys=True).encode()).hexdigest()[
        :16
    ]
    measured.validation = result.last.get(VALIDATION)
    measured.cpu_seconds, measured.steps = result.cpu_seconds, result.step
    others = {name: value for name, value in result.last.items() if name not in {LOSS, VALIDATION}}
    metrics = {name: value for name, value in others.items() if math.isfinite(value)}  # JSON has no others
    measured.metrics |= metrics if len(metrics) > 1 else {}
    model = result.model
    if model is not None:
        measured.parameters = model["parameters"]
        measured.inputs |= {"weights": model["weights"]} if model["weights"] else {}
        measured.versions |= model["versions"]
