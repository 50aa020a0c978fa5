"""Splits of a task's data, and their forms that ``data(seed)`` may return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actlab.errors import TaskError, did_you_mean

__all__ = ["Data", "Split", "as_data"]


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Data of one seed.

    Attributes:
        train: the training split.
        test: the test split, evaluated once, at the end of a trial.
        validation: the split on which learning rates are chosen, or None.

    Example:
        >>> part = Split(x=torch.zeros(3, 2), y=torch.zeros(3))
        >>> Data(train=part, test=part).validation is None
        True
    """

    train: Split
    test: Split
    validation: Split | None = None


def as_data(value: Any, *, of: str = "the task") -> Data:
    """Convert a dict or a tuple of splits to :class:`Data`.

    The forms are ``{"train": (x, y), "test": (x, y), "validation": (x, y)}``, and ``((x, y), (x, y))`` for train and test.
    Arrays become tensors: floating point arrays get torch's default dtype, integer arrays int64.

    Raises:
        TaskError: there is no train or no test split, or a split is not a pair of arrays.

    Example:
        >>> pair = np.zeros((4, 2)), np.zeros(4, int)
        >>> data = as_data({"train": pair, "test": pair})
        >>> data.train.x.dtype, len(data.test)
        (torch.float32, 4)
    """
    if isinstance(value, Data):
        return value
    parts = _parts(value, of)
    return Data(**{name: _split(part, f"the {name} split of {of}") for name, part in parts.items() if part is not None})


_FORMS = (
    "Return Data(train=Split(x=..., y=...), test=...), or {'train': (x, y), 'test': (x, y), 'validation': (x, y)}, "
    "or ((x, y), (x, y)) for train and test."
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


def _describe(value: Any) -> str:
    return (
        f"a {type(value).__name__} of length {len(value)}"
        if isinstance(value, tuple | list)
        else f"a {type(value).__name__}"
    )


def _split(part: Any, of: str) -> Split:
    if isinstance(part, Split):
        return part
    if not (isinstance(part, tuple | list) and len(part) == 2):
        raise TaskError(f"{of[0].upper()}{of[1:]} is {_describe(part)}, not a pair (x, y) of arrays. {_FORMS}")
    return Split(x=_tensor(part[0], f"x of {of}"), y=_tensor(part[1], f"y of {of}"))


def _tensor(value: Any, of: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.get_default_dtype())
    if array.dtype.kind in "iub":
        return torch.as_tensor(np.ascontiguousarray(array.astype(np.int64)))
    raise TaskError(
        f"{of[0].upper()}{of[1:]} holds {array.dtype}; numbers are needed (a tensor or an array of float or int)."
    )
