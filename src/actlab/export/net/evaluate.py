"""NumPy evaluation of the layers of a net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import sympy

from actlab.export.net.layers import (
    Activation,
    ArgMax,
    Arithmetic,
    Array,
    Concat,
    Conv,
    Dense,
    Layer,
    Pad,
    Pool,
    Reshape,
    Scale,
    Slice,
    Softmax,
    Window,
)
from actlab.functions.formula.evaluate import numeric
from actlab.functions.mean_formula import mean_formula
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec

__all__ = ["activation", "divisors", "evaluate", "windows"]

AnyArray = np.ndarray[Any, Any]

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def evaluate(layer: Layer, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Return the output of a layer for a batch.

    Args:
        layer: one of a net.
        inputs: arrays of shape (batch, *shape of the tensor).
        shape: of the output, without the batch.
    """
    with np.errstate(all="ignore"):  # infinities are results here
        result = np.asarray(_evaluate(layer, inputs, shape))
    return result if isinstance(layer, ArgMax) else result.astype(np.float32)


@singledispatch
def _evaluate(layer: Layer, _inputs: Sequence[Array], _shape: tuple[int, ...]) -> Array:
    raise TypeError(f"no evaluation of {type(layer).__name__}")


@_evaluate.register
def _dense(layer: Dense, inputs: Sequence[Array], _shape: tuple[int, ...]) -> Array:
    product: Array = inputs[0] @ layer.weight.T + layer.bias
    return product


@_evaluate.register
def _conv(layer: Conv, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    found = windows(inputs[0], layer.window, shape[1:], 0.0)  # batch, channels, positions, window
    batch, channels = found.shape[:2]
    out, spatial = layer.weight.shape[0], len(layer.window.size)
    grouped = found.reshape(batch, layer.groups, channels // layer.groups, *found.shape[2:])
    weight = layer.weight.reshape(layer.groups, out // layer.groups, *layer.weight.shape[1:])
    letters = "hw"[:spatial], "ij"[:spatial]
    equation = f"ngc{letters[0]}{letters[1]},goc{letters[1]}->ngo{letters[0]}"
    product = np.einsum(equation, grouped, weight, optimize=True).reshape(batch, *shape)
    result: Array = product + layer.bias.reshape(-1, *([1] * spatial))
    return result


@_evaluate.register
def _pool(layer: Pool, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    spatial = tuple(range(-len(layer.window.size), 0))
    if layer.kind == "max":
        highest: Array = windows(inputs[0], layer.window, shape[1:], -np.inf).max(axis=spatial)
        return highest
    total = windows(inputs[0].astype(np.float64), layer.window, shape[1:], 0.0).sum(axis=spatial)
    result: Array = total / divisors(layer, inputs[0].shape[2:], shape[1:])
    return result


def divisors(layer: Pool, size: Sequence[int], out: Sequence[int]) -> Array:
    """Return by how many elements the mean of each window divides.

    Args:
        layer: a pool.
        size: spatial shape of its input.
        out: that of its output.
    """
    counts: Any = np.ones(())
    window = layer.window
    for length, kernel, stride, before, after, positions in zip(
        size, window.size, window.stride, window.before, window.after, out, strict=True
    ):
        start = np.arange(positions) * stride - before
        if layer.counts_padding:
            count = np.minimum(start + kernel, length + after) - start
        else:
            count = np.minimum(start + kernel, length) - np.maximum(start, 0)
        counts = counts[..., None] * count
    return np.asarray(counts)


def windows(x: AnyArray, window: Window, out: Sequence[int], fill: float) -> AnyArray:
    """Return the windows of a batch, as a view.

    Args:
        x: of shape (batch, channels, *lengths).
        window: of a convolution or a pool.
        out: number of the windows in each dimension.
        fill: number around the tensor.

    Returns:
        Array of shape (batch, channels, *out, *window.size).
    """
    pads = [(0, 0), (0, 0)]
    index: list[slice] = [slice(None), slice(None)]
    for length, size, stride, before, dilation, positions in zip(
        x.shape[2:], window.size, window.stride, window.before, window.dilation, out, strict=True
    ):
        needed = (positions - 1) * stride + (size - 1) * dilation + 1
        pads.append((before, max(needed - length - before, 0)))
        index.append(slice(0, (positions - 1) * stride + 1, stride))
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(window.size, window.dilation, strict=True)]
    padded = np.pad(x, pads, constant_values=fill)
    axes = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=axes)
    index += [slice(None, None, dilation) for dilation in window.dilation]
    result: AnyArray = view[tuple(index)]
    return result


@_evaluate.register
def _activation(layer: Activation, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    learned = [numbers.over(shape) for numbers in layer.learned]
    if layer.split is not None:
        halves = np.split(inputs[0], 2, axis=layer.split + 1)
        inputs = halves if layer.gate_first else halves[::-1]
    result: Array = activation(layer.spec)(*(each.astype(np.float64) for each in (*inputs, *learned)))
    return result


def activation(spec: Spec) -> Callable[..., Any]:
    """Return a function of float64 arrays: the inputs, then the learned numbers."""
    values = {sympy.Symbol(n, real=True): sympy.Float(v, 17) for n, v in spec.assigned if not isinstance(v, Learned)}
    learned = [sympy.Symbol(name, real=True) for name, value in spec.assigned if isinstance(value, Learned)]
    record = spec.activation
    formula = mean_formula(spec) if record.expression is None else record.formula
    return numeric(formula.xreplace(values), record.inputs, learned)


@_evaluate.register
def _scale(layer: Scale, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    return inputs[0] * layer.scale.over(shape) + layer.shift.over(shape)


@_evaluate.register
def _arithmetic(layer: Arithmetic, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    a, b = inputs
    flat = b.reshape(len(b), -1)
    elements = np.arange(int(np.prod(shape))) // layer.inner % flat.shape[1]
    result: Array = OPERATIONS[layer.operation](a, flat[:, elements].reshape(-1, *shape))
    return result


@_evaluate.register
def _reshape(_layer: Reshape, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    return inputs[0].reshape(-1, *shape)


@_evaluate.register
def _slice(layer: Slice, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    end = layer.start + shape[layer.dimension]
    return np.take(inputs[0], range(layer.start, end), axis=layer.dimension + 1)


@_evaluate.register
def _concat(layer: Concat, inputs: Sequence[Array], _shape: tuple[int, ...]) -> Array:
    return np.concatenate(inputs, axis=layer.dimension + 1)


@_evaluate.register
def _pad(layer: Pad, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    x = inputs[0]
    behind = [out - size - before for out, size, before in zip(shape, x.shape[1:], layer.before, strict=True)]
    pads = [(0, 0), *zip(layer.before, behind, strict=True)]
    return np.pad(x, pads, constant_values=layer.value)


@_evaluate.register
def _softmax(layer: Softmax, inputs: Sequence[Array], _shape: tuple[int, ...]) -> Array:
    axis = layer.dimension + 1
    shifted = inputs[0].astype(np.float64) - inputs[0].max(axis=axis, keepdims=True)
    total = np.exp(shifted).sum(axis=axis, keepdims=True)
    result: Array = shifted - np.log(total) if layer.log else np.exp(shifted) / total
    return result


@_evaluate.register
def _argmax(layer: ArgMax, inputs: Sequence[Array], shape: tuple[int, ...]) -> Any:
    return inputs[0].argmax(axis=layer.dimension + 1).reshape(-1, *shape)
