"""Shape and kind of the value after every operation of a packed net, found without running it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from actlab.export.packed.bit_words import BITS_PER_WORD
from actlab.export.packed.operations import Conv, Dense, MaxPool, Norm, Op, Pair, SignConv, SignDense, Threshold
from actlab.export.packed.thresholds import LARGEST_SUM

__all__ = ["LARGEST_VALUE", "check_arrays", "check_shapes"]

LARGEST_VALUE: Final = 2**26  # elements of a value between two operations, for one input


@dataclass(frozen=True, kw_only=True)
class _Value:
    """A value between two operations: its shape without the batch, and the low value of bits, or None for numbers."""

    shape: tuple[int, ...]
    low: float | None = None


def check_shapes(ops: Sequence[Op], input_shape: tuple[int, ...]) -> None:
    """Check that every operation fits the one before it.

    Raises:
        PackError: one does not; also where a value would have more than ``LARGEST_VALUE`` elements.
    """
    value = _Value(shape=input_shape)
    for op in ops:
        op.require(
            math.prod(value.shape) <= LARGEST_VALUE, f"it gets {_shown(value)}, more than {LARGEST_VALUE:,} elements"
        )
        value = _after(op, value)
        fits = all(size > 0 for size in value.shape) and math.prod(value.shape) <= LARGEST_VALUE
        op.require(fits, f"its result would have shape {_shown(value)}")


def _shown(value: _Value) -> str:
    return f"({', '.join(map(str, value.shape))})"


def _after(op: Op, value: _Value) -> _Value:  # one return for each operation
    if isinstance(op, Dense):
        return _after_dense(op, value, outputs=len(op.weight), inputs=op.weight.shape[1])
    if isinstance(op, SignDense):
        return _after_dense(op, value, outputs=len(op.words), inputs=op.inputs)
    if isinstance(op, Conv):
        return _after_conv(op, value)
    if isinstance(op, SignConv):
        return _after_sign_conv(op, value)
    if isinstance(op, MaxPool):
        return _after_pool(op, value)
    if isinstance(op, Threshold):
        _require_channels(op, value, len(op.value), or_one=True)
        return _Value(shape=value.shape, low=op.low)
    if isinstance(op, Norm):
        _require_channels(op, value, len(op.mean))
        return _Value(shape=value.shape)
    return _Value(shape=(math.prod(value.shape),), low=value.low)


def _after_dense(op: Op, value: _Value, *, outputs: int, inputs: int) -> _Value:
    op.require(value.shape[-1:] == (inputs,), f"it takes {inputs} inputs and gets {_shown(value)}")
    return _Value(shape=(*value.shape[:-1], outputs))


def _require_channels(op: Op, value: _Value, channels: int, *, or_one: bool = False) -> None:
    fits = value.shape[0] == channels or (or_one and channels == 1)
    op.require(fits, f"it has {channels} channels and gets {_shown(value)}")


def _require_image(op: Op, value: _Value, channels: int | None) -> None:
    fits = len(value.shape) == 3 and (channels is None or value.shape[0] == channels)
    op.require(fits, f"it takes {channels or 'any'} channels, rows and columns, and gets {_shown(value)}")


def _after_conv(op: Conv, value: _Value) -> _Value:
    outputs, inputs, *kernel = op.weight.shape
    _require_image(op, value, inputs * op.groups)
    op.require(outputs % op.groups == 0, f"{op.groups} groups do not divide {outputs} outputs")
    if op.padding == "same":
        op.require(tuple(op.stride) == (1, 1), "its padding 'same' needs a stride of 1")
        return _Value(shape=(outputs, *value.shape[1:]))
    padding = (0, 0) if isinstance(op.padding, str) else op.padding
    _require_padded(op, value, (padding[1], padding[1], padding[0], padding[0]))
    return _Value(
        shape=(outputs, *_windows(value, kernel, op.stride, op.dilation, padding=(2 * padding[0], 2 * padding[1])))
    )


def _after_sign_conv(op: SignConv, value: _Value) -> _Value:
    _require_image(op, value, op.channels)
    fits = value.low is None or not any(op.edges) or op.pad_value == value.low
    op.require(fits, f"its edges hold {op.pad_value:g}, and its inputs are {value.low} and 1")
    _require_padded(op, value, op.edges)
    left, right, top, bottom = op.edges
    kernel = op.words.shape[1:3]
    sizes = _windows(value, kernel, op.stride, op.dilation, padding=(top + bottom, left + right))
    return _Value(shape=(len(op.words), *sizes))


def _require_padded(op: Op, value: _Value, edges: Sequence[int]) -> None:
    left, right, top, bottom = edges
    padded = value.shape[0] * (value.shape[1] + top + bottom) * (value.shape[2] + left + right)
    op.require(
        padded <= LARGEST_VALUE, f"its padded input would have {padded:,} elements; allowed are {LARGEST_VALUE:,}"
    )


def _windows(
    value: _Value, kernel: Sequence[int], stride: Pair, dilation: Pair, *, padding: tuple[int, int]
) -> tuple[int, ...]:
    """Return the numbers of windows along rows and columns; 0 or less where none fits, or the kernel is empty."""
    return tuple(
        (size + around - apart * (width - 1) - 1) // step + 1 if width > 0 else 0
        for size, width, step, apart, around in zip(value.shape[1:], kernel, stride, dilation, padding, strict=True)
    )


def _after_pool(op: MaxPool, value: _Value) -> _Value:
    _require_image(op, value, None)
    extent = [apart * (width - 1) + 1 for width, apart in zip(op.kernel, op.dilation, strict=True)]
    half = all(2 * around <= width for around, width in zip(op.padding, op.kernel, strict=True))
    op.require(half, "its padding is larger than half of its kernel")
    sizes = []
    for size, reach, step, around in zip(value.shape[1:], extent, op.stride, op.padding, strict=True):
        room = size + 2 * around - reach
        windows = (-(-room // step) if op.ceil else room // step) + 1
        # a window may not begin in the padding on the far side
        beyond = op.ceil and (windows - 1) * step >= size + around
        sizes.append(0 if room < 0 and not op.ceil else windows - beyond)
    return _Value(shape=(value.shape[0], *sizes), low=value.low)


def check_arrays(op: Op) -> None:
    """Check the values of an operation's arrays, and of the number that goes with one.

    Raises:
        PackError: one has NaN, or numbers that the format does not allow.
    """
    for name, tensor in op.tensors.items():
        op.require(not (tensor.is_floating_point() and bool(tensor.isnan().any())), f"{name} contains NaN")
    if isinstance(op, Norm):
        sizes = {tuple(tensor.shape) for tensor in op.tensors.values()}
        op.require(len(sizes) == 1 and op.mean.dim() == 1, "its mean, variance, weight and bias differ in shape")
        op.require(bool((op.variance >= 0).all()) and op.eps >= 0, "its variance or eps is negative")
    if isinstance(op, Threshold):
        op.require(bool((op.above <= 1).all()), "above holds other numbers than 0 and 1")
        whole = op.value.dtype == torch.int32
        op.require(not whole or bool((op.value.abs() <= LARGEST_SUM + 1).all()), "a value is beyond 2**24 + 1")
    if isinstance(op, SignDense):
        op.require(_ends_in_zeros(op.words, op.inputs), "unused bits of its words are not 0")
    if isinstance(op, SignConv):
        op.require(_ends_in_zeros(op.words, op.channels), "unused bits of its words are not 0")


def _ends_in_zeros(words: Tensor, size: int) -> bool:
    """Whether the bits of the last word after ``size`` elements are 0."""
    used = size % BITS_PER_WORD
    return not used or not bool((words[..., -1] >> used).bitwise_and((1 << (BITS_PER_WORD - used)) - 1).any())
