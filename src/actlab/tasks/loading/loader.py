"""Split whose batches come from a DataLoader, a dataset or another iterable object."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, count
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from actlab.errors import TaskError
from actlab.system.plural import plural
from actlab.tasks.loading.nested import mapped, row_count
from actlab.tasks.loading.random_stream import RandomStream

__all__ = ["EVALUATION_BATCH", "InMemory", "Loader", "batch_starts", "with_other_workers"]

#: Examples in memory per forward pass of an evaluation; larger batches are no faster on a core.
EVALUATION_BATCH: Final = 1024

_EVALUATION: Final = 2**40  # in the place of the epoch in the key of a random stream
_ENDLESS: Final = 100_000  # batches of an evaluation pass without a length


def batch_starts(examples: int, size: int) -> list[int]:
    """Return the first example of every batch of an epoch, without a last batch of one example.

    Example:
        >>> batch_starts(9, 4), batch_starts(1, 4)
        ([0, 4], [0])
    """
    return [start for start in range(0, examples, size) if examples - start > 1 or size == 1 or examples == 1]


class InMemory(Dataset[Any]):
    """Dataset of tensors in memory, as any nested value, from which whole batches are taken.

    Args:
        tree: tensors of the same length.

    Example:
        >>> InMemory({"x": torch.arange(4), "y": torch.zeros(4)}).__getitems__([1, 3])["x"]
        tensor([1, 3])
    """

    def __init__(self, tree: Any) -> None:
        self.tree, self._length = tree, row_count(tree)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return mapped(self.tree, lambda tensor: tensor[index])

    def __getitems__(self, indices: list[int]) -> Any:
        rows = torch.as_tensor(indices)
        return mapped(self.tree, lambda tensor: tensor.index_select(0, rows))


def _read(iterator: Iterator[Any], stream: RandomStream, of: str) -> Iterator[Any]:
    """Yield the batches of a pass; no method, as a split in a cycle of references would end its worker processes at any time."""
    while True:
        with stream:
            try:
                batch = next(iterator)
            except StopIteration:
                return
        if batch is None:
            raise TaskError(f"{_capital(of)} gave None for a batch. Is a `return` missing in its collate function?")
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


class Loader:
    """Split of which only the order of its batches is known, and that the seed fixes it.

    What is drawn from the global generators while a batch is read (order, augmentation, seeds of worker processes) comes from a stream of
    its own for each epoch, see :class:`~actlab.tasks.loading.random_stream.RandomStream`. A map-style dataset gets the batches that a
    :class:`~actlab.tasks.data.Split` of its examples has; a ``DataLoader`` or another iterable object decides itself. ``set_epoch`` of a
    loader, its sampler and its dataset is called.

    Args:
        source: a ``DataLoader``, a dataset of torch or any object with ``__getitem__`` and ``__len__``, or an iterable object of batches.
        of: names the split in messages.
        seed: of the order.
        batch_size: of the batches of a dataset.
        shuffle: whether every epoch of a map-style dataset has a new order.

    Raises:
        TaskError: the object can be read once only, or not in a fixed order.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> split = Loader(TensorDataset(torch.arange(5), torch.zeros(5)), batch_size=2, shuffle=False)
        >>> split.length, split.examples, [batch[0].tolist() for batch in split.evaluation()]
        (2, 5, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self, source: Any, *, of: str = "the split", seed: int = 0, batch_size: int = 64, shuffle: bool = True
    ) -> None:
        self.source, self.of, self.seed, self.batch_size, self._shuffle = source, of, seed, batch_size, shuffle
        self._ahead: Iterator[Any] | None = None
        self._first: Any = None
        self._is_read = False  # by a training
        is_torch = isinstance(source, DataLoader | IterableDataset)
        #: Whether it is a map-style dataset, whose batches are made here.
        self.is_dataset = not is_torch and hasattr(source, "__getitem__") and hasattr(source, "__len__")
        _check_readable(source, of)

    @property
    def is_in_memory(self) -> bool:
        """Whether it has tensors in memory, so that reading it leaves no trace, and it may be read for several trials."""
        return type(_whole(self.source)) is InMemory

    @property
    def tree(self) -> Any:
        """The tensors in memory of all examples, of which a subset may have some."""
        return _whole(self.source).tree

    @property
    def examples(self) -> int | None:
        """Number of examples, or None where it is not known."""
        source = self.source
        if isinstance(source, DataLoader):
            return _length(source.sampler) if source.batch_size and not _is_iterable(source) else None
        return _length(source) if self.is_dataset or isinstance(source, IterableDataset) else None

    @property
    def length(self) -> int | None:
        """Number of batches of an epoch of training, or None where it is not known."""
        source = self.source
        if self.is_dataset or isinstance(source, IterableDataset):
            examples = _length(source)
            return None if examples is None else len(batch_starts(examples, self.batch_size))
        if isinstance(source, DataLoader) and _is_iterable(source) and source.num_workers:
            return None  # every worker has a last batch of its own
        return _length(source)

    def first(self) -> Any:
        """Return the first batch of the training; it is not read again where the training begins afterwards.

        Raises:
            TaskError: there is none.
        """
        if self._ahead is None:
            ahead = self._pass(0, self._order(torch.Generator().manual_seed(self.seed)))
            self._first = next(ahead, None)
            if self._first is None:
                raise TaskError(self._empty())
            self._ahead = ahead
        return self._first

    def epochs(self, epochs: int) -> Iterator[Iterator[Any]]:
        """Yield the batches of each epoch of a training; without an end where their number in an epoch is not known.

        What is left of an epoch when the next one is asked for is read and thrown away, because a dataset may go on from its own state.

        Raises:
            TaskError: while they are read: an epoch has no batch, or not as many as it should.
        """
        generator = torch.Generator().manual_seed(self.seed)
        for epoch in count() if self.length is None else range(epochs):
            batches = self._epoch(epoch, self._order(generator))
            yield batches
            if not self.is_in_memory:
                for _ in batches:
                    pass

    def _epoch(self, epoch: int, order: Tensor | None) -> Iterator[Any]:
        length, given, self._is_read = self.length, 0, True
        ahead, self._ahead = self._ahead, None
        if epoch == 0 and ahead is not None:
            batches: Iterator[Any] = chain([self._first], ahead)
            self._first = None
        else:
            batches = self._pass(epoch, order)
        for batch in batches:
            given += 1
            if length is not None and given > length:
                raise TaskError(self._other_length(epoch, f"more than {given - 1}"))
            yield batch
        self._is_read = False
        if not given:
            raise TaskError(self._empty(epoch))
        if length is not None and given != length:
            raise TaskError(self._other_length(epoch, str(given)))

    def evaluation(self) -> Iterator[Any]:
        """Yield the batches once, with every example of a dataset in its order.

        Raises:
            TaskError: there is no batch, or no end.
        """
        given = 0
        for batch in self._pass(_EVALUATION, None):
            given += 1
            if given > _ENDLESS and self.length is None:
                raise TaskError(
                    f"{_capital(self.of)} gave more than {_ENDLESS:,} batches and has no length. An evaluation needs an end."
                )
            yield batch
        if not given:
            raise TaskError(self._empty())

    def subset(self, indices: Tensor) -> Loader:
        """Return the split of some examples of a map-style dataset."""
        source = Subset(self.source, indices.tolist())
        return Loader(source, of=self.of, seed=self.seed, batch_size=self.batch_size, shuffle=self._shuffle)

    def _order(self, generator: torch.Generator) -> Tensor | None:
        """Return the order of the next epoch, as it is for tensors; None for that of the source."""
        return torch.randperm(len(self.source), generator=generator) if self.is_dataset and self._shuffle else None

    def _pass(self, epoch: int, order: Tensor | None) -> Iterator[Any]:
        stream = RandomStream(self.seed, epoch)
        with stream:
            iterator = iter(self._loader(epoch, order))
        return _read(iterator, stream, self.of)

    def _loader(self, epoch: int, order: Tensor | None) -> Any:
        source = self.source
        if self.is_dataset:
            return self._dataset_loader(epoch, order)
        if isinstance(source, IterableDataset):
            _set_epoch(source, epoch)
            return DataLoader(source, batch_size=self.batch_size)
        for part in (source, *(getattr(source, name, None) for name in ("sampler", "batch_sampler", "dataset"))):
            _set_epoch(part, epoch)
        if isinstance(source, DataLoader) and source.persistent_workers and epoch == _EVALUATION and self._is_in_use:
            return with_other_workers(source)
        return source

    @property
    def _is_in_use(self) -> bool:
        return self._is_read or self._ahead is not None

    def _dataset_loader(self, epoch: int, order: Tensor | None) -> Any:
        examples, size = len(self.source), self.batch_size
        if epoch == _EVALUATION:
            size = max(size, EVALUATION_BATCH) if self.is_in_memory else size
            starts: Sequence[int] = range(0, examples, size)
        else:
            starts = batch_starts(examples, size)
        rows = (torch.arange(examples) if order is None else order).tolist()
        _set_epoch(self.source, epoch)
        return DataLoader(
            self.source,
            batch_sampler=[rows[start : start + size] for start in starts],
            collate_fn=_as_it_is if self.is_in_memory else None,
        )

    def _empty(self, epoch: int = 0) -> str:
        when = f" in epoch {epoch + 1}" if epoch else ""
        return f"{_capital(self.of)} gave no batch{when}. It must give the batches anew whenever it is read (`for batch in loader`)."

    def _other_length(self, epoch: int, given: str) -> str:
        return (
            f"{_capital(self.of)} gave {given} batches in epoch {epoch + 1}, and its len() is {self.length}. Every epoch needs as many, "
            "so that the number of steps is known. Give it the right length; or leave out __len__ and set `steps`, up to which epochs "
            "follow each other."
        )


