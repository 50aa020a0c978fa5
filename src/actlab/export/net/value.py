"""Tensors of a net that is being read, and constants that are broadcast over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from actlab.export.net.layers import Layer, Numbers

__all__ = ["Reading", "UnsupportedError", "Value", "numbers_over", "pattern"]


class UnsupportedError(Exception):
    """A node is no layer; its message is the reason."""


@dataclass(frozen=True)
class Value:
    """A tensor of the net.

    Attributes:
        name: of the tensor.
        shape: without the batch.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def dimension(self, index: int) -> int:
        """Return a dimension without the batch, counted from the front.

        Raises:
            UnsupportedError: it is the batch.
        """
        found = index + len(self.shape) + 1 if index < 0 else index
        if found == 0:
            raise UnsupportedError("it works along the first dimension, which is the batch.")
        return found - 1


class _Reader(Protocol):
    layers: list[Layer]
    shapes: dict[str, tuple[int, ...]]


class Reading:
    """One node that is read.

    Attributes:
        shape: of its result, without the batch; a tuple of them where it has several.
    """

    def __init__(self, reader: _Reader, node: Node, shape: Any) -> None:
        self._reader, self._node, self.shape = reader, node, shape

    def add(self, kind: type[Layer], /, *inputs: Value, shape: tuple[int, ...] | None = None, **fields: Any) -> Value:
        """Add a layer and return its output.

        Args:
            kind: class of the layer.
            inputs: tensors that it reads.
            shape: of its output; that of the node's result by default.
            fields: further fields of the layer.
        """
        shape = self.shape if shape is None else shape
        name = self._node.name
        while name in self._reader.shapes:
            name += "_"
        layer = kind(name=self._place(), inputs=tuple(value.name for value in inputs), output=name, **fields)
        self._reader.layers.append(layer)
        self._reader.shapes[name] = shape
        return Value(name, shape)

    def _place(self) -> str:
        stack = self._node.meta.get("nn_module_stack") or {}
        paths = [str(path).removeprefix("L['self']").strip(".") for path, _ in stack.values()]
        named = [path for path in paths if path and not path.startswith("_empty")]
        return named[-1] if named else self._node.name


def pattern(shape: tuple[int, ...], over: tuple[int, ...]) -> tuple[int, int] | None:
    """Return how many numbers a tensor has, and how many neighbours share one where it is broadcast over another.

    Args:
        shape: that broadcasts, without the batch.
        over: shape of the other tensor.

    Returns:
        Count and inner, as in :class:`~actlab.export.net.layers.Numbers`; None where the numbers lie differently.

    Example:
        >>> pattern((6, 1, 1), (6, 4, 5)), pattern((1, 5), (4, 5)), pattern((6, 1, 5), (6, 4, 5))
        ((6, 20), (5, 1), None)
    """
    full = (1,) * (len(over) - len(shape)) + tuple(shape)
    wide = [i for i, size in enumerate(full) if size != 1]
    if not wide:
        return 1, 1
    first, last = wide[0], wide[-1]
    if full[first : last + 1] != tuple(over[first : last + 1]):
        return None
    return int(np.prod(full)), int(np.prod(over[last + 1 :]))


def numbers_over(value: Any, shape: tuple[int, ...]) -> Numbers:
    """Return constants that are broadcast over a tensor.

    Args:
        value: a number, or a tensor that broadcasts against (batch, *shape).
        shape: of the tensor, without the batch.

    Raises:
        UnsupportedError: they do not broadcast against one example.
    """
    tensor = value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
    if tensor.is_complex():
        raise UnsupportedError("its numbers are complex.")
    array = tensor.detach().double().numpy()
    if array.ndim == len(shape) + 1:
        if array.shape[0] != 1:
            raise UnsupportedError(f"its constant of shape {array.shape} has another number for each example.")
        array = array[0]
    found = pattern(array.shape, shape)
    if found is None:
        try:
            array, found = np.broadcast_to(array, shape), (int(np.prod(shape)), 1)
        except ValueError:
            raise UnsupportedError(f"its constant of shape {array.shape} does not broadcast over {shape}.") from None
    return Numbers(values=np.ascontiguousarray(array, dtype=np.float32).reshape(-1), inner=found[1])
