"""Layers of a net that is exported, with named tensors and weights in NumPy.

Shapes leave out the batch. All tensors are dense, in row-major order, channels first, as in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actlab.functions.spec import Spec

__all__ = [
    "Activation",
    "ArgMax",
    "Arithmetic",
    "Array",
    "Concat",
    "Conv",
    "Dense",
    "Layer",
    "Numbers",
    "Operation",
    "Pad",
    "Pool",
    "Reshape",
    "Scale",
    "Slice",
    "Softmax",
    "Window",
]

Array = np.ndarray[Any, np.dtype[np.float32]]
Operation = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers:
    """Numbers that are repeated over a tensor: its element ``e``, counted in row-major order, has ``values[e // inner % len(values)]``.

    Attributes:
        values: float32 of shape (count,): one for all elements, one for each channel, or one for each element.
        inner: how many neighbours share a number.
    """

    values: Array
    inner: int = 1

    def over(self, shape: tuple[int, ...]) -> Array:
        """Return the number of each element of a tensor.

        Example:
            >>> Numbers(values=np.float32([1, 2]), inner=3).over((2, 3)).tolist()
            [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
        """
        elements = np.arange(int(np.prod(shape))) // self.inner % len(self.values)
        return self.values[elements].reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Sliding window of a convolution or a pool, a number for each spatial dimension.

    Attributes:
        size: of the window.
        stride: distance of neighbouring windows.
        before: padding in front.
        after: padding behind.
        dilation: distance of the elements of a window.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One step of a net.

    Attributes:
        name: path of the module in the model, or of the function's place.
        inputs: names of the tensors that it reads.
        output: name of the tensor that it makes.
    """

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Layer):
    """Product of the last dimension with a matrix.

    Attributes:
        weight: of shape (out, in).
        bias: of shape (out,).
    """

    weight: Array
    bias: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Layer):
    """Convolution over the last one or two dimensions; depthwise where there are as many groups as channels.

    Attributes:
        weight: of shape (out, in / groups, *window).
        bias: of shape (out,).
        window: size, stride, padding with zeros and dilation.
        groups: into which the channels are split.
    """

    weight: Array
    bias: Array
    window: Window
    groups: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Layer):
    """Maximum or mean over a window of the last one or two dimensions.

    Attributes:
        kind: which of the two.
        window: size, stride and padding, which the maximum leaves out.
        counts_padding: whether the mean divides by the padding as well.
    """

    kind: Literal["max", "average"]
    window: Window
    counts_padding: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Layer):
    """Elementwise or gated activation.

    Attributes:
        spec: the function.
        learned: its learned numbers, in the order of the spec.
        split: dimension along which a gated function halves its input; None where gate and value are two tensors, and for functions of one.
        gate_first: whether the gate is the first half.
    """

    spec: Spec
    learned: tuple[Numbers, ...] = ()
    split: int | None = None
    gate_first: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale(Layer):
    """Product with constants and sum with others, such as a norm in eval mode that has no layer before it.

    Attributes:
        scale: factors.
        shift: summands.
    """

    scale: Numbers
    shift: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Arithmetic(Layer):
    """Sum, product or another operation of two tensors.

    Attributes:
        operation: which one.
        inner: how many neighbours of the first tensor share an element of the second, as in :class:`Numbers`.
    """

    operation: Operation
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Layer):
    """The same numbers in another shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice(Layer):
    """Part of a tensor along one dimension.

    Attributes:
        dimension: without the batch.
        start: first index.
    """

    dimension: int
    start: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """Tensors one behind another along one dimension.

    Attributes:
        dimension: without the batch.
    """

    dimension: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Layer):
    """Tensor with constant numbers around it.

    Attributes:
        before: their count in front, for each dimension.
        value: the number.
    """

    before: tuple[int, ...]
    value: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Softmax(Layer):
    """Softmax along one dimension.

    Attributes:
        dimension: without the batch.
        log: whether the logarithm of it is meant.
    """

    dimension: int
    log: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMax(Layer):
    """Index of the largest number along one dimension, the first of equal ones, as a whole number.

    Attributes:
        dimension: without the batch.
    """

    dimension: int
