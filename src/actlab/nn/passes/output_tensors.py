"""List of the tensors in a model's output, in nested containers, dataclasses and other objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

__all__ = ["output_tensors"]

_DEPTH: Final = 4  # nested objects with attributes


def output_tensors(output: Any) -> list[Tensor]:
    """Return the tensors in an output, in order: in tuples, lists, dicts, dataclasses, and the attributes of other objects.

    Example:
        >>> import torch
        >>> [tuple(t.shape) for t in output_tensors({"a": torch.zeros(1), "b": torch.distributions.Normal(torch.zeros(2), torch.ones(2))})]
        [(1,), (2,), (2,)]
    """
    return list(_tensors(output, _DEPTH, set()))


def _tensors(value: Any, depth: int, seen: set[int]) -> Iterator[Tensor]:
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif depth and id(leaf) not in seen and not isinstance(leaf, (type, nn.Module)):
            seen.add(id(leaf))
            held = list(getattr(leaf, "__dict__", {}).values())
            held += [getattr(leaf, slot, None) for cls in type(leaf).__mro__ for slot in vars(cls).get("__slots__", ())]
            yield from _tensors(held, depth - 1, seen)
