"""Batches of a trial, in an order that follows from its seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from actlab.tasks.data import Split
from actlab.tasks.task import Task

__all__ = ["batches", "step_count"]


def step_count(task: Task, split: Split) -> int:
    """Return the number of training steps of a trial."""
    return min(task.epochs * len(_starts(task, split)), task.steps or sys.maxsize)


def _starts(task: Task, split: Split) -> list[int]:
    """Return the first example of every batch of an epoch, without a last batch of one example."""
    count, size = len(split), task.batch_size
    return [start for start in range(0, count, size) if count - start > 1 or size == 1 or count == 1]


def batches(task: Task, split: Split, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches, epoch by epoch; a last batch of one example is dropped, because batch normalisation fails on it."""
    generator = torch.Generator().manual_seed(seed)
    x, y, size = split.x, split.y, task.batch_size
    count = len(split)
    starts = _starts(task, split)
    for _ in range(task.epochs):
        if not task.shuffle:
            yield from ((x[start : start + size], y[start : start + size]) for start in starts)
            continue
        order = torch.randperm(count, generator=generator)
        for start in starts:
            index = order[start : start + size]
            yield x.index_select(0, index), y.index_select(0, index)