def with_other_workers(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Return a copy of a loader with persistent workers, which has one iterator: a second pass would take the batches of the first."""
    other = copy.copy(loader)
    other._iterator = None
    return other


def _whole(source: Any) -> Any:
    while isinstance(source, Subset):
        source = source.dataset
    return source


def _check_readable(source: Any, of: str) -> None:
    if hasattr(source, "__next__"):
        raise TaskError(
            f"{_capital(of)} is a {type(source).__name__}, which can be read once. Return what can be read again and again: a DataLoader, "
            "a dataset, or an object whose __iter__ begins anew."
        )
    if isinstance(source, DataLoader) and not getattr(source, "in_order", True) and source.num_workers > 1:
        raise TaskError(
            f"{_capital(of)} is a DataLoader with in_order=False and {plural(source.num_workers, 'worker')}: the order of the batches "
            "depends on their speed, and not on the seed. Leave out in_order=False."
        )


def _is_iterable(loader: DataLoader[Any]) -> bool:
    return isinstance(loader.dataset, IterableDataset)


def _length(source: Any) -> int | None:
    with suppress(TypeError, NotImplementedError, AttributeError):  # it has none
        return len(source)
    return None


def _set_epoch(part: Any, epoch: int) -> None:
    change = getattr(part, "set_epoch", None)
    if callable(change):
        change(0 if epoch == _EVALUATION else epoch)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
