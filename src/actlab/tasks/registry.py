"""Task registry, and resolution of a name, a file path or a Task to a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

from actlab.errors import DuplicateNameError, TaskError, UnknownNameError
from actlab.system.name_list import split_number, task_hint
from actlab.tasks import task_file
from actlab.tasks.task import Direction, Task

__all__ = [
    "TaskSource",
    "TaskSummary",
    "earlier_names",
    "is_built_in",
    "is_registered",
    "names",
    "register",
    "register_numbered",
    "resolve",
    "summaries",
]

_builders: dict[str, Callable[[], Task]] = {}
_unlisted: set[str] = set()
_numbered: dict[str, Callable[[float], Task]] = {}  # by the part of the name before the number


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
    build = _builder(name)
    return str(getattr(getattr(build, "func", build), "__module__", "")).startswith("actlab.")


def is_registered(name: str) -> bool:
    """Return whether a name resolves to a registered task: a listed one, one of an earlier protocol, or one of another number.

    Example:
        >>> is_registered("digits"), is_registered("fashion-mnist:depth-3"), is_registered("my_task.py")
        (True, True, False)
    """
    return _builder(name) is not None


def _builder(name: str) -> Callable[..., Task] | None:
    """Return what builds the task of a name; None where none is registered."""
    _load()
    if name in _builders:
        return _builders[name]
    stem, number = split_number(name) or ("", 0)
    return partial(_numbered[stem], number) if stem in _numbered else None


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


def register_numbered(name: str, build: Callable[[float], Task]) -> None:
    """Register a task for every number at the end of a name, such as a depth; the given name is the one that is listed.

    Args:
        name: ends with a hyphen and a number, which is that of the listed task.
        build: of a number, an int where it is whole, returns the task. It refuses numbers that are none of its own by a
            :class:`~actlab.errors.TaskError` that says which are allowed.

    Raises:
        TaskError: the name does not end with a number.
        DuplicateNameError: the name is taken, or the same name with another number.

    Example:
        >>> from actlab.tasks.builtin.vision import fashion_depth
        >>> register_numbered("my-depth-8", fashion_depth.task)
        >>> resolve("my-depth-3").name, "my-depth-8" in names(), "my-depth-3" in names()
        ('fashion-mnist:depth-3', True, False)
        >>> forget("my-depth-8")
    """
    parts = split_number(name)
    if parts is None:
        raise TaskError(
            f"The name {name!r} does not end with a hyphen and a number. Add the number that is listed, such as {name}-1."
        )
    stem, number = parts
    if stem in _numbered:
        raise DuplicateNameError(
            f"The task name {stem!r} with a number is taken. Choose another, or `forget` it first."
        )
    register(name, partial(build, number))
    _numbered[stem] = build


def forget(name: str) -> None:
    """Remove a task from the registry, for tests and notebooks that redefine one."""
    del _builders[name]
    _unlisted.discard(name)
    _numbered.pop((split_number(name) or (name, 0))[0], None)


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
    text = str(task)
    build = _builder(text)
    if build is not None:
        return build()
    if text.endswith(".py") or "/" in text or Path(text).exists():
        return task_file.load(text)
    raise UnknownNameError("task", text, names(), task_hint(names()))
