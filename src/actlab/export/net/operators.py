"""Operators of torch as layers of a net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actlab.export.net.layers import (
    ArgMax,
    Arithmetic,
    Concat,
    Dense,
    Numbers,
    Operation,
    Pad,
    Reshape,
    Scale,
    Slice,
    Softmax,
)
from actlab.export.net.value import Reading, UnsupportedError, Value, numbers_over, pattern
from actlab.export.net.windows import WINDOWED

__all__ = ["OPERATORS"]

LARGEST_INDEX = 2**63 - 1


def _linear(reading: Reading, x: Value, weight: Any, bias: Any = None) -> Value:
    if not isinstance(x, Value) or not isinstance(weight, Tensor):
        raise UnsupportedError("its weights are computed from the input.")
    matrix = weight.float().numpy()
    shift = np.zeros(len(matrix), np.float32) if bias is None else bias.float().numpy()
    return reading.add(Dense, x, weight=matrix, bias=shift)


def _matmul(reading: Reading, x: Any, other: Any) -> Value:
    if not isinstance(other, Tensor) or other.dim() != 2:
        raise UnsupportedError("it multiplies two tensors that both depend on the input, or by no matrix.")
    return _linear(reading, x, other.t().contiguous())


def _addmm(reading: Reading, bias: Any, x: Any, other: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    if not isinstance(other, Tensor) or not isinstance(bias, Tensor):
        raise UnsupportedError("its weights are computed from the input.")
    return _linear(reading, x, alpha * other.t().contiguous(), (beta * bias).expand(other.shape[1]))


def _batch_norm(reading: Reading, x: Any, *arguments: Any) -> Value:
    weight, bias, mean, variance, training, _, eps = arguments[:7]
    if training or mean is None:
        raise UnsupportedError("it takes its statistics from the batch, in eval mode too; track running statistics.")
    factor = (1 if weight is None else weight.double()) / torch.sqrt(variance.double() + eps)
    shift = (0 if bias is None else bias.double()) - mean.double() * factor
    return _scaled(reading, x, _of_channels(factor, x), _of_channels(shift, x))


def _folded_batch_norm(reading: Reading, x: Any, *arguments: Any) -> Any:
    """Return the norm as it is in a graph without operators in place; its further results are not used."""
    reading.shape = reading.shape[0]
    return (_batch_norm(reading, x, *arguments[:4], False, *arguments[4:]), None, None)


def _of_channels(numbers: Tensor, x: Value) -> Numbers:
    return numbers_over(numbers.reshape(-1, *([1] * (len(x.shape) - 1))), x.shape)


def _scaled(reading: Reading, x: Value, scale: Any = 1.0, shift: Any = 0.0) -> Value:
    if reading.shape != x.shape:
        raise UnsupportedError(f"its constant makes a tensor of shape {reading.shape} out of {x.shape}.")
    factor, summand = (each if isinstance(each, Numbers) else numbers_over(each, x.shape) for each in (scale, shift))
    return reading.add(Scale, x, scale=factor, shift=summand)


def _arithmetic(operation: Operation, reading: Reading, a: Any, b: Any, *, alpha: float = 1, **options: Any) -> Value:
    if options.get("rounding_mode") is not None:
        raise UnsupportedError("it rounds the quotient.")
    if isinstance(a, Value) and isinstance(b, Value):
        return _of_two(operation, reading, a, b, alpha)
    if isinstance(a, Value):
        return _with_constant(operation, reading, a, b, alpha)
    if operation == "subtract":
        return _scaled(reading, b, -alpha, a)
    if operation == "add":
        return _scaled(reading, b, alpha, a)
    if operation == "multiply":
        return _scaled(reading, b, a)
    raise UnsupportedError(f"it computes {operation} of a constant and a tensor.")


def _with_constant(operation: Operation, reading: Reading, a: Value, b: Any, alpha: float) -> Value:
    if operation in {"add", "subtract"}:
        return _scaled(reading, a, 1.0, (alpha if operation == "add" else -alpha) * b)
    if operation == "multiply":
        return _scaled(reading, a, b)
    if operation == "divide":
        return _scaled(reading, a, 1 / (b.double() if isinstance(b, Tensor) else b))
    raise UnsupportedError(f"it computes the {operation} of a tensor and constants; clamp takes numbers.")


def _of_two(operation: Operation, reading: Reading, a: Value, b: Value, alpha: float) -> Value:
    if operation in {"add", "subtract"} and alpha != 1:
        b = reading.add(Scale, b, shape=b.shape, scale=numbers_over(alpha, b.shape), shift=numbers_over(0, b.shape))
    if a.shape != reading.shape and b.shape == reading.shape and operation not in {"subtract", "divide"}:
        a, b = b, a
    found = pattern(b.shape, a.shape)
    if a.shape != reading.shape or found is None:
        raise UnsupportedError(f"it broadcasts {b.shape} over {a.shape}, in which the numbers do not lie together.")
    return reading.add(Arithmetic, a, b, operation=operation, inner=found[1])


def _negative(reading: Reading, x: Value) -> Value:
    return _scaled(reading, x, -1.0)


def _reversed_subtraction(reading: Reading, a: Any, b: Any, alpha: float = 1) -> Value:
    return _arithmetic("subtract", reading, b, a, alpha=alpha)


def _reshape(reading: Reading, x: Value, *_arguments: Any, **_options: Any) -> Value:
    if reading.shape == x.shape:
        return x
    if np.prod(reading.shape, dtype=int) != x.size:
        raise UnsupportedError("it mixes the batch with other dimensions, or repeats numbers.")
    return reading.add(Reshape, x)


def _transpose(reading: Reading, x: Value, *_arguments: Any) -> Value:
    if [n for n in x.shape if n != 1] == [n for n in reading.shape if n != 1] and len(set(x.shape) - {1}) == len(
        [n for n in x.shape if n != 1]
    ):
        return _reshape(reading, x)  # only dimensions of one element moved
    raise UnsupportedError("it moves dimensions, and tensors stay in row-major order, channels first.")


def _same(_reading: Reading, x: Value, *_arguments: Any, **_options: Any) -> Value:
    return x


def _dropout(_reading: Reading, x: Value, _p: float = 0.5, train: bool = False, **_options: Any) -> Value:
    if train:
        raise UnsupportedError("it draws random numbers, in eval mode too; give F.dropout training=self.training.")
    return x


def _narrow(reading: Reading, x: Value, dimension: int, start: int, length: int) -> Value:
    if length == x.shape[dimension]:
        return x
    shape = (*x.shape[:dimension], length, *x.shape[dimension + 1 :])
    return reading.add(Slice, x, shape=shape, dimension=dimension, start=start)


def _bounds(start: Any = None, end: Any = None, step: int = 1) -> tuple[Any, Any, int]:
    return start, end, step


def _slice(reading: Reading, x: Value, dim: int = 0, *bounds: Any, **named: Any) -> Value:
    start, end, step = _bounds(*bounds, **named)
    if dim == 0 and start in {None, 0} and end in {None, LARGEST_INDEX} and step == 1:
        return x
    dimension = x.dimension(dim)
    if step != 1:
        raise UnsupportedError(f"it takes every {step}th element; a pool or a convolution with that stride does.")
    first, last, _ = slice(start, end).indices(x.shape[dimension])
    return _narrow(reading, x, dimension, first, last - first)


def _slice_scatter(reading: Reading, x: Any, part: Any, dim: int = 0, *bounds: Any, **named: Any) -> Value:
    """Return a tensor in which a slice is replaced, what an operator in place on a slice does."""
    start, end, step = _bounds(*bounds, **named)
    if not isinstance(x, Value) or not isinstance(part, Value) or step != 1:
        raise UnsupportedError("it writes constants, or every nth element.")
    if part.shape == x.shape:
        return part
    dimension = x.dimension(dim)
    first, last, _ = slice(start, end).indices(x.shape[dimension])
    around = [(0, first), (last, x.shape[dimension] - last)]
    front, behind = ([_narrow(reading, x, dimension, at, n)] if n else [] for at, n in around)
    return reading.add(Concat, *front, part, *behind, dimension=dimension)


def _select(reading: Reading, x: Value, dim: int, index: int) -> Value:
    dimension = x.dimension(dim)
    part = _narrow(reading, x, dimension, index % x.shape[dimension], 1)
    return reading.add(Reshape, part)


def _chunk(reading: Reading, x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    size = x.shape[x.dimension(dim)]
    return _split(reading, x, -(-size // chunks), dim)


def _split(reading: Reading, x: Value, sizes: Any, dim: int = 0) -> tuple[Value, ...]:
    dimension = x.dimension(dim)
    length = x.shape[dimension]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    starts = np.cumsum([0, *sizes])
    return tuple(_narrow(reading, x, dimension, int(a), n) for a, n in zip(starts, sizes, strict=False))


def _getitem(_reading: Reading, values: Sequence[Any], index: int) -> Any:
    return values[index]


def _concat(reading: Reading, tensors: Sequence[Any], dim: int = 0) -> Value:
    if not all(isinstance(each, Value) for each in tensors):
        raise UnsupportedError("it joins constants and tensors.")
    return reading.add(Concat, *tensors, dimension=tensors[0].dimension(dim))


def _stack(reading: Reading, tensors: Sequence[Any], dim: int = 0) -> Value:
    dimension = dim + len(reading.shape) + 1 if dim < 0 else dim
    if dimension == 0 or not all(isinstance(each, Value) for each in tensors):
        raise UnsupportedError("it stacks constants, or along the batch.")
    shape = (*tensors[0].shape[: dimension - 1], 1, *tensors[0].shape[dimension - 1 :])
    parts = [reading.add(Reshape, each, shape=shape) for each in tensors]
    return reading.add(Concat, *parts, dimension=dimension - 1)


def _pad(reading: Reading, x: Value, pads: Sequence[int], mode: Any = "constant", value: Any = None) -> Value:
    number = mode if isinstance(mode, (int, float)) else value or 0.0  # constant_pad_nd has the value in its place
    if isinstance(mode, str) and mode != "constant":
        raise UnsupportedError(f"it pads by {mode!r}; a net pads with constants.")
    before = [0] * len(x.shape)
    cut = x
    if len(pads) // 2 > len(before):
        raise UnsupportedError("it pads the batch.")
    for i in range(len(pads) // 2):
        dimension = len(before) - 1 - i
        front, behind = pads[2 * i], pads[2 * i + 1]
        if front < 0 or behind < 0:
            start, size = max(-front, 0), cut.shape[dimension]
            cut = _narrow(reading, cut, dimension, start, size - start - max(-behind, 0))
        before[dimension] = max(front, 0)
    return cut if cut.shape == reading.shape else reading.add(Pad, cut, before=tuple(before), value=float(number))


def _softmax(reading: Reading, x: Value, dim: int, *_dtype: Any, log: bool = False, **_options: Any) -> Value:
    return reading.add(Softmax, x, dimension=x.dimension(dim), log=log)


def _argmax(reading: Reading, x: Value, dim: Any = None, *_arguments: Any, **_options: Any) -> Value:
    if dim is None:
        raise UnsupportedError("it takes the largest of the whole batch; give it a dimension.")
    return reading.add(ArgMax, x, dimension=x.dimension(dim))


OPERATORS: Mapping[str, Callable[..., Any]] = {
    **WINDOWED,
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "addmm": _addmm,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _folded_batch_norm,
    **{name: partial(_arithmetic, "add") for name in ("add",)},
    "sub": partial(_arithmetic, "subtract"),
    "subtract": partial(_arithmetic, "subtract"),
    "rsub": _reversed_subtraction,
    "mul": partial(_arithmetic, "multiply"),
    "multiply": partial(_arithmetic, "multiply"),
    "div": partial(_arithmetic, "divide"),
    "divide": partial(_arithmetic, "divide"),
    "true_divide": partial(_arithmetic, "divide"),
    "maximum": partial(_arithmetic, "maximum"),
    "minimum": partial(_arithmetic, "minimum"),
    "neg": _negative,
    **dict.fromkeys(
        ("flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "unflatten", "view_as", "reshape_as"),
        _reshape,
    ),
    **dict.fromkeys(("permute", "transpose", "movedim", "swapaxes"), _transpose),
    **dict.fromkeys(("contiguous", "clone", "alias", "detach", "lift_fresh_copy"), _same),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _same),  # other dtypes are refused by the shape of the result
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    "slice": _slice,
    "slice_scatter": _slice_scatter,
    "narrow": lambda reading, x, dim, start, length: _narrow(reading, x, x.dimension(dim), start, length),
    "select": _select,
    "chunk": _chunk,
    "split": _split,
    "split_with_sizes": _split,
    "getitem": _getitem,
    "cat": _concat,
    "concat": _concat,
    "stack": _stack,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "softmax": _softmax,
    "_softmax": _softmax,
    "log_softmax": partial(_softmax, log=True),
    "_log_softmax": partial(_softmax, log=True),
    "argmax": _argmax,
}
