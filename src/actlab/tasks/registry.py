"""The names of the tasks, and the one way from what a user types to a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from actlab.errors import DuplicateNameError, TaskError, UnknownNameError
from actlab.tasks import digits, fashion_mnist, gan, jamming, mnist1d, user_file
from actlab.tasks.task import Task

__all__ = ["names", "register", "resolve"]

_builders: dict[str, Callable[[], Task]] = {
    "digits": digits.by_mlp,
    "digits:cnn": digits.by_cnn,
    "mnist1d": mnist1d.by_training_loss,
    "mnist1d:accuracy": mnist1d.by_accuracy,
    "fashion-mnist": fashion_mnist.by_lenet,
    "fashion-mnist:mlp": fashion_mnist.by_mlp,
    "gan": gan.by_frechet,
    "gan:precision": gan.by_precision,
    "gan:recall": gan.by_recall,
    "jamming:ones": jamming.by_ones,
    "jamming:ones-0.5": partial(jamming.by_ones, 0.5),
    "jamming:step": jamming.by_step,
    "jamming:digits": jamming.by_digits,
    "jamming:lenet": jamming.by_lenet,
}


def names() -> list[str]:
    """Return the registered names, sorted.

    Example:
        >>> names()[:2]
        ['digits', 'digits:cnn']
    """
    return sorted(_builders)


def register(name: str, build: Callable[[], Task]) -> None:
    """Register a task under a name; ``build`` makes it.

    Raises:
        DuplicateNameError: the name is taken.

    Example:
        >>> register("my-digits", digits.by_mlp)
        >>> resolve("my-digits").name
        'digits'
        >>> forget("my-digits")
    """
    if name in _builders:
        raise DuplicateNameError(f"The task name {name!r} is taken. Choose another, or `forget({name!r})` first.")
    _builders[name] = build


def forget(name: str) -> None:
    """Take a task out of the registry (for tests and notebooks that redefine one)."""
    del _builders[name]


def resolve(task: str | Path | Task) -> Task:
    """Return the task that is meant: a registered name, the path of a Python file, or a task itself.

    Raises:
        UnknownNameError: no such name.
        TaskError: the file cannot be used.

    Example:
        >>> resolve("mnist1d").direction
        'min'
    """
    if isinstance(task, Task):
        return task
    if not isinstance(task, str | Path):
        raise TaskError(
            f"A task is a registered name, the path of a Python file or a Task; got {type(task).__name__}. "
            f"Names: {', '.join(names())}."
        )
    text = str(task)
    if text in _builders:
        return _builders[text]()
    if text.endswith(".py") or "/" in text or Path(text).exists():
        return user_file.load(text)
    raise UnknownNameError(
        "task", text, names(), f"Tasks are {', '.join(names())}, or the path of your own Python file (my_task.py)."
    )
