"""Integer arithmetic of the layers of an integer net in NumPy, bit for bit what every target computes.

Sums of products run as float matrix products, which are fast and exact here: all products and partial sums are whole numbers, in any order
of summation at most the sum of their magnitudes, and float32 holds whole numbers up to 2**24, float64 those up to 2**53.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any, Final

import numpy as np

from actlab.export.integer.coding import Bits, Codes, Coding, Index
from actlab.export.integer.layers import (
    Affine,
    ArgMax,
    AveragePool,
    Combine,
    Concat,
    Ending,
    IntegerLayer,
    Lookup,
    MaxPool,
    Multiply,
    Pad,
    Product,
    Requantize,
    Reshape,
    Select,
    Slice,
    Softmax,
    Threshold,
)
from actlab.export.net.evaluate import divisors, windows
from actlab.export.net.layers import Pool

__all__ = ["Integers", "dtype_of", "evaluate", "largest_value", "sums_of", "values_of"]

Integers = np.ndarray[Any, Any]
DTYPES: Final[Mapping[int, Any]] = {8: np.int8, 32: np.int32}


def evaluate(
    layer: IntegerLayer, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]
) -> Integers:
    """Return the output of a layer for a batch.

    Args:
        layer: one of an integer net.
        inputs: arrays of shape (batch, *shape of the tensor): codes, or bool of bits.
        codings: of the inputs, then of the output.
        shape: of the output, without the batch.

    Returns:
        Array of shape (batch, *shape); int8, int32, or bool of bits.
    """
    return np.asarray(_evaluate(layer, inputs, codings, shape)).astype(dtype_of(codings[-1]))


def dtype_of(coding: Coding) -> Any:
    """Return the NumPy type of the elements of a tensor.

    Example:
        >>> dtype_of(Codes(scale=0.1)).__name__, dtype_of(Bits(low=0)).__name__
        ('int8', 'bool')
    """
    if isinstance(coding, Bits):
        return np.bool_
    return np.int32 if isinstance(coding, Index) else DTYPES[coding.width]


def values_of(codes: Integers, coding: Coding) -> Any:
    """Return ``code - zero`` of codes, int64; -1, 0 or 1 of bits.

    Example:
        >>> values_of(np.array([True, False]), Bits(low=-1)).tolist()
        [1, -1]
    """
    whole = codes.astype(np.int64)
    if isinstance(coding, Bits):
        return whole * (1 - coding.low) + coding.low
    return whole - coding.zero if isinstance(coding, Codes) else whole


def largest_value(coding: Coding) -> int:
    """Return the largest magnitude that a value has by its coding.

    Example:
        >>> largest_value(Codes(scale=0.1, zero=-128)), largest_value(Bits(low=-1))
        (255, 1)
    """
    if not isinstance(coding, Codes):
        return 1
    half: int = 2 ** (coding.width - 1)
    return max(half + coding.zero, half - 1 - coding.zero)


def finish(sums: Integers, ending: Ending, axis: int | None) -> Any:
    """Return the codes or bits of sums.

    Args:
        sums: int64, of magnitudes that int32 holds.
        ending: what is made of them.
        axis: of the channels, with the batch; None where the ending has one entry for all.
    """

    def along(numbers: Integers) -> Any:
        shape = [1] * sums.ndim
        if axis is not None:
            shape[axis] = -1
        return numbers.reshape(shape) if numbers.size > 1 else numbers.reshape(())

    if isinstance(ending, Threshold):
        return np.equal(sums >= along(ending.value.astype(np.int64)), along(ending.above))
    shift = along(ending.shift.astype(np.int64))
    product = sums * along(ending.multiplier.astype(np.int64))
    codes = np.clip((((product + (1 << (shift - 1))) >> shift) + ending.zero), ending.low, ending.high)
    if ending.table is None:
        return codes
    if ending.table.ndim == 1:
        return ending.table[codes + 128]
    return ending.table[along(np.arange(len(ending.table))), codes + 128]


@singledispatch
def _evaluate(
    layer: IntegerLayer, _inputs: Sequence[Integers], _codings: Sequence[Coding], _shape: tuple[int, ...]
) -> Any:
    raise TypeError(f"no evaluation of {type(layer).__name__}")


@_evaluate.register
def _product(layer: Product, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    axis = len(shape) if layer.window is None else 1
    return finish(sums_of(layer, inputs[0], codings[0], shape), layer.ending, axis)


def sums_of(layer: Product, codes: Integers, coding: Coding, shape: tuple[int, ...]) -> Any:
    """Return the sums of a product before its ending, int64 of shape (batch, *shape)."""
    largest = largest_value(coding) * int(
        np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(1).max()
    )
    exact = np.float32 if largest <= 2**24 else np.float64  # the module's text says why
    values: Any = values_of(codes, coding).astype(exact)
    weight: Any = layer.weight.astype(exact)
    if layer.window is None:
        return (values @ weight.T).astype(np.int64) + layer.bias
    spatial = len(layer.window.size)
    found = windows(values, layer.window, shape[1:], 0.0)
    batch, groups, out = len(codes), layer.groups, len(weight) // layer.groups
    found = np.moveaxis(found.reshape(batch, groups, -1, *found.shape[2:]), 2, 2 + spatial)
    flat = found.reshape(batch, groups, int(np.prod(shape[1:])), -1)  # a row for each position of the window
    sums = np.matmul(weight.reshape(groups, out, -1), flat.swapaxes(2, 3)).reshape(batch, *shape)
    return sums.astype(np.int64) + layer.bias.reshape(-1, *([1] * spatial))


def _numbers(layer: Affine | Lookup, count: int, shape: tuple[int, ...]) -> Any:
    """Return which of the numbers of a layer each element has."""
    return (np.arange(int(np.prod(shape))) // layer.inner % count).reshape(shape)


@_evaluate.register
def _affine(layer: Affine, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    numbers = _numbers(layer, len(layer.factor), shape)
    sums = values_of(inputs[0], codings[0]) * layer.factor.astype(np.int64)[numbers] + layer.bias[numbers]
    return finish(sums, layer.ending, None)


@_evaluate.register
def _lookup(layer: Lookup, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    index = inputs[0].astype(np.int64) + 128
    if layer.table.ndim == 1:
        return layer.table[index]
    return layer.table[_numbers(layer, len(layer.table), shape), index]


def _second(layer: Combine | Multiply | Select, b: Integers, shape: tuple[int, ...]) -> Any:
    """Return the second tensor, repeated over the first."""
    flat = b.reshape(len(b), -1)
    elements = np.arange(int(np.prod(shape))) // layer.inner % flat.shape[1]
    return flat[:, elements].reshape(-1, *shape)


@_evaluate.register
def _combine(layer: Combine, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    a, b = (values_of(each, coding) for each, coding in zip(inputs, codings[:2], strict=True))
    total = a * layer.factors[0] + _second(layer, b, shape) * layer.factors[1]
    codes = ((total + (1 << (layer.shift - 1))) >> layer.shift) + layer.zero
    return np.clip(codes, layer.low, layer.high)


@_evaluate.register
def _multiply(layer: Multiply, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    a, b = (values_of(each, coding) for each, coding in zip(inputs, codings[:2], strict=True))
    return finish(a * _second(layer, b, shape), layer.ending, None)


@_evaluate.register
def _select(layer: Select, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    choose = np.maximum if layer.kind == "maximum" else np.minimum
    return choose(inputs[0], _second(layer, inputs[1], shape))


def _spatial(layer: MaxPool | AveragePool) -> tuple[int, ...]:
    return tuple(range(-len(layer.window.size), 0))


@_evaluate.register
def _max_pool(layer: MaxPool, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    x = inputs[0]
    lowest = 0 if x.dtype == np.bool_ else np.iinfo(x.dtype).min
    return windows(x, layer.window, shape[1:], lowest).max(axis=_spatial(layer))


@_evaluate.register
def _average_pool(
    layer: AveragePool, inputs: Sequence[Integers], codings: Sequence[Coding], shape: tuple[int, ...]
) -> Any:
    sums = windows(values_of(inputs[0], codings[0]), layer.window, shape[1:], 0).sum(axis=_spatial(layer))
    ending = _by_position(layer, inputs[0].shape[2:], shape[1:])
    return finish(sums.reshape(len(sums), shape[0], -1), ending, 2).reshape(-1, *shape)


def _by_position(layer: AveragePool, size: Sequence[int], out: Sequence[int]) -> Requantize:
    """Return the ending with the entry of each position's divisor."""
    pool = Pool(name="", inputs=(), output="", kind="average", window=layer.window, counts_padding=layer.counts_padding)
    index = divisors(pool, size, out).reshape(-1).astype(np.int64) - 1
    return replace(layer.ending, multiplier=layer.ending.multiplier[index], shift=layer.ending.shift[index])


