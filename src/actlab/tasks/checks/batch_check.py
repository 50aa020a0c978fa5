"""Checks of loaders, and of a training step and metrics on batches of any form."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.data import Data, Split
from actlab.tasks.loading.batch_parts import parts_of
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import description, leaves, mapped, row_count
from actlab.tasks.task import Task
from actlab.tasks.training.batches import first_batch, step_count
from actlab.tasks.training.evaluation import as_number, loss_function, predictions_of_batches
from actlab.tasks.user_code import user_code

__all__ = [
    "METRIC_EXAMPLES",
    "check_functions",
    "check_last_batch",
    "check_loader",
    "check_loss",
    "check_predictions",
    "loss_of_first_batch",
    "needs_batches",
]

#: Test examples on which the metric is evaluated: 0.2 s for LeNet-5 on one core, and enough to contain all ten classes.
METRIC_EXAMPLES: Final = 2000
_BATCHES: Final = 2  # read of every loader
_ONE_VALUE: Final = "Expected more than 1 value per channel"  # of torch's batch normalisation
_SHORT: Final = 8  # batches of an epoch that is read twice, so that another length shows before any trial


def needs_batches(task: Task, data: Data) -> bool:
    """Return whether a task is more than a loss and a metric of two tensors."""
    extended = (task.step, task.predict, task.metrics)
    return any(part is not None for part in extended) or not all(isinstance(s, Split) for s in data.splits.values())


def check_functions(task: Task) -> None:
    """Check the functions that may stand in the place of loss and metric.

    Raises:
        TaskError: one is no function, or there is none for the result or the loss.
    """
    for name, form in {
        "step": "step(model, batch) -> loss",
        "predict": "predict(model, batch) -> (output, target)",
    }.items():
        value = getattr(task, name)
        if value is not None and not callable(value):
            raise TaskError(
                f"{name} of the task {task.name} is {value!r}; a function is needed, {form}. Begin the name of something else with an "
                "underscore."
            )
    if task.metrics is not None:
        _check_metrics(task)


def _check_metrics(task: Task) -> None:
    metrics: Any = task.metrics
    if not isinstance(metrics, Mapping) or not metrics:
        given = "empty" if metrics == {} else f"a {type(metrics).__name__}"
        raise TaskError(
            f"metrics of the task {task.name} is {given}; a dict of functions of (output, target) by name is needed, such as "
            "{'accuracy': accuracy}."
        )
    for name, metric in metrics.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or not callable(metric):
            raise TaskError(
                f"metrics of the task {task.name} has {name!r}: {metric!r}; a function by its name is needed."
            )
    if task.curve_metric is None and not task.has_metric:
        near = did_you_mean(task.metric_name, list(metrics))
        raise TaskError(
            f"metric_name of the task {task.name} is {task.metric_name!r}, which is the result of a trial, and metrics has only "
            f"{listed(metrics)}.{near} Name one of these, or add it."
        )


def check_loader(task: Task, split: Loader, *, is_training: bool) -> None:
    """Read the first batches of a loader, and check them.

    Raises:
        TaskError: it raises, is empty, gives another number of batches in every epoch, or batches without a target or with NaN.
    """
    if is_training:
        step_count(task, split)
    with _reading(split):
        for number, batch in enumerate(_first_batches(split, is_training=is_training)):
            _check_batch(task, split, batch, number, is_training=is_training)


def _first_batches(split: Loader, *, is_training: bool) -> Iterator[Any]:
    if not is_training:
        yield from islice(split.evaluation(), _BATCHES)
    elif split.length is not None and split.length <= _SHORT:
        for epoch in split.epochs(2):
            yield from epoch
    else:
        yield from islice(next(split.epochs(1)), _BATCHES)


@contextmanager
def _reading(split: Loader) -> Iterator[None]:
    """Name the split in errors of user code, and say what to do about examples of several shapes."""
    try:
        with user_code(f"Reading {split.of}"):
            yield
    except TaskError as error:
        if "equal size" not in str(error):
            raise
        raise TaskError(
            f"{error}\nThe examples of a batch have not all the same shape. Return a DataLoader with a collate_fn that pads them, or "
            "batches of examples of one shape."
        ) from error.__cause__


def _check_batch(task: Task, split: Loader, batch: Any, number: int, *, is_training: bool) -> None:
    if (task.step if is_training else task.predict) is None:
        parts_of(batch, split.of)
    if row_count(batch) == 0:
        raise TaskError(f"Batch {number + 1} of {split.of}, {description(batch)}, has no examples.")
    for leaf in leaves(batch):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and bool(torch.isnan(leaf).any()):
            raise TaskError(
                f"Batch {number + 1} of {split.of}, {description(batch)}, holds NaN in {int(torch.isnan(leaf).sum())} places. Fill or drop "
                "them in data(seed)."
            )


def loss_of_first_batch(task: Task, model: nn.Module, data: Data) -> Tensor:
    """Return the loss of the first batch of the training, with its graph.

    Raises:
        TaskError: user code raises, or returns no loss.
    """
    batch, split = first_batch(task, data.train), data.train
    shown = f"given a batch {description(batch)},"
    model.train()
    with _strict_shapes():
        if task.step is not None:
            with user_code(f"step of {task.name}, {shown}"):
                return check_loss(task, loss_function(task, split)(model, batch), f"step of {task.name}", shown)
        args, kwargs, target = parts_of(batch, split.of if isinstance(split, Loader) else task.name)
        output = _called(task, model, args, kwargs)
        shown = f"given output {description(output)} and target {description(target)},"
        with user_code(f"loss of {task.name}, {shown}"):
            return check_loss(task, task.loss(output, target), f"loss of {task.name}", shown)


def check_last_batch(task: Task, model: nn.Module, data: Data) -> None:
    """Check that the model takes a last batch of one example, where a loader has one; batch normalisation does not.

    Raises:
        TaskError: it does not.
    """
    split = data.train
    source = split.source if isinstance(split, Loader) else None
    if not isinstance(split, Loader) or not isinstance(source, DataLoader) or source.drop_last or not split.examples:
        return
    size = source.batch_size or 1
    if size == 1 or split.examples % size != 1:
        return
    last = mapped(first_batch(task, split), lambda leaf: leaf[:1] if isinstance(leaf, Tensor) and leaf.ndim else leaf)
    found = ""
    with torch.no_grad():
        try:
            loss_function(task, split)(model.train(), last)
        except Exception as error:  # other errors are of this example, which is not the last one
            found = str(error)
    if _ONE_VALUE in found:
        raise TaskError(
            f"{split.of[:1].upper()}{split.of[1:]} has {split.examples} examples, so that the last batch of {size} has one, on which batch "
            f"normalisation raises ({found}). Set drop_last=True in its DataLoader, or another batch_size."
        )


@contextmanager
def _strict_shapes() -> Iterator[None]:
    """Raise where torch only warns: it broadcasts (n, 1) against (n,) to (n, n), and then computes a wrong loss."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Using a target size")
        yield


