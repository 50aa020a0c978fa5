"""Validate a task before any trial by its settings, its data, one training step and one evaluation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean
from actlab.tasks.checks.batch_check import (
    METRIC_EXAMPLES,
    check_functions,
    check_last_batch,
    check_loader,
    check_loss,
    check_predictions,
    loss_of_first_batch,
    needs_batches,
)
from actlab.tasks.checks.loop_settings import check_loop_settings, check_schedule
from actlab.tasks.checks.repeatability import check_loss_repeats, check_model_repeats, repeatable_data
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.loading.loader import Loader
from actlab.tasks.setting_names import SETTINGS
from actlab.tasks.task import OWN_RATE, Task
from actlab.tasks.training.batches import first_batch
from actlab.tasks.training.evaluation import as_number, loss_function
from actlab.tasks.training.optimization import make_optimizer
from actlab.tasks.unread_names import unread_constants
from actlab.tasks.user_code import user_code

__all__ = ["check", "check_axis_settings", "check_settings", "example_batch", "warn_of_unread_constants"]

_KINDS: Final = {
    "output_kind": ("logits", "log_probabilities", "probabilities", "values"),
    "input_kind": ("image", "table", "series", "text"),
}


def check(task: Task, *, seed: int = 0) -> Data:
    """Validate a task: settings, data, one training step and the metric. Return its data for the seed.

    The functions are called twice for one seed, and must give the same: differences between arms are paired by seed.
    The step is taken on a model that is discarded, on one thread. The global generators are restored.

    Args:
        task: the task to validate.
        seed: of data and model.

    Raises:
        TaskError: the task cannot be trained; the message names the setting or function at fault and, for an exception, its line.

    Example:
        >>> from actlab.tasks import resolve
        >>> len(check(resolve("digits")).test)
        360
    """
    check_settings(task)
    warn_of_unread_constants(task)
    with one_thread(), isolated(seed):
        data = repeatable_data(task, seed, partial(_check_data, task))
        with user_code(f"model({seed}) of the task {task.name}"):
            model = task.model(seed)
        if not isinstance(model, nn.Module):
            raise TaskError(
                f"model(seed) of the task {task.name} returned a {type(model).__name__}; a torch.nn.Module is needed."
            )
        check_schedule(task, model, data)
        if needs_batches(task, data):
            _check_optimizer(task, model, loss_of_first_batch(task, model, data))
            check_last_batch(task, model, data)
            check_predictions(task, model, data)
            check_loss_repeats(task, loss_function(task, data.train), first_batch(task, data.train), seed)
        else:
            train, test = tensors_of(data.train, "the check"), tensors_of(data.test, "the check")
            _check_step(task, model, train)
            _check_metric(task, model, test)
            check_model_repeats(task, example_batch(train, task.batch_size), seed)
        _check_curve_metric(task)
    return data


def check_settings(task: Task) -> None:
    """Check the fields of a task that are no code.

    Raises:
        TaskError: a field has a value that is not allowed.
    """
    if task.direction not in {"max", "min"}:
        near = did_you_mean(str(task.direction), ("max", "min")) or _near_direction(task.direction)
        raise TaskError(
            f"direction of the task {task.name} is {task.direction!r}; "
            f"allowed are 'max' (larger is better) and 'min'.{near}"
        )
    for field in fields(task):
        value = getattr(task, field.name)
        if field.name in {"model", "data", "loss", "metric", "optimizer"} and not callable(value):
            raise TaskError(
                f"{field.name} of the task {task.name} must be a function, got {type(value).__name__}: {value!r}."
            )
    for name in ("batch_size", "epochs", "steps"):
        value = getattr(task, name)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not is_count and not (name == "steps" and value is None):
            raise TaskError(f"{name} of the task {task.name} is {value!r}; a whole number from 1 up is needed.")
    for name in ("learning_rate", "rope"):
        value = getattr(task, name)
        if (value is None and name == "rope") or (
            value == OWN_RATE and name == "learning_rate" and task.door != "loop"
        ):
            continue
        if not (
            isinstance(value, int | float) and math.isfinite(value) and value >= 0 and (value > 0 or name == "rope")
        ):
            raise TaskError(
                f"{name} of the task {task.name} is {value!r}; "
                f"a number {'above 0' if name != 'rope' else 'from 0 up'} is needed."
            )
    check_functions(task)
    check_loop_settings(task)
    check_axis_settings(task)
    _check_texts(task)


def check_axis_settings(task: Task) -> None:
    """Check what a task says for axes: the kinds of outputs and inputs, groups, times, and inputs of another kind.

    Raises:
        TaskError: a value is not allowed.
    """
    for name, allowed in _KINDS.items():
        value = getattr(task, name)
        if value is not None and value not in allowed:
            raise TaskError(
                f"{name} of the task {task.name} is {value!r}; allowed are {', '.join(map(repr, allowed))}, and None for what "
                f"{'the loss takes' if name == 'output_kind' else 'dtype and shape say'}.{did_you_mean(str(value), allowed)}"
            )
    for name in ("groups", "times"):
        value = getattr(task, name)
        if not (value is None or callable(value) or (isinstance(value, int | str) and not isinstance(value, bool))):
            raise TaskError(
                f"{name} of the task {task.name} is a {type(value).__name__}; a number of a column, the name of a part of the inputs, or a "
                "function of (inputs, targets) is needed."
            )
    if task.out_of_distribution is not None and not callable(task.out_of_distribution):
        raise TaskError(
            f"out_of_distribution of the task {task.name} is a {type(task.out_of_distribution).__name__}; a function of the seed that "
            "returns inputs is needed."
        )


def _check_texts(task: Task) -> None:
    for name in ("name", "metric_name", "description"):
        value = getattr(task, name)
        if not isinstance(value, str) or not (value.strip() or name == "description") or "\n" in value.strip():
            raise TaskError(f"{name} of the task {task.name} is {value!r}; one line of text is needed.")
    if not isinstance(task.shuffle, bool):
        raise TaskError(f"shuffle of the task {task.name} is {task.shuffle!r}; allowed are True and False.")
    if task.curve_metric is not None and not callable(task.curve_metric):
        raise TaskError(
            f"curve_metric of the task {task.name} is {task.curve_metric!r}; a function of the list of losses is needed, or None."
        )


def warn_of_unread_constants(task: Task, settings: Sequence[str] = SETTINGS) -> None:
    """Warn of each line of a task's file that sets a literal which nothing reads and is none of these settings."""
    if task.file is None:
        return
    for name, line in unread_constants(task.source, settings).items():
        warnings.warn_explicit(
            f"{name} is set here, and neither ActLab nor this file reads it: it is no setting of a task.",
            UserWarning,
            task.file,
            line,
        )


