"""Trial of a task that the loop of ActLab trains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from actlab.errors import TaskError
from actlab.evaluate.axis_run import run_axes
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.nn.sites.dry_run import Inputs
from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.studies.trial_inputs import input_digests
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.studies.trials.stage import staged
from actlab.studies.trials.trial_checkpoint import trial_checkpoint
from actlab.tasks.data import Data
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_inputs, step_count
from actlab.tasks.training.controls import constant_metric
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.evaluation import Predictions, evaluate_model, metrics_of, predictions_of
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.loop import DivergedError, TrainingSettings, UnusableCheckpointError, finite, train
from actlab.tasks.training.recorder import Recorder

__all__ = ["evaluate_trained", "held_out_of", "measured_axes", "run_loop_trial", "train_model", "untrained_model"]


def run_loop_trial(task: Task, arm: Arm, settings: TrialSettings, measured: Measurements) -> None:
    """Train and evaluate an arm, and fill in the measurements; call it inside :func:`actlab.tasks.isolation.isolated`.

    Args:
        task: whose ``door`` is "loop".
        arm: activations for the model's sites.
        settings: of the trial.
        measured: filled in as the trial goes on.

    Raises:
        DivergedError: a loss or metric is not finite.
    """
    seed = settings.seed
    data = cached_data(task, seed)
    measured.inputs |= input_digests(task, data)
    task = staged(task, settings.stage, step_count(task, data.train))
    measured.versions |= {"threads": str(torch.get_num_threads()), "trainer": "single"}
    model, held_out = _trained(task, arm, data, settings, measured)
    given: dict[str, Any] = {"settings": settings, "measured": measured, "held_out": held_out}
    evaluate_trained(task, model.eval(), data, build=partial(untrained_model, task, arm, data, settings), **given)


def untrained_model(task: Task, arm: Arm, data: Data, settings: TrialSettings) -> nn.Module:
    """Return the model of a trial as it is before the training."""
    batch = first_inputs(task, data.train, settings.seed)
    return build_model(task, arm, settings.seed, init=settings.init, batch=batch)


def _trained(
    task: Task, arm: Arm, data: Data, settings: TrialSettings, measured: Measurements
) -> tuple[nn.Module, HeldOut | None]:
    """Build and train the model, from the checkpoint of a killed attempt on if there is one; return it with its evaluations."""
    seed, checkpoint = settings.seed, None
    while True:
        batch = first_inputs(task, data.train, seed)
        model = build_model(task, arm, seed, init=settings.init, batch=batch, digests=measured.inputs)
        measured.parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        if settings.conditions.device != "cpu":
            model.to(
                settings.conditions.device
            )  # not before: the initial weights of a seed are the same on every device
        seed_all(seed)  # again: the swap may have drawn numbers, and dropout must not depend on the arm
        recorder = measured.recorder
        held_out = held_out_of(task, data, recorder)
        checkpoint = checkpoint or trial_checkpoint(arm, settings, measured)
        training = TrainingSettings(
            lr=settings.lr,
            decay_learned=settings.decay_learned,
            device=settings.conditions.device,
            checkpoint=checkpoint,
        )
        try:
            train(task, model, data.train, seed, settings=training, recorder=recorder, held_out=held_out)
        except UnusableCheckpointError:  # never twice: it is removed
            measured.recorder = Recorder()
        else:
            return model, held_out


def held_out_of(task: Task, data: Data, recorder: Recorder) -> HeldOut | None:
    """Return the evaluations during a training; None for data without a validation split."""
    if data.validation is None:
        return None
    return HeldOut(task, data.validation, total=step_count(task, data.train), recorder=recorder)


def evaluate_trained(
    task: Task,
    model: nn.Module,
    data: Data,
    *,
    settings: TrialSettings,
    measured: Measurements,
    held_out: HeldOut | None,
    build: Callable[[], nn.Module] | None = None,
) -> None:
    """Evaluate a trained model, in evaluation mode, and fill in the measurements.

    Raises:
        DivergedError: a metric is not finite.
    """
    losses = measured.recorder.losses
    curve = None if task.curve_metric is None else finite(task.curve_metric(losses), "curve_metric")
    if data.validation is not None and held_out is not None:
        measured.validation = finite(evaluate_model(task, model, data.validation), "metric on the validation split")
        held_out.record(len(losses), measured.validation)
    if settings.stage != "main" and curve is not None:
        measured.validation = curve  # rates are chosen by the result: the metric beside it may have another direction
    if settings.stage == "main":
        found = None if curve is not None and not task.metrics else predictions_of(task, model, data.test)
        measured.metric = curve if curve is not None or found is None else finite(task.result_metric(*found), "metric")
        measured.metrics |= {} if found is None else metrics_of(task, found)
        measured.controls = _controls(task, None if curve is not None else found, held_out)
        measured.axes |= measured_axes(task, model, data, settings=settings, predictions=found, build=build)


def measured_axes(
    task: Task,
    model: nn.Module,
    data: Data,
    *,
    settings: TrialSettings,
    predictions: Predictions | None,
    build: Callable[[], nn.Module] | None = None,
) -> dict[str, Any]:
    """Return what the axes of a trial say of its trained model, in evaluation mode; they come last and change no other result."""
    axes: list[Any] = [axis for axis in settings.conditions.axes if getattr(axis, "level", "") != "arm"]
    if not axes:
        return {}
    given: dict[str, Any] = {
        "seed": settings.seed,
        "predictions": predictions,
        "build": build,
        "learning_rate": settings.lr,
    }
    return run_axes(axes, model, EvaluationData(task, model, data, **given))


def _controls(task: Task, found: Predictions | None, held_out: HeldOut | None) -> dict[str, float]:
    """Return the control measurements; they come last and change no result."""
    controls = {
        "constant": None if found is None else constant_metric(task.result_metric, *found),
        "half_validation": None if held_out is None or task.curve_metric is not None else held_out.half,
    }
    return {name: value for name, value in controls.items() if value is not None}


def train_model(
    task: Task,
    seed: int,
    *,
    arm: Arm | None = None,
    watch: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext,
) -> nn.Module:
    """Return the task's model in eval mode, trained as in a trial. The global generators are restored.

    Args:
        task: the task to train.
        seed: fixes data, order, initial weights and dropout.
        arm: activations for the model's sites; by default the model's own.
        watch: of the untrained model, returns a context that is open during training, such as a probe.

    Raises:
        TaskError: the training diverged.
        ActlabError: the arm does not fit the model.

    Example:
        >>> from actlab.tasks import resolve
        >>> train_model(resolve("digits"), seed=0).training
        False
    """
    with one_thread(), isolated(seed):
        data = cached_data(task, seed)
        model = _untrained_model(task, arm, seed, first_inputs(task, data.train, seed))
        seed_all(seed)
        try:
            with watch(model):
                _train_watched(task, model, data, seed)
        except DivergedError as error:
            raise TaskError(f"The training of {task.name} diverged: {error}. Try a smaller learning rate.") from error
    return model.eval()


def _train_watched(task: Task, model: nn.Module, data: Data, seed: int) -> None:
    """Train as in a trial; without the compiler, which would not run the hooks of what watches the model."""
    recorder, settings = Recorder(), TrainingSettings(lr=task.learning_rate)
    reads_validation = task.patience is not None or task.scheduler is not None
    held_out = held_out_of(task, data, recorder) if reads_validation else None
    train(
        replace(task, compile=False), model, data.train, seed, settings=settings, recorder=recorder, held_out=held_out
    )


def _untrained_model(task: Task, arm: Arm | None, seed: int, batch: Inputs | None) -> nn.Module:
    if arm is not None:
        return build_model(task, arm, seed, init="fixed", batch=batch)
    seed_all(seed)
    return task.model(seed).train()
