"""Trial of a task that the loop of ActLab trains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.studies.arm import Arm
from actlab.studies.arm_model import build_model
from actlab.studies.trial_inputs import input_digests
from actlab.studies.trials.measurements import Measurements, TrialSettings
from actlab.studies.trials.stage import staged
from actlab.tasks.data import Data
from actlab.tasks.isolation import isolated, one_thread, seed_all
from actlab.tasks.task import Task
from actlab.tasks.training.batches import step_count
from actlab.tasks.training.controls import constant_metric
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training.evaluation import evaluate_model, metric_of, outputs_of
from actlab.tasks.training.held_out import HeldOut
from actlab.tasks.training.loop import DivergedError, finite, train
from actlab.tasks.training.recorder import Recorder

__all__ = ["run_loop_trial", "train_model"]


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
    measured.versions["threads"] = str(torch.get_num_threads())
    batch = data.train.x[: task.batch_size]
    model = build_model(task, arm, seed, init=settings.init, batch=batch, digests=measured.inputs)
    measured.parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    seed_all(seed)  # again: the swap may have drawn numbers, and dropout must not depend on the arm
    total, recorder = step_count(task, data.train), measured.recorder
    held_out = None if data.validation is None else HeldOut(task, data.validation, total=total, recorder=recorder)
    train(
        task,
        model,
        data.train,
        seed,
        lr=settings.lr,
        recorder=recorder,
        decay_learned=settings.decay_learned,
        held_out=held_out,
    )
    _evaluate(task, model.eval(), data, settings=settings, measured=measured, held_out=held_out)


def _evaluate(
    task: Task,
    model: nn.Module,
    data: Data,
    *,
    settings: TrialSettings,
    measured: Measurements,
    held_out: HeldOut | None,
) -> None:
    losses = measured.recorder.losses
    curve = None if task.curve_metric is None else finite(task.curve_metric(losses), "curve_metric")
    if data.validation is not None and held_out is not None:
        measured.validation = finite(evaluate_model(task, model, data.validation), "metric on the validation split")
        held_out.record(len(losses), measured.validation)
    elif settings.stage != "main":
        measured.validation = curve
    if settings.stage == "main":
        output = None if curve is not None else outputs_of(model, data.test)
        measured.metric = curve if output is None else finite(metric_of(task, output, data.test), "metric")
        measured.controls = _controls(task, data, output, held_out)


def _controls(task: Task, data: Data, output: Tensor | None, held_out: HeldOut | None) -> dict[str, float]:
    """Return the control measurements; they come last and change no result."""
    controls = {
        "constant": None if output is None else constant_metric(task.metric, output, data.test.y),
        "half_validation": None if held_out is None else held_out.half,
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
        model = _untrained_model(task, arm, seed, data.train.x[: task.batch_size])
        seed_all(seed)
        try:
            with watch(model):
                train(task, model, data.train, seed, lr=task.learning_rate, recorder=Recorder())
        except DivergedError as error:
            raise TaskError(f"The training of {task.name} diverged: {error}. Try a smaller learning rate.") from error
    return model.eval()


def _untrained_model(task: Task, arm: Arm | None, seed: int, batch: Tensor) -> nn.Module:
    if arm is not None:
        return build_model(task, arm, seed, init="fixed", batch=batch)
    seed_all(seed)
    return task.model(seed).train()