def _near_direction(word: Any) -> str:
    text = str(word).lower()
    if text.startswith(("max", "high", "up", "larg", "great")):
        return " Did you mean 'max'?"
    return " Did you mean 'min'?" if text.startswith(("min", "low", "down", "small")) else ""


def _check_data(task: Task, data: Data) -> None:
    for name in ("train", "test", "validation"):
        split = getattr(data, name)
        if isinstance(split, Loader):
            check_loader(task, split, is_training=name == "train")
        elif split is not None:
            _check_split(split, f"the {name} split of {task.name}")
        elif name == "test":
            raise TaskError(
                f"data(seed) of {task.name} has no test split. A comparison needs examples that were not used in training."
            )
    train, test = data.train, data.test
    if isinstance(train, Split) and isinstance(test, Split) and train.x.shape[1:] != test.x.shape[1:]:
        shapes = f"{tuple(train.x.shape[1:])} in train and {tuple(test.x.shape[1:])} in test"
        raise TaskError(f"The examples of {task.name} have shape {shapes}; the shapes must be equal.")


def _check_split(split: Split, of: str) -> None:
    if not isinstance(split, Split) or not isinstance(split.x, Tensor) or not isinstance(split.y, Tensor):
        raise TaskError(f"{of[0].upper()}{of[1:]} must be a Split of tensors x and y, got {type(split).__name__}.")
    if split.x.ndim == 0 or split.y.ndim == 0 or len(split.x) != len(split.y):
        raise TaskError(
            f"x and y of {of} differ in length: x has shape {tuple(split.x.shape)}, y has {tuple(split.y.shape)}."
        )
    if len(split) == 0:
        raise TaskError(f"{of[0].upper()}{of[1:]} is empty.")
    for name, values in (("x", split.x), ("y", split.y)):
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise TaskError(f"{name} of {of} holds {_where_not_finite(values)}. Fill or drop them in data(seed).")


