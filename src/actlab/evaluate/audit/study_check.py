"""Fast part of the audit for the start of a study, on tensors in memory and in bounded time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from actlab.evaluate.audit.class_balance import balance_reports
from actlab.evaluate.audit.duplicates import ExactDuplicates, part_keys
from actlab.evaluate.audit.example_stream import Examples, ExampleStream, Part
from actlab.evaluate.audit.finding import Finding
from actlab.evaluate.audit.hash_sample import Keys, mixed
from actlab.evaluate.audit.near_search import NearSearch
from actlab.evaluate.audit.row_sample import RowSample, chance_of_equal_rows
from actlab.evaluate.audit.split_order import GroupSplit, TimeOrder
from actlab.evaluate.audit.targets import TargetReader
from actlab.system.name_list import listed
from actlab.tasks.data import Data, Split
from actlab.tasks.isolation import one_thread
from actlab.tasks.loading.loader import InMemory, Loader
from actlab.tasks.task import Task

__all__ = ["check_for_study", "count_duplicates"]

_ALL: Final = 2**62  # of what is in memory anyway, all keys are kept
#: Numbers in all inputs, up to which near duplicates are searched: a tenth of a second.
_NUMBERS: Final = 2**18
_RATE: Final = 0.01


def count_duplicates(data: Data) -> Mapping[str, Any]:
    """Count test examples whose input is, bit for bit, also in the training or the validation split.

    Returns:
        ``test_examples``, the size of the test split; ``test_in_train`` and ``test_in_validation``, the numbers of test examples
        that are also in these splits. Of datasets and loaders, whose examples may be other ones at every reading, ``not_checked``; one
        object or one whole dataset that stands for two splits is known.

    Example:
        >>> import torch
        >>> part = Split(x=torch.eye(3), y=torch.zeros(3))
        >>> count_duplicates(Data(train=part, test=part))["test_in_train"]
        3
    """
    return _unread(data) or _counts(_Check(_plain_task(data), data).exact)


def check_for_study(task: Task, data: Data) -> Mapping[str, Any]:
    """Return what :func:`count_duplicates` does, and the sentences of findings of the checks that take little time, as ``findings``.

    These are near duplicates of the test (in up to 262,144 numbers), conflicts of labels, missing and rare classes, and, where the task
    names them, the order in time and groups.

    Args:
        task: whose data they are.
        data: of one seed.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> dict(check_for_study(digits, load_data(digits, 0)))
        {'test_examples': 360, 'test_in_train': 0, 'test_in_validation': 0}
    """
    if unread := _unread(data):
        return unread
    with one_thread():  # a study forks from this process, which then has no thread of torch's pool
        check = _Check(task, data)
        found = [report.sentence for report in check.reports() if report.severity == "finding"]
    return {**_counts(check.exact), **({"findings": found} if found else {})}


def _plain_task(data: Data) -> Task:
    def absent(*_: Any) -> Any:
        return data

    return Task(name="the data", model=absent, data=absent, loss=absent, metric=absent)


def _unread(data: Data) -> Mapping[str, Any]:
    unknown = [name for name, split in data.splits.items() if not _is_whole(split)]
    if not unknown:
        return {}
    total = data.test.examples
    sizes = {} if total is None else {"test_examples": total}
    same = [name for name, split in data.splits.items() if name != "test" and _is_same(split, data.test)]
    found: dict[str, Any] = {**sizes, **{f"test_in_{name}": total for name in same if total}}
    if len(same) < len(data.splits) - 1:
        found["not_checked"] = f"{listed(unknown)}: read from a dataset or a loader"
    return found


def _is_whole(split: Split | Loader) -> bool:
    """Return whether a split is tensors in memory, and not a part of them."""
    return isinstance(split, Split) or (split.is_in_memory and split.examples == len(InMemory(split.tree)))


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


def _counts(exact: ExactDuplicates) -> dict[str, int]:
    return {
        "test_examples": exact.sizes["test"],
        "test_in_train": exact.count("test", "train"),
        "test_in_validation": exact.count("test", "validation"),
    }


class _Check:
    """All examples, read once."""

    def __init__(self, task: Task, data: Data) -> None:
        stream = ExampleStream(task, data)
        self.kinds = stream.kinds
        self.exact, self.targets, self.rows = ExactDuplicates(_ALL), TargetReader(), RowSample(2000)
        self.times, self.groups = TimeOrder(_ALL), GroupSplit(_ALL)
        self._near: NearSearch | None = None
        batches = list(stream.batches())
        numbers = sum(_numbers(part) for batch in batches for part in batch.parts.values())
        if numbers <= _NUMBERS:
            self._near = NearSearch(self.kinds, queries=1000, rate=_RATE, splits=("test",))
        for batch in batches:
            self._add(batch)

    def _add(self, batch: Examples) -> None:
        keys = _keys(batch)
        target = np.zeros(len(batch), dtype=np.int64)
        if batch.target is not None:
            target = part_keys(batch.target).view(np.int64)
        self.exact.add(batch, keys, target)
        self.rows.add(batch, self.targets.read(batch.split, batch.target))
        self.times.add(batch)
        self.groups.add(batch)
        if self._near is not None:
            self._near.add(batch, keys, target)

    def reports(self) -> Iterator[Finding]:
        """Yield what was found beside exact duplicates, which are counted."""
        has_classes = self.targets.has_classes
        exact = self.exact.reports(has_classes=has_classes, chance=self._chance)
        yield from (report for report in exact if report.kind != "exact duplicates")
        if self._near is not None:
            yield from self._near.reports(has_classes=has_classes, progress=_silent)
        yield from self.times.reports()
        yield from self.groups.reports()
        if has_classes:
            yield from balance_reports(self.targets.counts, self.targets.names)

    def _chance(self, pairs: int) -> float:
        if any(kind != "table" for kind in self.kinds.values()) or self.rows.why_not:
            return 0.0
        rows = np.concatenate([rows for split in self.exact.sizes if len(rows := self.rows.of(split)[0])])
        return chance_of_equal_rows(rows, pairs, sum(self.exact.sizes.values()))


def _silent(what: str) -> None:  # it is over before anybody reads it
    """Show no progress."""


def _numbers(part: Part) -> int:
    return part.size if isinstance(part, np.ndarray) else sum(len(value) for value in part)


def _keys(batch: Examples) -> Keys:
    """Return a key of each example by Python's own hash, which is faster and differs between processes."""
    found = [_part_hashes(values) for values in batch.parts.values()]
    total = found[0]
    for keys in found[1:]:
        total = mixed(total) + keys
    return total


def _part_hashes(values: Part) -> npt.NDArray[np.uint64]:
    if isinstance(values, list):
        return part_keys(values)
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    return np.fromiter((hash(row.tobytes()) for row in rows), dtype=np.int64, count=len(rows)).view(np.uint64)
