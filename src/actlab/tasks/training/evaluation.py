"""Loss of a batch, and evaluation of a model on a split by the metrics of a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.tasks.data import Split
from actlab.tasks.loading.batch_parts import parts_of
from actlab.tasks.loading.loader import EVALUATION_BATCH, Loader
from actlab.tasks.loading.nested import joined, mapped
from actlab.tasks.task import Task
from actlab.tasks.training.placement import placed

__all__ = [
    "Predictions",
    "as_number",
    "evaluate_model",
    "loss_function",
    "metric_of",
    "metrics_of",
    "outputs_of",
    "predictions_of",
    "predictions_of_batches",
]


class Predictions(NamedTuple):
    """Outputs of a model for a split, and the targets.

    Attributes:
        output: of all batches.
        target: of all batches.
    """

    output: Any
    target: Any


def loss_function(task: Task, split: Split | Loader) -> Callable[[nn.Module, Any], Tensor]:
    """Return the function of a model and a batch of a split that gives the loss: the task's ``step``, or its loss of output and target.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> train = load_data(digits, 0).train
        >>> loss_function(digits, train)(digits.model(0), train.first()).shape
        torch.Size([])
    """
    if task.step is not None:
        return task.step
    loss = task.loss

    def of_pair(model: nn.Module, batch: Any) -> Tensor:
        return loss(model(batch[0]), batch[1])

    def of_parts(model: nn.Module, batch: Any) -> Tensor:
        args, kwargs, target = parts_of(batch, of)
        return loss(model(*args, **kwargs), target)

    of = split.of if isinstance(split, Loader) else ""
    return of_parts if of else of_pair


@torch.no_grad()
def evaluate_model(task: Task, model: nn.Module, split: Split | Loader) -> float:
    """Return the task's metric on a split; the mode of the model, training or evaluation, is not changed."""
    output, target = predictions_of(task, model, split)
    return as_number(task.result_metric(output, target), f"metric of {task.name}")


@torch.no_grad()
def predictions_of(task: Task, model: nn.Module, split: Split | Loader) -> Predictions:
    """Return the outputs of a model for a whole split, and the targets, on the CPU.

    Outputs and targets of several batches are joined along their first dimension, see :func:`actlab.tasks.loading.nested.joined`.

    Raises:
        TaskError: those of the batches do not fit together, or ``predict`` of the task returned no pair.
    """
    if isinstance(split, Split) and task.predict is None:
        return Predictions(outputs_of(model, split), split.y)
    if isinstance(split, Loader):
        return predictions_of_batches(task, model, split.evaluation(), split.of)
    parts = zip(torch.split(split.x, EVALUATION_BATCH), torch.split(split.y, EVALUATION_BATCH), strict=True)
    return predictions_of_batches(task, model, parts, f"the split of {task.name}")


@torch.no_grad()
def predictions_of_batches(task: Task, model: nn.Module, batches: Iterable[Any], of: str) -> Predictions:
    """Return the outputs of a model for batches, and the targets, joined and on the CPU; ``of`` names the split in messages."""
    device = _device_of(model)
    found = [_on_cpu(_prediction(task, model, placed(batch, device), of), device) for batch in batches]
    outputs, targets = zip(*found, strict=True)
    return Predictions(joined(outputs, f"outputs for {of}"), joined(targets, f"targets of {of}"))


def _prediction(task: Task, model: nn.Module, batch: Any, of: str) -> tuple[Any, Any]:
    if task.predict is None:
        args, kwargs, target = parts_of(batch, of)
        return model(*args, **kwargs), target
    found = task.predict(model, batch)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise TaskError(
            f"predict of {task.name} returned a {type(found).__name__}; it must return a pair, (output, target), of what the metrics take."
        )
    return found[0], found[1]


def _device_of(model: nn.Module) -> str:
    weight = next(model.parameters(), None)
    return "cpu" if weight is None else str(weight.device)


def _on_cpu(value: Any, device: str) -> Any:
    """Return a value with its tensors on the CPU: what is kept of a whole split need not fit onto a card."""
    if device == "cpu":
        return value
    return mapped(value, lambda leaf: leaf.to("cpu") if isinstance(leaf, Tensor) else leaf)


@torch.no_grad()
def outputs_of(model: nn.Module, split: Split) -> Tensor:
    """Return the outputs of a model for a whole split of tensors, shape (n, ...), on the CPU."""
    device = _device_of(model)
    if device == "cpu":
        found = [model(part) for part in torch.split(split.x, EVALUATION_BATCH)]
    else:
        found = [_on_cpu(model(placed(part, device)), device) for part in torch.split(split.x, EVALUATION_BATCH)]
    return torch.cat(found) if isinstance(found[0], Tensor) else cast("Tensor", joined(found, "outputs of the model"))


@torch.no_grad()
def metric_of(task: Task, output: Tensor, split: Split) -> float:
    """Return the metric of a task for the outputs of a whole split."""
    return as_number(task.result_metric(output, split.y), f"metric of {task.name}")


@torch.no_grad()
def metrics_of(task: Task, predictions: Predictions) -> dict[str, float]:
    """Return all metrics of a task that has ``metrics``, by name; those that are not finite are left out."""
    found = {}
    for name, metric in (task.metrics or {}).items():
        value = as_number(metric(*predictions), f"metric {name} of {task.name}")
        if math.isfinite(value):
            found[name] = value
    return found


def as_number(value: Any, of: str, *, finite: bool = False) -> float:
    """Return the value of a metric as a float.

    Args:
        value: a number, or a tensor or array with one element.
        of: names the metric in the error message.
        finite: whether NaN and infinity are errors.

    Raises:
        TaskError: the value is no number, or not finite although it must be.

    Example:
        >>> as_number(torch.tensor(0.5), "metric of my_task")
        0.5
    """
    is_scalar = hasattr(value, "item") and getattr(value, "size", None) is not None and _element_count(value) == 1
    number = value.item() if is_scalar else value
    if isinstance(number, str) or not isinstance(number, Real):
        raise TaskError(f"{of} must return a number, got {type(value).__name__}: {str(value)[:60]!r}.")
    if finite and not math.isfinite(number):
        raise TaskError(f"{of} returned {float(number)} for the untrained model; a finite number is needed.")
    return float(number)


def _element_count(value: Any) -> int:
    return value.numel() if isinstance(value, Tensor) else int(cast("Any", value).size)
