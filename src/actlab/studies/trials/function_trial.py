"""Trial of a task that the user's training function trains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from actlab.errors import TaskError
from actlab.nn.training.parameter_groups import exempt_in_new_optimizers
from actlab.studies.arm import UNCHANGED, Arm, parse_arm
from actlab.studies.arm_model import build_model
from actlab.studies.trial_inputs import input_digests
from actlab.studies.trials.loop_trial import measured_axes
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.studies.trials.stage import MAIN, share_of
from actlab.studies.trials.trial_checkpoint import trial_checkpoint
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.task import Task
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.handle import TrialHandle, returned_values
from actlab.tasks.training.loop import DivergedError
from actlab.tasks.training.recorder import LOSS
from actlab.tasks.training_function.arguments import bound_arguments
from actlab.tasks.training_function.model_inputs import model_inputs

__all__ = ["run_function_trial", "train_by_function"]


def run_function_trial(task: Task, arm: Arm, settings: TrialSettings, measured: Measurements) -> None:
    """Call the training function with a model of an arm, and fill in the measurements; call it inside ``isolated``.

    Args:
        task: whose ``door`` is "function".
        arm: activations for the model's sites.
        settings: of the trial.
        measured: filled in, also where the function raises.

    Raises:
        DivergedError: a result is not finite.
        TaskError: the result is missing, or a report is wrong.
    """
    seed, device = settings.seed, settings.conditions.device
    measured.inputs |= input_digests(task, None)
    measured.versions["threads"] = str(torch.get_num_threads())
    batch = model_inputs(task, seed)
    model = build_model(task, arm, seed, init=settings.init, batch=batch, digests=measured.inputs)
    measured.parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if device != "cpu":
        model.to(device)
    trial = TrialHandle(
        metric_name=task.metric_name,
        seed=seed,
        lr=settings.lr,
        stage=settings.stage,
        device=device,
        steps_share=share_of(settings.stage),
        recorder=measured.recorder,
        checkpoint=trial_checkpoint(arm, settings, measured),
    )
    exemption = nullcontext() if settings.decay_learned else exempt_in_new_optimizers(model)
    try:
        with exemption:
            _train(task, model, trial, measured, stage=settings.stage)
        if settings.stage == MAIN and settings.conditions.axes:
            measured.axes |= _axes(task, model, settings)
    finally:
        trial.close()
        measured.steps = trial.steps


def _train(task: Task, model: nn.Module, trial: TrialHandle, measured: Measurements, *, stage: str) -> None:
    measured.recorder.start()
    values = _called(task, model, trial)
    held_out = None if task.metric_name == LOSS else trial.latest(task.metric_name)  # "loss" is that of the training
    if stage == MAIN:
        measured.metric, measured.validation = values[task.metric_name], held_out
        others = {name: value for name, value in values.items() if name != LOSS}
        measured.metrics |= others if len(others) > 1 else {}
    else:
        if stage.startswith("tune") and held_out is None and not trial.has_told_stage:
            name = task.metric_name
            raise TaskError(
                f"train of {task.name} returned {name} where learning rates are tried, without reading trial.stage: it may be of the test "
                f"split. Where trial.stage is not 'main', return {name} on a validation split; or report it under this name while it "
                f"trains: trial.report(step=..., {name}=...)."
            )
        measured.validation = values[task.metric_name] if held_out is None else held_out


def _axes(task: Task, model: nn.Module, settings: TrialSettings) -> dict[str, Any]:
    """Return what the axes say of the model that the function has trained in place."""
    return measured_axes(task, model.eval(), cached_data(task, settings.seed), settings=settings, predictions=None)


def _called(task: Task, model: nn.Module, trial: TrialHandle) -> dict[str, float]:
    """Call the training function, and return its results by name."""
    if task.train is None:
        raise TaskError(f"The task {task.name} has no training function.")
    args, keywords = bound_arguments(task.train, {"model": model, "seed": trial.seed, "trial": trial}, of=task.name)
    seed_all(trial.seed)  # again: the swap may have drawn numbers, and dropout must not depend on the arm
    returned = task.train(*args, **keywords)
    if trial.diverged is not None:  # the function may have caught it
        raise trial.diverged
    return returned_values(returned, trial, metric=task.metric_name, of=f"train of {task.name}")


def train_by_function(
    task: Task,
    seed: int,
    *,
    arm: Arm | None = None,
    watch: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext,
) -> nn.Module:
    """Return the task's model in eval mode, trained by its function as in a trial. The global generators are restored.

    Args:
        task: whose ``door`` is "function".
        seed: of the trial.
        arm: activations for the model's sites; by default the model's own.
        watch: of the untrained model, returns a context that is open during training, such as a probe.

    Raises:
        TaskError: the training diverged.
        ActlabError: the arm does not fit the model.
    """
    with one_thread(), isolated(seed):
        model = build_model(task, arm or parse_arm(UNCHANGED), seed, init="fixed", batch=model_inputs(task, seed))
        trial = TrialHandle(metric_name=task.metric_name, seed=seed, lr=task.learning_rate)
        try:
            with watch(model):
                _called(task, model, trial)
        except DivergedError as error:
            raise TaskError(f"The training of {task.name} diverged: {error}. Try a smaller learning rate.") from error
    return model.eval()
