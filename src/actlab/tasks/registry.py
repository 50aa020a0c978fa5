"""Task registry, and resolution of a name, a file path or a Task to a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from actlab.errors import DuplicateNameError, TaskError, UnknownNameError
from actlab.tasks import task_file
from actlab.tasks.task import Direction, Task

__all__ = ["TaskSource", "TaskSummary", "earlier_names", "is_built_in", "names", "register", "resolve", "summaries"]

_builders: dict[str, Callable[[], Task]] = {}
_unlisted: set[str] = set()


def _load() -> None:
    import_module("actlab.tasks.builtin")  # registers the built-in tasks, as the catalogue registers its functions


def names() -> list[str]:
    """Return the registered names, sorted, without those of earlier protocols.

    Example:
        >>> "digits" in names(), "digits:protocol-1" in names()
        (True, False)
    """
    _load()
    return sorted(_builders.keys() - _unlisted)


def earlier_names() -> list[str]:
    """Return the names of earlier protocols, sorted, with which studies that began with them go on.

    Example:
        >>> earlier_names()
        ['digits:cnn:protocol-1', 'digits:protocol-1']
    """
    _load()
    return sorted(_unlisted)


def is_built_in(name: str) -> bool:
    """Return whether a name is that of a task of ActLab, which every process knows.

    Example:
        >>> is_built_in("digits"), is_built_in("mine")
        (True, False)
    """
    _load()
    build = _builders.get(name)
    return str(getattr(getattr(build, "func", build), "__module__", "")).startswith("actlab.")


class TaskSource(Protocol):
    """What can be made into a task, such as a script."""

    def to_task(self) -> Task:
        """Return the task."""


@dataclass(frozen=True, kw_only=True)
class TaskSummary:
    """A registered task in one line.

    Attributes:
        name: under which it is registered.
        description: one sentence: data, model, source.
        metric: name of its metric.
        direction: "max" when a larger metric is better, "min" when a smaller one is.
    """

    name: str
    description: str
    metric: str
    direction: Direction


def summaries() -> list[TaskSummary]:
    """Return a summary of each registered task, by name. No data are loaded.

    Example:
        >>> {task.name: task.description for task in summaries()}["digits"]
        "scikit-learn's 8x8 digits, MLP with four hidden layers of 64"
    """
    tasks = {name: _builders[name]() for name in names()}
    return [
        TaskSummary(name=name, description=task.description, metric=task.metric_name, direction=task.direction)
        for name, task in tasks.items()
    ]


def register(name: str, build: Callable[[], Task], *, listed: bool = True) -> None:
    """Register a task under a name; ``build`` returns a new one.

    Args:
        name: under which it is resolved.
        build: returns the task.
        listed: whether :func:`names` has it; not for an earlier protocol, whose task has the name of the present one.

    Raises:
        DuplicateNameError: the name is taken.

    Example:
        >>> from actlab.tasks.builtin import digits
        >>> register("my-digits", digits.mlp_task)
        >>> resolve("my-digits").name
        'digits'
        >>> forget("my-digits")
    """
    _load()
    if name in _builders:
        raise DuplicateNameError(f"The task name {name!r} is taken. Choose another, or `forget({name!r})` first.")
    _builders[name] = build
    if not listed:
        _unlisted.add(name)


def forget(name: str) -> None:
    """Remove a task from the registry, for tests and notebooks that redefine one."""
    del _builders[name]
    _unlisted.discard(name)


def resolve(task: str | Path | Task | TaskSource) -> Task:
    """Return a task from a registered name, the path of a Python file, a script, or a task itself.

    Raises:
        UnknownNameError: no task has this name.
        TaskError: the file does not exist or defines no task.

    Example:
        >>> resolve("mnist1d").direction
        'min'
    """
    if isinstance(task, Task):
        return task
    make = getattr(task, "to_task", None)
    if callable(make) and not isinstance(task, type):  # a script
        return make()  # type: ignore[no-any-return] # a task, by its name
    if not isinstance(task, str | Path):
        raise TaskError(
            f"A task is a registered name, the path of a Python file or a Task; got {type(task).__name__}. "
            f"Names: {', '.join(names())}."
        )
    _load()
    text = str(task)
    if text in _builders:
        return _builders[text]()
    if text.endswith(".py") or "/" in text or Path(text).exists():
        return task_file.load(text)
    raise UnknownNameError(
        "task", text, names(), f"Tasks are {', '.join(names())}, or the path of your own Python file (my_task.py)."
    )
