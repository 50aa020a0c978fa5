"""Integer nets in Python's own integers, element by element, written from the definitions alone."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from actlab.export.integer import layers as whole
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.net import IntegerNet

LIMIT = 2**31


def int32(number: int) -> int:
    """Return a number that must fit 32 bits."""
    assert -LIMIT <= number < LIMIT, number
    return number


def value(code: Any, coding: Any) -> int:
    if isinstance(coding, Bits):
        return 1 if code else coding.low
    return int(code) - coding.zero if isinstance(coding, Codes) else int(code)


def finish(total: int, ending: Any, channel: int) -> Any:
    total = int32(total)
    entry = channel if isinstance(ending, whole.Requantize) and len(ending.multiplier) > 1 else 0
    if isinstance(ending, whole.Threshold):
        entry = channel if len(ending.value) > 1 else 0
        return (total >= int(ending.value[entry])) == bool(ending.above[entry])
    multiplier, shift = int(ending.multiplier[entry]), int(ending.shift[entry])
    assert 0 <= multiplier < LIMIT
    assert 1 <= shift <= 62
    wide = total * multiplier + 2 ** (shift - 1)
    assert -(2**63) <= wide < 2**63
    code = min(max((wide >> shift) + ending.zero, ending.low), ending.high)
    if ending.table is None:
        return code
    table = ending.table if ending.table.ndim == 1 else ending.table[channel]
    return int(table[code + 128])


def run(net: IntegerNet, codes: dict[str, Any]) -> dict[str, Any]:
    """Return all tensors of one example."""
    found = dict(codes)
    for layer in net.layers:
        inputs = [found[name] for name in layer.inputs]
        codings = [net.codings[name] for name in (*layer.inputs, layer.output)]
        shape = net.shapes[layer.output]
        values = {index: element(layer, inputs, codings, shape, index) for index in np.ndindex(*shape)}
        found[layer.output] = np.array([values[index] for index in np.ndindex(*shape)]).reshape(shape)
    return found


def element(layer: Any, inputs: Any, codings: Any, shape: Any, index: tuple[int, ...]) -> Any:  # noqa: PLR0912
    x = inputs[0]
    place = int(np.ravel_multi_index(index, shape)) if shape else 0
    match layer:
        case whole.Product(window=None):
            weights = layer.weight[index[-1]]
            terms = [int(w) * value(c, codings[0]) for w, c in zip(weights, x[index[:-1]], strict=True)]
            return finish(int(layer.bias[index[-1]]) + sum(terms), layer.ending, index[-1])
        case whole.Product():
            per_group = layer.weight.shape[1]
            first = index[0] // (shape[0] // layer.groups) * per_group
            total = int(layer.bias[index[0]])
            for offset, place_in in window(layer.window, index[1:], x.shape[1:]):
                for c in range(per_group):
                    total += int(layer.weight[(index[0], c, *offset)]) * value(x[(first + c, *place_in)], codings[0])
            return finish(total, layer.ending, index[0])
        case whole.Affine():
            n = place // layer.inner % len(layer.factor)
            total = int32(value(x[index], codings[0]) * int(layer.factor[n])) + int(layer.bias[n])
            return finish(total, layer.ending, 0)
        case whole.Lookup():
            table = layer.table if layer.table.ndim == 1 else layer.table[place // layer.inner % len(layer.table)]
            return table[int(x[index]) + 128]
        case whole.Combine() | whole.Multiply() | whole.Select():
            flat = inputs[1].reshape(-1)
            a, b = x[index], flat[place // layer.inner % len(flat)]
            if isinstance(layer, whole.Select):
                return max(a, b) if layer.kind == "maximum" else min(a, b)
            a, b = value(a, codings[0]), value(b, codings[1])
            if isinstance(layer, whole.Multiply):
                return finish(a * b, layer.ending, 0)
            assert max(map(abs, layer.factors)) <= 2**21
            total = int32(int32(a * layer.factors[0]) + int32(b * layer.factors[1]) + 2 ** (layer.shift - 1))
            return min(max((total >> layer.shift) + layer.zero, layer.low), layer.high)
        case whole.MaxPool():
            return max(x[(index[0], *place_in)] for _, place_in in window(layer.window, index[1:], x.shape[1:]))
        case whole.AveragePool():
            total = sum(
                value(x[(index[0], *place_in)], codings[0])
                for _, place_in in window(layer.window, index[1:], x.shape[1:])
            )
            return finish(total, layer.ending, divisor(layer, index[1:], x.shape[1:]) - 1)
        case whole.Reshape():
            return x.reshape(-1)[place]
        case whole.Slice():
            return x[tuple(i + (layer.start if d == layer.dimension else 0) for d, i in enumerate(index))]
        case whole.Concat():
            at = index[layer.dimension]
            for part in inputs:
                if at < part.shape[layer.dimension]:
                    return part[(*index[: layer.dimension], at, *index[layer.dimension + 1 :])]
                at -= part.shape[layer.dimension]
        case whole.Pad():
            inside = tuple(i - b for i, b in zip(index, layer.before, strict=True))
            is_in = all(0 <= i < n for i, n in zip(inside, x.shape, strict=True))
            return x[inside] if is_in else layer.code
        case whole.Softmax() | whole.ArgMax():
            line = np.moveaxis(x, layer.dimension, -1).reshape(-1, x.shape[layer.dimension])
            if isinstance(layer, whole.ArgMax):
                return max(range(line.shape[1]), key=lambda i: (line[place][i], -i))
            before = (*index[: layer.dimension], *index[layer.dimension + 1 :])
            others = (*shape[: layer.dimension], *shape[layer.dimension + 1 :])
            row = [int(c) for c in line[int(np.ravel_multi_index(before, others)) if others else 0]]
            powers = [int(layer.table[max(row) - c]) for c in row]
            total, e = sum(powers), powers[index[layer.dimension]]
            assert total < 2**32
            return min((e * 256 + total // 2) // total - 128, 127)
    raise TypeError(layer)


def window(window_: Any, index: tuple[int, ...], size: Any) -> Any:
    """Yield the elements of a window that are inside: where in the window, and where in the input."""
    for offset in product(*(range(n) for n in window_.size)):
        at = tuple(
            i * s - b + o * d
            for i, s, b, o, d in zip(index, window_.stride, window_.before, offset, window_.dilation, strict=True)
        )
        if all(0 <= a < n for a, n in zip(at, size, strict=True)):
            yield offset, at


def divisor(layer: Any, index: tuple[int, ...], size: Any) -> int:
    """Return by how many elements a mean divides."""
    counts, w = 1, layer.window
    for i, n, k, s, b, a in zip(index, size, w.size, w.stride, w.before, w.after, strict=True):
        if layer.counts_padding:
            counts *= min(i * s - b + k, n + a) - (i * s - b)
        else:
            counts *= min(i * s - b + k, n) - max(i * s - b, 0)
    return counts