def _called(task: Task, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    given = [*map(description, args), *(f"{name}={description(value)}" for name, value in kwargs.items())]
    try:
        with user_code(f"The model of {task.name}, given {', '.join(given)},"):
            return model(*args, **kwargs)
    except TaskError as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        raise TaskError(
            f"{error}\nThe parts of a batch other than its target are the arguments of the model, by name where they have names. If it "
            "takes others, define step(model, batch) -> loss and predict(model, batch) -> (output, target)."
        ) from error.__cause__


def check_loss(task: Task, loss: Any, of: str, shown: str) -> Tensor:
    """Return a loss that a training can use.

    Args:
        task: the task.
        loss: what user code returned.
        of: names the user code.
        shown: what it was given, in words.

    Raises:
        TaskError: the loss is no scalar tensor, has no gradient, or is not finite.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise TaskError(f"{of}, {shown} returned {got}; it must return a scalar tensor (its mean, for example).")
    if not loss.requires_grad:
        raise TaskError(f"{of} does not depend on the model's parameters, so training would change nothing.")
    if not math.isfinite(loss.item()):
        raise TaskError(f"{of} is {loss.item()} on the first batch of {task.name}, before any training.")
    return loss


def check_predictions(task: Task, model: nn.Module, data: Data) -> None:
    """Evaluate every metric of a task on the first test examples.

    Raises:
        TaskError: user code raises, or a metric is no finite number.
    """
    name = "predict" if task.predict is not None else "The model"
    of = data.test.of if isinstance(data.test, Loader) else f"the test split of {task.name}"
    with torch.no_grad(), user_code(f"{name} of {task.name}, on {of},"):
        output, target = predictions_of_batches(task, model.eval(), _test_batches(data.test), of)
    metrics = {task.metric_name: task.result_metric} if task.has_metric else {}
    for name, metric in {**metrics, **(task.metrics or {})}.items():
        shown = f"given output {description(output)} and target {description(target)},"
        with torch.no_grad(), user_code(f"metric {name} of {task.name}, {shown}"):
            value = metric(output, target)
        as_number(value, f"metric {name} of {task.name}", finite=True)


def _test_batches(split: Split | Loader) -> Iterator[Any]:
    if isinstance(split, Split):
        yield split.first(METRIC_EXAMPLES)
        return
    count = 0
    for number, batch in enumerate(split.evaluation()):
        yield batch
        count += row_count(batch)
        if number + 1 >= _BATCHES and count >= METRIC_EXAMPLES // 4:
            return
