"""Load a trained model with its data, or a task to train, by name or from a Python file.

A file is either a whole task (``model(seed)``, ``data(seed)``, ``loss``, ``metric``, ``direction``), whose model is trained first, or it
defines a trained ``nn.Module`` as ``model``, ``data``, and, where it does not follow from the targets, ``loss``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.tasks import registry, task_file
from actlab.tasks.data import Data, as_data
from actlab.tasks.isolation import isolated
from actlab.tasks.setting_names import SETTINGS
from actlab.tasks.task import Task, load_data
from actlab.tasks.training_function.function_file import is_function_file
from actlab.tasks.user_code import call_with_seed

__all__ = ["ModelOrTask", "load_model_or_task"]

# What a task defines beside model and data, and what may stand in its place.
_TASK_NAMES = {"loss": "step", "metric": "metrics", "direction": "direction"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelOrTask:
    """A trained model or a task that trains one, with data. Exactly one of ``task`` and ``model`` is given.

    Attributes:
        name: of the task, or of the file without its suffix.
        data: its splits.
        task: the task whose model is to be trained, or None.
        model: the trained model, or None.
        loss: of (output, target), returns a scalar tensor; None where there is none.
        settings: of a trained model, what else its file defines that a task may have, by name.
    """

    name: str
    data: Data
    task: Task | None = None
    model: nn.Module | None = None
    loss: Callable[[Tensor, Tensor], Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def load_model_or_task(source: str | Path | Task, seed: int = 0) -> ModelOrTask:
    """Return a trained model or a task, with its data for a seed.

    Args:
        source: name of a task, a task, or path of a Python file.
        seed: of the data; the global generators are restored afterwards.

    Raises:
        UnknownNameError: no task has this name.
        TaskError: the file does not exist, raises, or defines neither a task nor a trained model.

    Example:
        >>> loaded = load_model_or_task("digits")
        >>> loaded.task.name, len(loaded.data.test)
        ('digits', 360)
    """
    if isinstance(source, Task) or registry.is_registered(str(source)) or not task_file.is_file(source):
        return _from_task(registry.resolve(source), seed)
    file = Path(source).expanduser()
    namespace = task_file.run_file(file)
    if isinstance(namespace.get("model"), nn.Module):
        return _from_model(namespace, file, seed)
    if all(name in namespace or instead in namespace for name, instead in _TASK_NAMES.items()):
        return _from_task(task_file.load(file), seed)
    if is_function_file(namespace):
        return _from_task(task_file.load(file), seed)
    raise TaskError(
        f"{file} is neither a task nor a trained model. A task defines {', '.join(('model', 'data', *_TASK_NAMES))}; a trained model is "
        "model = an nn.Module with its weights, and data = {'train': (x, y), 'test': (x, y)}."
    )


def _from_task(task: Task, seed: int) -> ModelOrTask:
    if not task.has_data:
        raise TaskError(
            f"{task.name} trains by its own {'script' if task.script else 'function'}, and there are no data to evaluate its model on. "
            f"{'' if task.script else 'Add data(seed), which returns the splits as for a task of ActLab; or '}call "
            "actlab.importance(model, batches) after your training."
        )
    with isolated(seed):
        return ModelOrTask(
            name=task.name, data=load_data(task, seed), task=task, loss=task.loss if task.has_loss else None
        )


def _from_model(namespace: Mapping[str, Any], file: Path, seed: int) -> ModelOrTask:
    if "data" not in namespace:
        raise TaskError(
            f"{file} defines a model and no data. It needs data = {{'train': (x, y), 'test': (x, y)}} to evaluate the model on."
        )
    with isolated(seed):
        data = namespace["data"]
        if inspect.isfunction(data):
            data = call_with_seed(data, f"data in {file}", seed)
        splits = as_data(data, of=str(file))
    others = {name: namespace[name] for name in SETTINGS if name in namespace and name not in {"model", "data", "name"}}
    return ModelOrTask(
        name=file.stem, data=splits, model=namespace["model"], loss=namespace.get("loss"), settings=others
    )
