"""Inputs of the model of a task with a training function, on which its activations are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from actlab.errors import TaskError
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.isolation import isolated
from actlab.tasks.task import Task
from actlab.tasks.user_code import call_with_seed

__all__ = ["model_inputs"]


def model_inputs(task: Task, seed: int) -> Inputs | None:
    """Return inputs of the model of a task with a training function; None where it has none.

    Raises:
        TaskError: they are no tensor, tuple or mapping.
    """
    if task.example_inputs is None:
        return None
    with isolated(seed):
        inputs: Any = call_with_seed(task.example_inputs, f"example_inputs of the task {task.name}", seed)
    if not isinstance(inputs, Tensor | tuple | Mapping):
        raise TaskError(
            f"example_inputs of the task {task.name} returned a {type(inputs).__name__}; allowed are a tensor, a tuple of positional "
            "arguments and a dict of keyword arguments."
        )
    return inputs
