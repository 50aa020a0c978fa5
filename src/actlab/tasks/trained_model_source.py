"""The material: a model, and data to judge it on, from a task or a Python file.

A file is a whole task (``model(seed)``, ``data(seed)``, ``loss``, ``metric``, ``direction``), whose model must be trained first; or it
defines ``model`` as an ``nn.Module`` that is trained already, ``data``, and, where the targets do not tell it, ``loss``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.tasks import registry, task_file
from actlab.tasks.task import Data, Task, as_data, isolated, load_data
from actlab.tasks.user_code import user_code

__all__ = ["Material", "material"]

_OF_A_TASK = ("loss", "metric", "direction")


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """A model and data.

    Attributes:
        name: of the task, or of the file without its ending.
        data: splits.
        task: the task, where the model is to be made and trained by it; None where there is a model.
        model: the model as it is; None where there is a task.
        loss: of (output, target), a scalar; None where the file has none.
    """

    name: str
    data: Data
    task: Task | None = None
    model: nn.Module | None = None
    loss: Callable[[Tensor, Tensor], Any] | None = None


def material(source: str | Path | Task, seed: int = 0) -> Material:
    """Return what a task or a file gives for a seed.

    Args:
        source: name of a task, a task, or path of a Python file.
        seed: what data are made with; the global generators are as they were afterwards.

    Raises:
        UnknownNameError: no task has this name.
        TaskError: there is no such file, it raises, or something is missing.

    Example:
        >>> found = material("digits")
        >>> found.task.name, len(found.data.test)
        ('digits', 360)
    """
    if isinstance(source, Task) or source in registry.names() or not _is_file(source):
        return _of_task(registry.resolve(source), seed)
    file = Path(source).expanduser()
    defined = task_file.defined_in(file)
    if isinstance(defined.get("model"), nn.Module):
        return _of_model(defined, file, seed)
    if all(name in defined for name in _OF_A_TASK):
        return _of_task(task_file.load(file), seed)
    raise TaskError(
        f"{file} is neither a task nor a trained model. A task defines {', '.join(('model', 'data', *_OF_A_TASK))}; a trained model is "
        "model = an nn.Module with its weights, and data = {'train': (x, y), 'test': (x, y)}."
    )


def _is_file(source: str | Path) -> bool:
    return str(source).endswith(".py") or Path(source).exists()


def _of_task(task: Task, seed: int) -> Material:
    with isolated(seed):
        return Material(name=task.name, data=load_data(task, seed), task=task, loss=task.loss)


def _of_model(defined: Mapping[str, Any], file: Path, seed: int) -> Material:
    if "data" not in defined:
        raise TaskError(f"{file} defines a model and no data = {{'train': (x, y), 'test': (x, y)}} to judge it on.")
    with isolated(seed):
        data = as_data(_made(defined["data"], file, seed), of=str(file))
    return Material(name=file.stem, data=data, model=defined["model"], loss=defined.get("loss"))


def _made(value: Any, file: Path, seed: int) -> Any:
    """Call a function, with the seed if it takes one; anything else is what it is."""
    if not inspect.isfunction(value):
        return value
    with user_code(f"data in {file}"):
        return value(seed) if inspect.signature(value).parameters else value()
