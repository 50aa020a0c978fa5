"""The subject: a model to look at, and inputs for it, from a Python file or a task.

A file needs ``model``: an ``nn.Module``, or a function that makes one, of a seed or of nothing. It may have ``example_inputs``: a tensor, a
tuple of positional arguments, a dict of keyword arguments, or a function that makes them. A task's file has both by its ``data(seed)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean
from actlab.tasks import registry, task_file
from actlab.tasks.task import Task, as_data, isolated, load_data
from actlab.tasks.user_code import user_code

__all__ = ["Subject", "subject"]

BATCH = 32
"""Examples that are taken of a task's data."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model to look at.

    Attributes:
        name: of the task, or of the file without its ending.
        model: the model, newly made.
        example_inputs: what it takes, as :func:`actlab.find` understands it; None where the file has nothing to give.
    """

    name: str
    model: nn.Module
    example_inputs: Any


def subject(source: str | Path, seed: int = 0) -> Subject:
    """Return the model that a task or a Python file names, and inputs for it.

    Args:
        source: name of a task, or path of a Python file that defines ``model``.
        seed: what model and data are made with; torch's global generators are as they were afterwards.

    Raises:
        UnknownNameError: no task has this name.
        TaskError: there is no such file, it raises, or it defines no model.

    Example:
        >>> found = subject("mnist1d")
        >>> type(found.model).__name__, tuple(found.example_inputs.shape)
        ('NoisyMLP', (32, 40))
    """
    if isinstance(source, str) and source in registry.names():
        return _of_task(registry.resolve(source), seed)
    if not (str(source).endswith(".py") or Path(source).exists()):
        registry.resolve(source)  # raises, with the names that are near
    file = Path(source).expanduser()
    defined = task_file.defined_in(file)
    with isolated(seed):
        model = _model(defined, file, seed)
        return Subject(name=file.stem, model=model, example_inputs=_inputs(defined, file, seed))


def _of_task(task: Task, seed: int) -> Subject:
    with isolated(seed):
        return Subject(name=task.name, model=task.model(seed), example_inputs=load_data(task, seed).train.x[:BATCH])


def _model(defined: Mapping[str, Any], file: Path, seed: int) -> nn.Module:
    if "model" not in defined:
        near = did_you_mean("model", [name for name in defined if not name.startswith("_")])
        raise TaskError(
            f"{file} does not define model: an nn.Module, or a function that makes one: model() or model(seed).{near}"
        )
    made = _made(defined["model"], f"model in {file}", seed)
    if not isinstance(made, nn.Module):
        raise TaskError(f"model in {file} gives a {type(made).__name__}; it must give a torch.nn.Module.")
    return made


def _inputs(defined: Mapping[str, Any], file: Path, seed: int) -> Any:
    if "example_inputs" in defined:
        found = _made(defined["example_inputs"], f"example_inputs in {file}", seed)
        if not isinstance(found, (Tensor, tuple, Mapping)):
            raise TaskError(
                f"example_inputs in {file} gives a {type(found).__name__}; allowed are a tensor, a tuple of positional arguments, "
                "a dict of keyword arguments, and a function that returns one of these."
            )
        return found
    if "data" not in defined:
        return None
    return as_data(_made(defined["data"], f"data in {file}", seed), of=str(file)).train.x[:BATCH]


def _made(value: Any, what: str, seed: int) -> Any:
    """Call what is a function, with the seed if it takes one; anything else is what it is."""
    if isinstance(value, (nn.Module, Tensor)) or not callable(value):
        return value
    with user_code(what):
        return value(seed) if _takes_one(value) else value()


def _takes_one(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a built-in without a signature
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return bool(needed)