@_evaluate.register
def _reshape(_layer: Reshape, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    return inputs[0].reshape(-1, *shape)


@_evaluate.register
def _slice(layer: Slice, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    end = layer.start + shape[layer.dimension]
    return np.take(inputs[0], range(layer.start, end), axis=layer.dimension + 1)


@_evaluate.register
def _concat(layer: Concat, inputs: Sequence[Integers], _codings: Sequence[Coding], _shape: tuple[int, ...]) -> Any:
    return np.concatenate(inputs, axis=layer.dimension + 1)


@_evaluate.register
def _pad(layer: Pad, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    sizes = inputs[0].shape[1:]
    behind = [out - size - before for out, size, before in zip(shape, sizes, layer.before, strict=True)]
    return np.pad(inputs[0], [(0, 0), *zip(layer.before, behind, strict=True)], constant_values=layer.code)


@_evaluate.register
def _softmax(layer: Softmax, inputs: Sequence[Integers], _codings: Sequence[Coding], _shape: tuple[int, ...]) -> Any:
    axis = layer.dimension + 1
    codes = inputs[0].astype(np.int64)
    e = layer.table.astype(np.int64)[codes.max(axis=axis, keepdims=True) - codes]
    total = e.sum(axis=axis, keepdims=True)
    return np.minimum((e * 256 + total // 2) // total - 128, 127)


@_evaluate.register
def _argmax(layer: ArgMax, inputs: Sequence[Integers], _codings: Sequence[Coding], shape: tuple[int, ...]) -> Any:
    return inputs[0].argmax(axis=layer.dimension + 1).reshape(-1, *shape)
