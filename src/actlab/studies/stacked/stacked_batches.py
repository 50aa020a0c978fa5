"""Batches of all models of a stack, each in the order of its seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from actlab.studies.stacked.stacked_tensor import StackedTensor, StackError
from actlab.tasks.data import Split
from actlab.tasks.loading.loader import batch_starts
from actlab.tasks.task import Task
from actlab.tasks.training.batches import orders

__all__ = ["stacked_batches"]


def stacked_batches(
    task: Task, splits: Sequence[Split], seeds: Sequence[int], of_model: Tensor
) -> Iterator[tuple[StackedTensor, StackedTensor]]:
    """Yield inputs and targets of all models, epoch by epoch, as :func:`actlab.tasks.training.batches.batches` does for one.

    One call takes the examples of all models from the data of all seeds.

    Args:
        task: gives the size of a batch, the number of epochs, and whether the examples are shuffled.
        splits: training split of each seed.
        seeds: as many.
        of_model: number of the seed of each model, shape (models,).

    Raises:
        StackError: the splits differ in shape or dtype.
    """
    count = len(splits[0])
    shared = all(split.x is splits[0].x and split.y is splits[0].y for split in splits)
    x, y = (_joined([getattr(split, name) for split in (splits[:1] if shared else splits)]) for name in ("x", "y"))
    first = torch.tensor([0 if shared else place * count for place in range(len(splits))])
    for drawn in zip(*(orders(task, count, seed) for seed in seeds), strict=True):
        each = [torch.arange(count) if order is None else order for order in drawn]
        places = (torch.stack(each) + first.unsqueeze(1)).index_select(0, of_model)
        for start in batch_starts(count, task.batch_size):
            chosen = places[:, start : start + task.batch_size]
            flat = chosen.reshape(-1)
            yield tuple(StackedTensor(it.index_select(0, flat).view(*chosen.shape, *it.shape[1:])) for it in (x, y))  # type: ignore[misc] # two


def _joined(parts: list[Tensor]) -> Tensor:
    """Return the examples of all seeds one after the other."""
    if len({(part.shape, part.dtype) for part in parts}) > 1:
        raise StackError("the seeds have data of different shapes")
    return parts[0] if len(parts) == 1 else torch.cat(parts)
