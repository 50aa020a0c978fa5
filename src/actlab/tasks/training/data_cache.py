"""Data of the seed that a process trains on, loaded once for all its arms."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.loader import Loader
from actlab.tasks.loading.nested import leaves
from actlab.tasks.task import Task, load_data

__all__ = ["cached_data"]


class _Held(NamedTuple):
    seed: int
    data: Data
    versions: tuple[int, ...]


# One seed per task: trials run seed by seed, so that more would only take memory.
_HELD: Final[WeakKeyDictionary[Task, _Held]] = WeakKeyDictionary()


def cached_data(task: Task, seed: int) -> Data:
    """Return the task's data for a seed; tensors of the latest seed are kept, unless something has changed them in place.

    Datasets and loaders may have a state of their own (a generator, a counter, worker processes): they are made anew for every trial.

    ``data(seed)`` is called with the global generators seeded; they and the process are restored, so that what follows is the same
    whether it is called or not.

    Raises:
        TaskError: ``task.data`` returned no form of data that :func:`actlab.tasks.task.as_data` takes.

    Example:
        >>> from actlab.tasks import resolve
        >>> digits = resolve("digits")
        >>> cached_data(digits, 0) is cached_data(digits, 0), cached_data(digits, 0) is cached_data(digits, 1)
        (True, False)
    """
    held = _HELD.get(task)
    if held is not None and held.seed == seed and _versions(held.data) == held.versions:
        return held.data
    del held
    _HELD.pop(task, None)  # before loading, so that two seeds are never in memory at once
    with isolated(seed):
        data = load_data(task, seed)
    versions = _versions(data) if data.is_in_memory else None
    if versions is not None:
        _HELD[task] = _Held(seed, data, versions)
    return data


def _versions(data: Data) -> tuple[int, ...] | None:
    """Return the numbers of changes in place that torch has counted, for views too; None where it counts none."""
    found = [part for split in data.splits.values() for part in _tensors(split)]
    with suppress(RuntimeError):  # tensors of inference mode
        return tuple(tensor._version for tensor in found)
    return None


def _tensors(split: Split | Loader) -> Iterable[Any]:
    return (split.x, split.y) if isinstance(split, Split) else leaves(split.tree)
