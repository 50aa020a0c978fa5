"""Batches of a trial, in an order that follows from its seed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from actlab.tasks.data import Split
from actlab.tasks.task import Task

__all__ = ["batches", "epochs", "step_count"]


def step_count(task: Task, split: Split) -> int:
    """Return the number of steps of the optimizer in a trial; the last step of an epoch may have fewer batches than ``accumulate``."""
    return min(task.epochs * math.ceil(len(_starts(task, split)) / task.accumulate), task.steps or sys.maxsize)


def _starts(task: Task, split: Split) -> list[int]:
    """Return the first example of every batch of an epoch, without a last batch of one example."""
    count, size = len(split), task.batch_size
    return [start for start in range(0, count, size) if count - start > 1 or size == 1 or count == 1]


def batches(task: Task, split: Split, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches, epoch by epoch; a last batch of one example is dropped, because batch normalisation fails on it."""
    for epoch in epochs(task, split, seed):
        yield from epoch


def epochs(task: Task, split: Split, seed: int) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Yield the batches of each epoch; an epoch that is not read costs nothing but the draw of its order."""
    generator = torch.Generator().manual_seed(seed)
    count, starts = len(split), _starts(task, split)
    for _ in range(task.epochs):
        yield _epoch(task, split, starts, torch.randperm(count, generator=generator) if task.shuffle else None)


def _epoch(task: Task, split: Split, starts: list[int], order: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    x, y, size = split.x, split.y, task.batch_size
    if order is None:
        yield from ((x[start : start + size], y[start : start + size]) for start in starts)
        return
    for start in starts:
        index = order[start : start + size]
        yield x.index_select(0, index), y.index_select(0, index)
