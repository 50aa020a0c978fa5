"""Number of test examples whose input is also in the training or validation split."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from actlab.errors import TaskError
from actlab.system.name_list import listed
from actlab.tasks.data import Data, Split
from actlab.tasks.loading.batch_parts import parts_of
from actlab.tasks.loading.loader import InMemory, Loader
from actlab.tasks.loading.nested import leaves

__all__ = ["count_duplicates"]


def count_duplicates(data: Data) -> Mapping[str, Any]:
    """Count test examples whose input is, bit for bit, also in the training or the validation split.

    Returns:
        ``test_examples``, the size of the test split; ``test_in_train`` and ``test_in_validation``, the numbers of test examples
        that are also in these splits. Of datasets and loaders, whose examples may be other ones at every reading, ``not_checked``; one
        object or one whole dataset that stands for two splits is known.

    Example:
        >>> import torch
        >>> from actlab.tasks import Data, Split
        >>> part = Split(x=torch.eye(3), y=torch.zeros(3))
        >>> count_duplicates(Data(train=part, test=part))["test_in_train"]
        3
    """
    inputs = {name: _inputs(split) for name, split in data.splits.items()}
    unknown = [name for name, tensors in inputs.items() if tensors is None]
    if unknown:
        total = data.test.examples
        sizes = {} if total is None else {"test_examples": total}
        same = [name for name, split in data.splits.items() if name != "test" and _is_same(split, data.test)]
        found: dict[str, Any] = {**sizes, **{f"test_in_{name}": total for name in same if total}}
        if len(same) < len(data.splits) - 1:
            found["not_checked"] = f"{listed(unknown)}: read from a dataset or a loader"
        return found
    test, train = _row_hashes(inputs["test"] or []), set(_row_hashes(inputs["train"] or []))
    validation = set(_row_hashes(inputs.get("validation") or []))
    return {
        "test_examples": len(test),
        "test_in_train": sum(row in train for row in test),
        "test_in_validation": sum(row in validation for row in test),
    }


def _inputs(split: Split | Loader) -> list[Tensor] | None:
    """Return the tensors whose rows are an example's inputs; None where they are not in memory as such."""
    if isinstance(split, Split):
        return [split.x]
    if not split.is_in_memory or split.examples != len(InMemory(split.tree)):
        return None
    with suppress(TaskError):  # without a target, all are inputs
        return list(leaves(parts_of(split.tree).inputs))
    return list(leaves(split.tree))


def _is_same(one: Split | Loader, other: Split | Loader) -> bool:
    """Return whether two splits are read from one object, or from all examples of one dataset."""
    if not isinstance(one, Loader) or not isinstance(other, Loader):
        return False
    return one.source is other.source or _examples(one.source) == _examples(other.source)


def _examples(source: Any) -> tuple[int, int | None]:
    """Return what tells the examples of a source apart: the dataset, and what chooses from it unless that is all of it."""
    if not isinstance(source, DataLoader):
        return id(source), None
    dataset: Any = source.dataset
    batches = source.batch_sampler
    chooses: Any = batches
    if batches is None or type(batches) is BatchSampler:
        chooses = source.sampler
    is_all = type(chooses) in {SequentialSampler, RandomSampler} and len(chooses) == len(dataset)
    return id(dataset), None if is_all else id(chooses)


def _row_hashes(parts: list[Tensor]) -> list[int]:
    columns = [_hashes(x) for x in parts]
    return columns[0] if len(columns) == 1 else [hash(row) for row in zip(*columns, strict=True)]


def _hashes(x: Tensor) -> list[int]:
    rows = x.detach().cpu().contiguous().flatten(1) if x.ndim > 1 else x.detach().cpu().reshape(-1, 1)
    return [hash(row.tobytes()) for row in rows.numpy()]