def _where_not_finite(values: Tensor) -> str:
    bad = ~torch.isfinite(values)
    first = int(bad.reshape(len(values), -1).any(1).nonzero()[0])
    kind = "NaN" if bool(torch.isnan(values).any()) else "infinite values"
    return f"{kind} in {int(bad.sum())} places (the first in example {first})"


def example_batch(split: Split, size: int) -> Split:
    """Return the first ``size`` examples, the last two replaced by those with the smallest and the largest integer target.

    A label that is too large for the model would otherwise raise only in the batch that contains it.
    """
    index = torch.arange(min(size, len(split)))
    if not split.y.is_floating_point() and split.y.ndim == 1 and len(index) >= 2:
        index[-2:] = torch.stack([split.y.argmin(), split.y.argmax()])
    return Split(x=split.x[index], y=split.y[index])


def _check_step(task: Task, model: nn.Module, train: Split) -> None:
    batch = example_batch(train, task.batch_size)
    shapes = f"a batch of shape {tuple(batch.x.shape)} ({batch.x.dtype})"
    with user_code(f"The model of {task.name}, given {shapes},"):
        output = model.train()(batch.x)
    if not isinstance(output, Tensor):
        raise TaskError(
            f"The model of {task.name} returned a {type(output).__name__}; it must return one tensor. For a model with several outputs "
            "define step(model, batch) -> loss and predict(model, batch) -> (output, target)."
        )
    if output.ndim == 0 or len(output) != len(batch):
        raise TaskError(
            f"The model of {task.name} returned an output of shape {tuple(output.shape)} for {shapes}; "
            "the first dimension must be the batch."
        )
    loss = _loss(task, output, batch.y)
    _check_optimizer(task, model, loss)


def _loss(task: Task, output: Tensor, target: Tensor) -> Tensor:
    shapes = f"output {tuple(output.shape)} ({output.dtype}) and target {tuple(target.shape)} ({target.dtype})"
    with warnings.catch_warnings(), user_code(f"loss of {task.name}, given {shapes},"):
        # torch only warns when it broadcasts (n, 1) against (n,) to (n, n), and then computes a wrong loss.
        warnings.filterwarnings("error", message="Using a target size")
        loss = task.loss(output, target)
    return check_loss(task, loss, f"loss of {task.name}", f"given {shapes},")


def _check_optimizer(task: Task, model: nn.Module, loss: Tensor) -> None:
    with user_code(f"optimizer of {task.name}"):
        optimizer = make_optimizer(task, model, task.learning_rate)
    if not (hasattr(optimizer, "step") and hasattr(optimizer, "zero_grad")):
        raise TaskError(
            f"optimizer of {task.name} returned a {type(optimizer).__name__}; it must return a torch optimizer."
        )
    with user_code(f"The first training step of {task.name}"):
        loss.backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
        optimizer.step()


def _check_metric(task: Task, model: nn.Module, test: Split) -> None:
    part = Split(x=test.x[:METRIC_EXAMPLES], y=test.y[:METRIC_EXAMPLES])
    with torch.no_grad(), user_code(f"The model of {task.name}, given a test batch of shape {tuple(part.x.shape)},"):
        output = model.eval()(part.x)
    with (
        torch.no_grad(),
        user_code(f"metric of {task.name}, given output {tuple(output.shape)} and target {tuple(part.y.shape)},"),
    ):
        value = task.metric(output, part.y)
    as_number(value, f"metric of {task.name}", finite=True)


def _check_curve_metric(task: Task) -> None:
    if task.curve_metric is not None:
        with user_code(f"curve_metric of {task.name}"):
            curve = task.curve_metric([2.0, 1.0])
        as_number(curve, f"curve_metric of {task.name}", finite=True)
