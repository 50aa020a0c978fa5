"""Splits of a task's data, and their forms that ``data(seed)`` may return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from actlab.errors import TaskError, did_you_mean
from actlab.tasks.loading.loader import InMemory, Loader, with_other_workers
from actlab.tasks.loading.nested import leaves, mapped, row_count

__all__ = ["Data", "Split", "as_data", "tensors_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Inputs and targets of one split of the data.

    Attributes:
        x: inputs, shape (n, ...).
        y: targets, shape (n, ...).

    Example:
        >>> len(Split(x=torch.zeros(3, 2), y=torch.zeros(3)))
        3
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return len(self.x)

    def first(self, size: int = 64) -> tuple[Tensor, Tensor]:
        """Return the first examples as a batch."""
        return self.x[:size], self.y[:size]


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Data of one seed. A split of other things than two tensors is a :class:`~actlab.tasks.loading.loader.Loader`.

    Attributes:
        train: the training split.
        test: the test split, evaluated once, at the end of a trial.
        validation: the split on which learning rates are chosen, or None.

    Example:
        >>> part = Split(x=torch.zeros(3, 2), y=torch.zeros(3))
        >>> Data(train=part, test=part).validation is None
        True
    """

    train: Split | Loader
    test: Split | Loader
    validation: Split | Loader | None = None

    @property
    def splits(self) -> dict[str, Split | Loader]:
        """The splits there are, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def is_in_memory(self) -> bool:
        """Whether all splits are tensors in memory, so that reading them leaves no trace."""
        return all(isinstance(split, Split) or split.is_in_memory for split in self.splits.values())


def tensors_of(split: Split | Loader | None, needed_by: str) -> Split:
    """Return a split of two tensors, and refuse any other.

    Args:
        split: a split.
        needed_by: what needs tensors, for the message.

    Raises:
        TaskError: the split is none, or a loader.
    """
    if isinstance(split, Split):
        return split
    given = "there is none" if split is None else f"{split.of} is read from a {type(split.source).__name__}"
    raise TaskError(
        f"{needed_by[:1].upper()}{needed_by[1:]} needs the tensors (x, y) of a split, and {given}. Return (x, y) from data(seed)."
    )


def as_data(value: Any, *, of: str = "the task", seed: int = 0, batch_size: int = 64, shuffle: bool = True) -> Data:
    """Convert a dict or a tuple of splits to :class:`Data`.

    The forms are ``{"train": split, "test": split, "validation": split}``, and ``(split, split)`` for train and test. A split is
    ``(x, y)``, a dataset of torch, a ``DataLoader`` or another iterable object of batches, or a tuple or dict of several tensors. Arrays
    become tensors: floating point arrays get torch's default dtype, integer arrays int64.

    Args:
        value: what ``data(seed)`` returned.
        of: names the task in messages.
        seed: of the order in which datasets and loaders are read.
        batch_size: of the batches of a dataset, and of several tensors.
        shuffle: whether these have another order in every epoch.

    Raises:
        TaskError: there is no train or no test split, or a split has another form.

    Example:
        >>> pair = np.zeros((4, 2)), np.zeros(4, int)
        >>> data = as_data({"train": pair, "test": pair})
        >>> data.train.x.dtype, len(data.test)
        (torch.float32, 4)
    """
    parts = value.splits if isinstance(value, Data) else _apart(_parts(value, of))
    splits = {
        name: _split(part, f"the {name} split of {of}", seed=seed, batch_size=batch_size, shuffle=shuffle)
        for name, part in parts.items()
        if part is not None
    }
    if isinstance(value, Data) and all(splits[name] is part for name, part in parts.items()):
        return value
    return Data(**splits)


_FORMS = (
    "Return Data(train=Split(x=..., y=...), test=...), or {'train': (x, y), 'test': (x, y), 'validation': (x, y)}, "
    "or ((x, y), (x, y)) for train and test. A DataLoader, a dataset of torch or a dict of tensors may stand in the place of (x, y)."
)


def _parts(value: Any, of: str) -> dict[str, Any]:
    if isinstance(value, tuple | list) and len(value) == 2:
        return {"train": value[0], "test": value[1]}
    if not isinstance(value, Mapping):
        raise TaskError(f"data(seed) of {of} returned {_describe(value)}, which is no train and test split. {_FORMS}")
    known = ("train", "test", "validation")
    for name in value:
        if name not in known:
            raise TaskError(
                f"data(seed) of {of} has a split {name!r}; "
                f"allowed are {', '.join(known)}.{did_you_mean(str(name), known)}"
            )
    for name in ("train", "test"):
        if value.get(name) is None:
            raise TaskError(f"data(seed) of {of} has no {name} split; it has {', '.join(value) or 'none'}. {_FORMS}")
    return dict(value)


def _apart(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts with workers of its own for a loader that stands for several splits, as two passes at a time need."""
    found: dict[str, Any] = {}
    for name, part in parts.items():
        is_shared = (
            isinstance(part, DataLoader) and part.persistent_workers and any(part is it for it in found.values())
        )
        found[name] = with_other_workers(part) if is_shared else part
    return found


