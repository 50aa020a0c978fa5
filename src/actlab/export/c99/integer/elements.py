"""Elementwise layers, pools and copies of codes as calls of C kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.c99.integer.endings import ends_in_codes, print_codes_ending, print_ending
from actlab.export.c99.integer.memory_order import Transpose
from actlab.export.c99.integer.printed import WIDTHS, Printed, c_type, prints
from actlab.export.c99.integer.products import reads_codes, window_fields
from actlab.export.c99.text import array
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import (
    Affine,
    ArgMax,
    AveragePool,
    Combine,
    Concat,
    Lookup,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
    Select,
    Slice,
    Softmax,
)
from actlab.export.integer.net import IntegerNet

__all__ = ["is_of_codes", "size_of"]


def is_of_codes(layer: Any, net: IntegerNet) -> bool:
    """Whether a layer makes codes of 8-bit codes."""
    return reads_codes(layer, net) and ends_in_codes(layer, net)


def _is_of_numbers(layer: Any, net: IntegerNet) -> bool:
    """Whether no tensor of a layer is packed bits."""
    return not any(isinstance(net.codings[name], Bits) for name in (*layer.inputs, layer.output))


def size_of(printed: Printed, tensor: str) -> int:
    """Return the number of elements of a tensor."""
    return int(np.prod(printed.net.shapes[tensor], dtype=int))


def _zero(printed: Printed, tensor: str) -> int:
    coding = printed.net.codings[tensor]
    return coding.zero if isinstance(coding, Codes) else 0


def _width(printed: Printed, tensor: str) -> int:
    return WIDTHS[c_type(printed.net.codings[tensor])]


@prints(Lookup, is_of_codes)
def _lookup(layer: Lookup, name: str, printed: Printed) -> list[str]:
    count = layer.table.size // 256
    table = printed.constant(f"{name}_table", layer.table)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("lookup", table, count, layer.inner, x, y, size_of(printed, layer.output))]


def _reads_numbers(layer: Affine, net: IntegerNet) -> bool:
    return isinstance(net.codings[layer.inputs[0]], Codes)


@prints(Affine, _reads_numbers)
def _affine(layer: Affine, name: str, printed: Printed) -> list[str]:
    factor = printed.constant(f"{name}_factor", layer.factor, "int32_t")
    bias = printed.constant(f"{name}_bias", layer.bias, "int32_t")
    ending = print_ending(layer, layer.ending, name, printed)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    zero, size = _zero(printed, layer.inputs[0]), size_of(printed, layer.output)
    kernel = "affine" if _width(printed, layer.inputs[0]) == 1 else "affine_of_long"
    return [printed.call(kernel, factor, bias, len(layer.factor), layer.inner, zero, ending, x, y, size)]


def _two(layer: Combine | Multiply | Select, name: str, printed: Printed, **values: object) -> str:
    count = size_of(printed, layer.inputs[1])
    zeros = {f"zero_{letter}": _zero(printed, each) for letter, each in zip("ab", layer.inputs, strict=True)}
    return printed.record("two", name, {"count": count, "inner": layer.inner, **zeros, **values})


@prints(Combine, is_of_codes)
def _combine(layer: Combine, name: str, printed: Printed) -> list[str]:
    numbers = {"shift": layer.shift, "zero": layer.zero, "low": layer.low, "high": layer.high}
    two = _two(layer, name, printed, factor_a=layer.factors[0], factor_b=layer.factors[1], **numbers)
    a, b = (printed.pointer(each) for each in layer.inputs)
    return [printed.call("combine", two, a, b, printed.pointer(layer.output), size_of(printed, layer.output))]


@prints(Multiply, reads_codes)
def _multiply(layer: Multiply, name: str, printed: Printed) -> list[str]:
    ending = print_ending(layer, layer.ending, name, printed)
    two = _two(layer, name, printed)
    a, b = (printed.pointer(each) for each in layer.inputs)
    return [printed.call("multiply", two, ending, a, b, printed.pointer(layer.output), size_of(printed, layer.output))]


@prints(Select, is_of_codes)
def _select(layer: Select, name: str, printed: Printed) -> list[str]:
    two = _two(layer, name, printed)
    a, b = (printed.pointer(each) for each in layer.inputs)
    return [printed.call(layer.kind, two, a, b, printed.pointer(layer.output), size_of(printed, layer.output))]


@prints(MaxPool, is_of_codes)
def _max_pool(layer: MaxPool, name: str, printed: Printed) -> list[str]:
    window = printed.record("window", name, window_fields(layer.window, layer, printed.net))
    return [printed.call("max_pool", window, printed.pointer(layer.inputs[0]), printed.pointer(layer.output))]


@prints(AveragePool, is_of_codes)
def _average_pool(layer: AveragePool, name: str, printed: Printed) -> list[str]:
    fields = {**window_fields(layer.window, layer, printed.net), "zero": _zero(printed, layer.inputs[0])}
    window = printed.record("window", name, fields)
    ending = print_codes_ending(layer, layer.ending, name, printed, by_channel=False)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("average_pool", window, ending, x, y, int(layer.counts_padding))]


@prints(Reshape, _is_of_numbers)
def _reshape(layer: Reshape, _name: str, printed: Printed) -> list[str]:
    if printed.plan.in_place(layer):
        return []
    size = size_of(printed, layer.output) * _width(printed, layer.output)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("copy_blocks", x, y, 1, size, size, size)]


@prints(Transpose, _is_of_numbers)
def _transpose(layer: Transpose, _name: str, printed: Printed) -> list[str]:
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("transpose", x, y, layer.rows, layer.columns, _width(printed, layer.output))]


def _blocks(shape: tuple[int, ...], dimension: int) -> tuple[int, int]:
    """Return the number of blocks along which a tensor is cut in one dimension, and the size of each."""
    return int(np.prod(shape[:dimension], dtype=int)), int(np.prod(shape[dimension:], dtype=int))


def _moved(pointer: str, elements: int) -> str:
    return f"{pointer} + {elements}" if elements else pointer


@prints(Slice, _is_of_numbers)
def _slice(layer: Slice, _name: str, printed: Printed) -> list[str]:
    width, shape = _width(printed, layer.output), printed.net.shapes[layer.inputs[0]]
    blocks, length = _blocks(printed.net.shapes[layer.output], layer.dimension)
    step = _blocks(shape, layer.dimension)[1]
    x = _moved(printed.pointer(layer.inputs[0]), layer.start * _blocks(shape, layer.dimension + 1)[1])
    y = printed.pointer(layer.output)
    return [printed.call("copy_blocks", x, y, blocks, width * length, width * step, width * length)]


@prints(Concat, _is_of_numbers)
def _concat(layer: Concat, _name: str, printed: Printed) -> list[str]:
    width, start, calls = _width(printed, layer.output), 0, []
    step = _blocks(printed.net.shapes[layer.output], layer.dimension)[1]
    for name in layer.inputs:
        blocks, length = _blocks(printed.net.shapes[name], layer.dimension)
        x, y = printed.pointer(name), _moved(printed.pointer(layer.output), start)
        calls.append(printed.call("copy_blocks", x, y, blocks, width * length, width * length, width * step))
        start += length
    return calls


@prints(Pad, is_of_codes)
def _pad(layer: Pad, name: str, printed: Printed) -> list[str]:
    shapes = printed.net.shapes[layer.inputs[0]], printed.net.shapes[layer.output]
    missing = 3 - len(shapes[0])
    if missing < 0:
        raise ExportError(f"{layer.name} pads a tensor of {len(shapes[0])} dimensions; in C99 there are at most three.")
    rows = {
        "in": (1,) * missing + shapes[0],
        "out": (1,) * missing + shapes[1],
        "before": (0,) * missing + layer.before,
    }
    for kind, row in rows.items():
        printed.constants.append(array(f"{name}_{kind}", np.array(row), kind="int32_t"))
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("pad", x, y, *(f"{name}_{kind}" for kind in rows), layer.code)]


def _along(shape: tuple[int, ...], dimension: int) -> tuple[int, int, int]:
    """Return the number of elements before, along and behind a dimension."""
    inner = _blocks(shape, dimension + 1)[1]
    return _blocks(shape, dimension)[0], shape[dimension], inner


@prints(Softmax, is_of_codes)
def _softmax(layer: Softmax, name: str, printed: Printed) -> list[str]:
    table = printed.constant(f"{name}_table", layer.table, "int32_t")
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("softmax", table, x, y, *_along(printed.net.shapes[layer.inputs[0]], layer.dimension))]


@prints(ArgMax, _is_of_numbers)
def _argmax(layer: ArgMax, _name: str, printed: Printed) -> list[str]:
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    kernel = "argmax" if _width(printed, layer.inputs[0]) == 1 else "argmax_of_long"
    return [printed.call(kernel, x, y, *_along(printed.net.shapes[layer.inputs[0]], layer.dimension))]
