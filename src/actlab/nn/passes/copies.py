"""Copies of a model's inputs, so that a pass changes the copies only."""

from __future__ import annotations

from contextlib import suppress
from copy import copy, deepcopy
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["copied"]

_DEPTH: Final = 6  # of objects in objects
_KEPT: Final = (bool, int, float, complex, str, bytes, type(None), type, nn.Module, torch.dtype, torch.device)


def copied(value: Any) -> Any:
    """Return a copy of an input: tensors detached, objects such as a key-value cache with all they hold.

    Modules are kept, as the model may hold them too, and so is what no copy can be made of, such as a lock or an open file.

    Example:
        >>> cache = {"keys": [torch.ones(2, requires_grad=True) * 2]}
        >>> copied(cache)
        {'keys': [tensor([2., 2.])]}
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, _KEPT):
        return value
    memo: dict[int, Any] = {}
    _copy_tensors(value, memo, _DEPTH)
    try:
        return deepcopy(value, dict(memo))  # one that fails leaves halves of objects in its memo
    except Exception:  # a lock, a file or a class that forbids it, somewhere inside
        return _copy_attributes(value, memo, _DEPTH)


def _copy_tensors(value: Any, memo: dict[int, Any], depth: int) -> None:
    """Put copies of all tensors and arrays that an object holds, and its modules as they are, into the memo of a deep copy."""
    if id(value) in memo or depth < 0:
        return
    if isinstance(value, Tensor):
        memo[id(value)] = value.detach().clone()
    elif isinstance(value, nn.Module):
        memo[id(value)] = value
    elif not isinstance(value, (*_KEPT, np.ndarray)):
        for inner in _held(value):
            _copy_tensors(inner, memo, depth - 1)


def _held(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return list(getattr(value, "__dict__", {}).values())


def _copy_attributes(value: Any, memo: dict[int, Any], depth: int) -> Any:
    """Copy an object attribute by attribute; what cannot be copied is shared."""
    if id(value) in memo or isinstance(value, _KEPT) or depth < 0:
        return memo.get(id(value), value)
    with suppress(Exception):  # as in copied()
        return deepcopy(value, dict(memo))
    if isinstance(value, dict):
        return {key: _copy_attributes(inner, memo, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy_attributes(inner, memo, depth - 1) for inner in value]
    if not hasattr(value, "__dict__"):
        return value
    try:
        result = copy(value)
        attributes = {key: _copy_attributes(inner, memo, depth - 1) for key, inner in vars(value).items()}
        vars(result).update(attributes)
    except Exception:  # as in copied()
        return value
    return result
