"""Nested values of batches (tuples, mappings, dataclasses), their rows and size, joined over batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from actlab.errors import TaskError

__all__ = ["description", "is_named_tuple", "joined", "leaves", "mapped", "row_count"]


def is_named_tuple(value: Any) -> bool:
    """Return whether a value is a named tuple that holds parts of a batch; a packed sequence is one thing.

    Example:
        >>> is_named_tuple((1, 2))
        False
    """
    return isinstance(value, tuple) and hasattr(value, "_fields") and not isinstance(value, PackedSequence)


def _is_dataclass(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, tuple | list) and not isinstance(value, PackedSequence)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value of the same structure with each leaf changed; containers are new objects.

    Example:
        >>> mapped({"x": [1, 2], "y": 3}, lambda leaf: leaf + 1)
        {'x': [2, 3], 'y': 4}
    """
    if isinstance(value, Mapping):
        parts = {key: mapped(part, change) for key, part in value.items()}
        return _like(value, parts)
    if is_named_tuple(value):
        return type(value)(*(mapped(part, change) for part in value))
    if _is_sequence(value):
        return type(value)(mapped(part, change) for part in value)
    if _is_dataclass(value):
        parts = {field.name: mapped(getattr(value, field.name), change) for field in fields(value) if field.init}
        return replace(value, **parts)
    return change(value)


def _like(value: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    """Return a mapping of the class of another one; a dict where the class cannot be made from one."""
    if type(value) is dict:
        return parts
    try:
        if _is_dataclass(value):  # such as the outputs of transformers, which have their parts as attributes too
            return replace(value, **parts)  # type: ignore[type-var] # it is one
        made = copy.copy(value)
        made.update(parts)  # type: ignore[attr-defined] # most have it
    except Exception:  # a class of the user's
        return parts
    return made


def leaves(value: Any) -> Iterator[Any]:
    """Yield the leaves of a nested value.

    Example:
        >>> list(leaves({"x": [1, 2], "y": 3}))
        [1, 2, 3]
    """
    if isinstance(value, Mapping):
        for part in value.values():
            yield from leaves(part)
    elif _is_sequence(value):
        for part in value:
            yield from leaves(part)
    elif _is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name))
    else:
        yield value


def row_count(batch: Any) -> int:
    """Return the number of examples of a batch, which is the length of its first tensor or array; 1 where it has none.

    Example:
        >>> row_count({"x": torch.zeros(3, 2), "y": torch.zeros(3)})
        3
    """
    found = (leaf for leaf in leaves(batch) if isinstance(leaf, Tensor | np.ndarray) and leaf.ndim)
    return next((len(leaf) for leaf in found), 1)


def description(batch: Any) -> str:
    """Return the structure of a batch in words, for messages.

    Example:
        >>> description({"x": torch.zeros(3, 2), "names": ["a", "b"]})
        "{'x': (3, 2) float32, 'names': a list of 2}"
    """
    if isinstance(batch, Tensor | np.ndarray):
        return f"{tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return f"{{{', '.join(f'{key!r}: {description(part)}' for key, part in batch.items())}}}"
    if _is_sequence(batch):
        if batch and not any(isinstance(leaf, Tensor | np.ndarray) for leaf in leaves(batch)):
            return f"a {type(batch).__name__} of {len(batch)}"
        return f"[{', '.join(map(description, batch[:8]))}{', ...' if len(batch) > 8 else ''}]"
    return f"a {type(batch).__name__}"


def joined(parts: Sequence[Any], what: str) -> Any:
    """Return the values of several batches as one: tensors and arrays along their first dimension, lists one after the other.

    Args:
        parts: values of one structure; tensors without a dimension, and numbers, become one tensor with an entry for each batch.
        what: names them in the error message.

    Raises:
        TaskError: tensors or structures do not fit together.

    Example:
        >>> joined([{"a": torch.ones(2)}, {"a": torch.ones(1)}], "outputs")
        {'a': tensor([1., 1., 1.])}
    """
    first = parts[0]
    try:
        return _joined(first, parts, what)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise TaskError(
            f"The {what} have not the same parts in all batches ({type(error).__name__}: {error})."
        ) from error


def _joined(first: Any, parts: Sequence[Any], what: str) -> Any:
    if isinstance(first, Tensor):
        return _joined_tensors(parts, what)
    if isinstance(first, np.ndarray):
        return _joined_tensors([torch.as_tensor(part) for part in parts], what).numpy()
    if isinstance(first, Mapping):
        return _like(first, {key: _joined(first[key], [part[key] for part in parts], what) for key in first})
    if isinstance(first, list) and not any(isinstance(leaf, Tensor | np.ndarray) for leaf in first):
        return [item for part in parts for item in part]  # one entry for each example
    if _is_sequence(first):
        columns = [_joined(part, [other[place] for other in parts], what) for place, part in enumerate(first)]
        return type(first)(*columns) if is_named_tuple(first) else type(first)(columns)
    if isinstance(first, int | float | np.number):
        return torch.tensor(parts)
    if _is_dataclass(first):
        names = [field.name for field in fields(first) if field.init]
        return replace(first, **{n: _joined(getattr(first, n), [getattr(p, n) for p in parts], what) for n in names})
    return None if first is None else list(parts)


def _joined_tensors(parts: Sequence[Tensor], what: str) -> Tensor:
    if parts[0].ndim == 0:
        return torch.stack([part.reshape(()) for part in parts])
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        one, other = sorted((tuple(shape) for shape in shapes), key=str)[:2]
        raise TaskError(
            f"The {what} have shapes (n, {', '.join(map(str, one))}) and (n, {', '.join(map(str, other))}), by batch, so that the metric "
            "cannot be given all of them as one tensor. Define predict(model, batch) -> (output, target), and return there what "
            "fits: padded to one length, or one row for each position, as output.flatten(0, 1), target.flatten()."
        )
    return torch.cat(list(parts))
