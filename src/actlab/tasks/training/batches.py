"""Batches of a trial, in an order that follows from its seed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from actlab.errors import TaskError
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.data import Split
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.batch_parts import inputs_of_call, parts_of
from actlab.tasks.loading.loader import Loader, batch_starts
from actlab.tasks.loading.nested import mapped
from actlab.tasks.task import Task
from actlab.tasks.training_function.model_inputs import model_inputs

__all__ = ["batches", "epochs", "first_batch", "first_inputs", "orders", "step_count", "steps_per_epoch"]


def steps_per_epoch(task: Task, split: Split | Loader) -> int | None:
    """Return the number of steps of the optimizer in an epoch, or None where it is not known."""
    length = split.length if isinstance(split, Loader) else len(batch_starts(len(split), task.batch_size))
    return None if length is None else math.ceil(length / task.accumulate)


def step_count(task: Task, split: Split | Loader) -> int:
    """Return the number of steps of the optimizer in a trial; the last step of an epoch may have fewer batches than ``accumulate``.

    Raises:
        TaskError: the number of batches is not known, and the task has no ``steps``.
    """
    per_epoch = steps_per_epoch(task, split)
    if per_epoch is not None:
        return min(task.epochs * per_epoch, task.steps or sys.maxsize)
    if task.steps is None:
        of = split.of if isinstance(split, Loader) else task.name
        raise TaskError(
            f"The number of batches of {of} is not known (it has no len(), or comes from worker processes). Set steps in the task: a trial "
            "then takes that many, and reads the loader as often as it needs."
        )
    return task.steps


def batches(task: Task, split: Split | Loader, seed: int) -> Iterator[Any]:
    """Yield batches, epoch by epoch; a last batch of one example is dropped, because batch normalisation fails on it.

    A loader decides itself what its last batch is.
    """
    for epoch in epochs(task, split, seed):
        yield from epoch


def epochs(task: Task, split: Split | Loader, seed: int) -> Iterator[Iterator[Any]]:
    """Yield the batches of each epoch.

    An epoch that is not read costs the draw of its order where the data are in memory; that of a loader is read all the same.
    """
    if isinstance(split, Loader):
        yield from split.epochs(task.epochs)
        return
    starts = batch_starts(len(split), task.batch_size)
    for order in orders(task, len(split), seed):
        yield _epoch(task, split, starts, order)


def orders(task: Task, count: int, seed: int) -> Iterator[Tensor | None]:
    """Yield the order of the examples in each epoch, drawn from the seed; None for that in which they are."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(task.epochs):
        yield torch.randperm(count, generator=generator) if task.shuffle else None


def _epoch(task: Task, split: Split, starts: list[int], order: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    x, y, size = split.x, split.y, task.batch_size
    if order is None:
        yield from ((x[start : start + size], y[start : start + size]) for start in starts)
        return
    for start in starts:
        index = order[start : start + size]
        yield x.index_select(0, index), y.index_select(0, index)


def first_batch(task: Task, split: Split | Loader) -> Any:
    """Return the first batch of a training, in containers of its own: a step may take parts out of them."""
    if isinstance(split, Split):
        return split.first(task.batch_size)
    return mapped(split.first(), lambda leaf: leaf)


def first_inputs(task: Task, split: Split | Loader, seed: int) -> Inputs | None:
    """Return the inputs of the model in the first batch, on which its activations are looked up.

    For a task with a ``step`` these are the inputs with which it calls the model first. Where it does not call the model itself, as for one
    whose parts it calls, they are those of ``example_inputs(seed)``; without these there are none, and the activations are read from the
    source of the model.

    Args:
        task: the task.
        split: the training split.
        seed: of the model that the step is given.

    Returns:
        A tensor, a tuple of positional arguments, a dict of keyword arguments, or None.

    Raises:
        TaskError: the split has no batch, or a batch without a target.
    """
    batch, step = first_batch(task, split), task.step
    if step is None:
        return batch[0] if isinstance(split, Split) else parts_of(batch, split.of).inputs
    with isolated(seed):
        model = task.model(seed).train()
        found = inputs_of_call(model, lambda: step(model, batch))
    return model_inputs(task, seed) if found is None else found