def _describe(value: Any) -> str:
    return (
        f"a {type(value).__name__} of length {len(value)}"
        if isinstance(value, tuple | list)
        else f"a {type(value).__name__}"
    )


def _split(part: Any, of: str, **order: Any) -> Split | Loader:
    if isinstance(part, Split | Loader):
        return part
    if _is_readable(part):
        tensors = _dataset_tensors(part)
        if tensors is None or len(tensors) != 2:
            return Loader(part if tensors is None else InMemory(tensors), of=of, **order)
        return Split(x=tensors[0], y=tensors[1])
    if _is_nested(part):
        return Loader(InMemory(_checked_tree(part, of)), of=of, **order)
    if not (isinstance(part, tuple | list) and len(part) == 2):
        raise TaskError(f"{of[0].upper()}{of[1:]} is {_describe(part)}, not a pair (x, y) of arrays. {_FORMS}")
    return Split(x=_tensor(part[0], f"x of {of}"), y=_tensor(part[1], f"y of {of}"))


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _is_readable(part: Any) -> bool:
    """Return whether batches or examples can be read from an object: a dataset or a loader."""
    if isinstance(part, Dataset):
        return True
    if _is_array(part) or isinstance(part, tuple | list | str | bytes | Mapping | set) or hasattr(part, "__array__"):
        return False
    return hasattr(part, "__iter__") or (hasattr(part, "__getitem__") and hasattr(part, "__len__"))


def _dataset_tensors(part: Any) -> tuple[Tensor, ...] | None:
    """Return the tensors of a plain TensorDataset, or of a part of one; None for anything else."""
    if type(part) is TensorDataset:
        return part.tensors
    if type(part) is Subset and (tensors := _dataset_tensors(part.dataset)) is not None:
        rows = torch.as_tensor(list(part.indices), dtype=torch.int64)
        return tuple(tensor.index_select(0, rows) for tensor in tensors)
    return None


def _is_nested(part: Any) -> bool:
    """Return whether a split is several arrays: a mapping, one tensor, a longer tuple, or a pair of which one part is such."""
    if isinstance(part, Mapping | Tensor):
        return True
    if not isinstance(part, tuple) or not part:  # a list may be one of batches
        return False
    if len(part) != 2:
        return all(_is_array(element) or isinstance(element, Mapping) for element in part)
    return any(isinstance(element, Mapping) or _is_several(element, part) for element in part)


def _is_several(element: Any, pair: Any) -> bool:
    """Return whether a part of a pair is a tuple of arrays with the examples of all, and no list of examples."""
    if not isinstance(element, tuple) or not element or not all(map(_is_array, element)):
        return False
    lengths = {len(array) for array in element if array.ndim}
    return len(lengths) == 1 and lengths != {len(element)} and lengths == {row_count(pair)}


def _checked_tree(part: Any, of: str) -> Any:
    tree = mapped(part, lambda leaf: _tensor(leaf, f"a part of {of}"))
    sizes = {len(leaf) if leaf.ndim else 0 for leaf in leaves(tree)}
    if len(sizes) > 1 or sizes == {0} or not sizes:
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves(tree)) or "none"
        raise TaskError(
            f"The tensors of {of} need the same number of examples, one or more; their shapes are {shapes}."
        )
    return tree


def _tensor(value: Any, of: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # of several lengths
        raise TaskError(
            f"{of[:1].upper()}{of[1:]} is {_describe(value)}, which is no array of numbers. A list of batches is no split: return a "
            "DataLoader, a dataset of torch, or an object whose __iter__ gives the batches."
        ) from error
    if array.dtype.kind == "f":
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.get_default_dtype())
    if array.dtype.kind in "iub":
        return torch.as_tensor(np.ascontiguousarray(array.astype(np.int64)))
    raise TaskError(
        f"{of[0].upper()}{of[1:]} holds {array.dtype}; numbers are needed (a tensor or an array of float or int)."
    )
