"""Layers of an integer net, each defined by exact integer arithmetic.

The *value* of an element is ``code - zero`` of codes, and -1, 0 or 1 of bits. Shapes leave out the batch and are channels first; the order
in memory is up to each target. ``>>`` rounds towards minus infinity. Every step fits the stated integers, so that all targets compute the
same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from actlab.export.net.layers import Window

__all__ = [
    "Affine",
    "ArgMax",
    "AveragePool",
    "Combine",
    "Concat",
    "Ending",
    "IntegerLayer",
    "Lookup",
    "MaxPool",
    "Multiply",
    "Pad",
    "Product",
    "Requantize",
    "Reshape",
    "Select",
    "Slice",
    "Softmax",
    "Threshold",
]

Int8 = np.ndarray[Any, np.dtype[np.int8]]
Int32 = np.ndarray[Any, np.dtype[np.int32]]
Bool = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantize:
    """From int32 sums to codes.

    ``code = clip(((sum * multiplier + 2 ** (shift - 1)) >> shift) + zero, low, high)``, in int64 (halves are rounded up); then
    ``table[code + 128]`` where there is a table.

    Attributes:
        multiplier: int32 of shape (channels,) or (1,), from 0 to 2**31 - 1.
        shift: int32, likewise, from 1 to 62.
        zero: code of the sum 0, before the table.
        low: smallest code before the table.
        high: largest one. A clamp such as relu or relu6 is such a pair, without a table.
        table: int8 of shape (256,) of the activation between two codings, or (channels, 256) where its parameters differ by channel; None
            without one. 32-bit codes have none.
    """

    multiplier: Int32
    shift: Int32
    zero: int = 0
    low: int = -128
    high: int = 127
    table: Int8 | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold:
    """From int32 sums to bits: ``bit = (sum >= value) == above``.

    Attributes:
        value: int32 of shape (channels,) or (1,).
        above: bool, likewise.
    """

    value: Int32
    above: Bool


Ending: TypeAlias = Requantize | Threshold


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLayer:
    """One step of an integer net.

    Attributes:
        name: path of the module in the model, or of the function's place.
        inputs: names of the tensors that it reads.
        output: name of the tensor that it makes.
        made_from: what it is in the model, in a word or two for reports, such as "dense gelu".
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    made_from: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(IntegerLayer):
    """Dense layer or convolution: ``sum = bias + (sum of weight * value over the elements inside of the input)``, int32, then its ending.

    Padding is outside of the input: it adds nothing. A kernel follows from the codings: bits of -1 and 1 with weights of -1 and 1 are a
    population count of XNOR, bits of 0 and 1 are a sum of the rows of active inputs, weights of -1, 0 and 1 are two bit planes.

    Attributes:
        weight: int8 from -127 to 127, shape (out, in) of a dense layer, which works on the last dimension, or (out, in / groups, *window).
        bias: int32 of shape (out,).
        window: of a convolution, over the last one or two dimensions; None of a dense layer.
        groups: into which the channels are split.
        ending: from sums to the output, by channel: the first dimension of a convolution's output, the last one of a dense layer's.
    """

    weight: Int8
    bias: Int32
    ending: Ending
    window: Window | None = None
    groups: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(IntegerLayer):
    """Own factor and summand for each channel: ``sum = value * factor + bias``, int32, then its ending, whose arrays have shape (1,).

    Attributes:
        factor: int32 of shape (count,), up to 2**15 in magnitude.
        bias: int32 of shape (count,).
        inner: how many neighbours share a number: element e, in row-major order, has number ``e // inner % count``.
        ending: to the output.
    """

    factor: Int32
    bias: Int32
    ending: Ending
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup(IntegerLayer):
    """Table of an 8-bit code: ``output = table[code + 128]``.

    Attributes:
        table: int8 of shape (256,) or (count, 256), or bool where the output is bits.
        inner: as in :class:`Affine`.
    """

    table: Int8 | Bool
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Combine(IntegerLayer):
    """Sum of two tensors in the steps of a third, such as a residual one; with a negative factor, a difference.

    ``code = clip(((value_a * factor_a + value_b * factor_b + 2 ** (shift - 1)) >> shift) + zero, low, high)``, all in int32.

    Attributes:
        factors: of the two, at most 2**21 in magnitude.
        shift: from 1 to 30.
        zero: of the output's coding.
        low: smallest code.
        high: largest one.
        inner: how many neighbours of the first tensor share an element of the second.
    """

    factors: tuple[int, int]
    shift: int
    zero: int
    low: int = -128
    high: int = 127
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Multiply(IntegerLayer):
    """Product of two tensors, such as value and gate: ``sum = value_a * value_b``, then its ending, whose arrays have shape (1,).

    Attributes:
        ending: to the output.
        inner: as in :class:`Combine`.
    """

    ending: Ending
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(IntegerLayer):
    """Larger or smaller code of two tensors with one coding.

    Attributes:
        kind: which of the two.
        inner: as in :class:`Combine`.
    """

    kind: Literal["maximum", "minimum"]
    inner: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(IntegerLayer):
    """Largest code, or bit, of a window; padding is left out.

    Attributes:
        window: over the last one or two dimensions.
    """

    window: Window


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(IntegerLayer):
    """Mean of a window: the sum of the values inside, then an ending with the number of the window's divisor.

    Attributes:
        window: over the last one or two dimensions.
        counts_padding: whether the mean divides by the padding as well.
        ending: its arrays have an entry for each divisor: that of divisor d is at index d - 1, and shape (largest divisor,).
    """

    window: Window
    ending: Requantize
    counts_padding: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(IntegerLayer):
    """The same elements in another shape, row-major with channels first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice(IntegerLayer):
    """Part of a tensor along one dimension.

    Attributes:
        dimension: without the batch.
        start: first index.
    """

    dimension: int
    start: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(IntegerLayer):
    """Tensors of one coding, one behind another along one dimension.

    Attributes:
        dimension: without the batch.
    """

    dimension: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(IntegerLayer):
    """Tensor with a constant around it.

    Attributes:
        before: count of the elements in front, for each dimension.
        code: the constant; 0 or 1 of bits.
    """

    before: tuple[int, ...]
    code: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Softmax(IntegerLayer):
    """Softmax along one dimension, to codes with scale 1/256 and zero -128.

    With ``e = table[largest code - code]`` and their sum ``total``: ``code = min((e * 256 + total // 2) // total - 128, 127)``, in uint32.

    Attributes:
        dimension: without the batch; of at most 2**15 elements.
        table: int32 of shape (256,), from 2**16 downwards.
    """

    dimension: int
    table: Int32


@dataclass(frozen=True, kw_only=True, eq=False)
class ArgMax(IntegerLayer):
    """Index of the largest code along one dimension, the first of equal ones.

    Attributes:
        dimension: without the batch.
    """

    dimension: int
