"""Evaluation of a model on a split by a task's metric."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.tasks.data import Split
from actlab.tasks.task import Task

__all__ = ["as_number", "evaluate_model", "metric_of", "outputs_of"]

_EVALUATION_BATCH = 1024  # examples per forward pass; larger batches are no faster on a core


@torch.no_grad()
def evaluate_model(task: Task, model: nn.Module, split: Split) -> float:
    """Return the task's metric on a split; the mode of the model, training or evaluation, is not changed."""
    return metric_of(task, outputs_of(model, split), split)


@torch.no_grad()
def outputs_of(model: nn.Module, split: Split) -> Tensor:
    """Return the outputs of a model for a whole split, shape (n, ...)."""
    return torch.cat([model(part) for part in torch.split(split.x, _EVALUATION_BATCH)])


@torch.no_grad()
def metric_of(task: Task, output: Tensor, split: Split) -> float:
    """Return the metric of a task for the outputs of a whole split."""
    return as_number(task.metric(output, split.y), f"metric of {task.name}")


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
