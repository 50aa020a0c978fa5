"""Layers of a net as calls of C99 kernels, with the constants that they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from actlab.codegen.c99 import CFunction, c_function
from actlab.errors import ExportError
from actlab.export.c99.text import array, literal
from actlab.export.net.arena import Plan
from actlab.export.net.layers import (
    Activation,
    ArgMax,
    Arithmetic,
    Concat,
    Conv,
    Dense,
    Layer,
    Numbers,
    Pad,
    Pool,
    Reshape,
    Scale,
    Slice,
    Softmax,
    Window,
)
from actlab.export.net.net import Net
from actlab.functions.spec import Spec

__all__ = ["Printed", "print_layer"]


@dataclass(kw_only=True)
class Printed:
    """What is printed of a net so far.

    Attributes:
        net: the layers.
        plan: where its tensors lie.
        pointers: C expressions of the caller's arrays, by kind and index.
        constants: definitions of arrays and records.
        functions: of activations, by spec.
        loops: functions of activation layers.
        kernels: names of those that are called.
    """

    net: Net
    plan: Plan
    pointers: dict[tuple[str, int], str]
    constants: list[str] = field(default_factory=list)
    functions: dict[Spec, CFunction] = field(default_factory=dict)
    loops: list[str] = field(default_factory=list)
    kernels: set[str] = field(default_factory=set)

    def pointer(self, tensor: str) -> str:
        """Return the C expression of a tensor's first element."""
        place = self.plan.places[tensor]
        if place.kind == "arena":
            return f"arena + {place.index}" if place.index else "arena"
        return self.pointers[place.kind, place.index]

    def constant(self, name: str, values: Any) -> str:
        """Define an array and return its name."""
        self.constants.append(array(name, values))
        return name

    def numbers(self, name: str, numbers: Numbers) -> str:
        """Define repeated numbers and return the name of their record."""
        self.kernels.add("numbers")
        values = self.constant(f"{name}_values", numbers.values)
        self.constants.append(
            f"static const struct numbers {name} = {{{values}, {len(numbers.values)}, {numbers.inner}}};"
        )
        return name

    def call(self, kernel: str, *arguments: object) -> str:
        """Return the call of a kernel."""
        self.kernels.add(kernel)
        return f"{kernel}({', '.join(map(str, arguments))});"

    def function(self, spec: Spec) -> CFunction:
        """Return the C function of an activation, one for each spec."""
        if spec not in self.functions:
            name = f"{spec.activation.name}_{len(self.functions)}"
            self.functions[spec] = c_function(spec, name)
        return self.functions[spec]


def print_layer(layer: Layer, name: str, printed: Printed) -> list[str]:
    """Return the C statements of a layer.

    Args:
        layer: one of the net's.
        name: prefix of its constants.
        printed: takes the constants.

    Raises:
        ExportError: there is no C99 form of it.
    """
    shapes = tuple(printed.net.shapes[each] for each in (*layer.inputs, layer.output))
    return _print(layer, name, printed, shapes)


Shapes = tuple[tuple[int, ...], ...]


@singledispatch
def _print(layer: Layer, _name: str, _printed: Printed, _shapes: Shapes) -> list[str]:
    raise ExportError(f"{type(layer).__name__} has no C99 form.")


@_print.register
def _dense(layer: Dense, name: str, printed: Printed, _shapes: Shapes) -> list[str]:
    outputs, inputs = layer.weight.shape
    weight, bias = printed.constant(f"{name}_weight", layer.weight), printed.constant(f"{name}_bias", layer.bias)
    rows = printed.net.size(layer.output) // outputs
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("dense", weight, bias, x, y, rows, inputs, outputs)]


@_print.register
def _conv(layer: Conv, name: str, printed: Printed, shapes: Shapes) -> list[str]:
    window = _window(layer.window, name, printed, shapes, layer.groups)
    weight, bias = printed.constant(f"{name}_weight", layer.weight), printed.constant(f"{name}_bias", layer.bias)
    return [printed.call("conv", window, weight, bias, printed.pointer(layer.inputs[0]), printed.pointer(layer.output))]


def _window(window: Window, name: str, printed: Printed, shapes: Shapes, groups: int) -> str:
    """Define the record of a window and return a pointer to it."""

    def two(values: Any, one: int) -> list[int]:
        return [one] * (2 - len(values)) + [int(value) for value in values]

    printed.kernels.add("window")
    rows = [
        (shapes[0][0], *two(shapes[0][1:], 1)),
        (shapes[-1][0], *two(shapes[-1][1:], 1)),
        two(window.size, 1),
        two(window.stride, 1),
        two(window.before, 0),
        two(window.dilation, 1),
        (groups,),
    ]
    text = ", ".join(str(number) for row in rows for number in row)
    printed.constants.append(f"static const struct window {name} = {{{text}}};")
    return f"&{name}"


@_print.register
def _pool(layer: Pool, name: str, printed: Printed, shapes: Shapes) -> list[str]:
    window = _window(layer.window, name, printed, shapes, 1)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    if layer.kind == "max":
        return [printed.call("max_pool", window, x, y)]
    return [printed.call("average_pool", window, x, y, int(layer.counts_padding))]


@_print.register
def _activation(layer: Activation, name: str, printed: Printed, shapes: Shapes) -> list[str]:
    function = printed.function(layer.spec)
    learned = [printed.numbers(f"{name}_{p}", n) for p, n in zip(function.parameters, layer.learned, strict=True)]
    numbers = [f"number({each}, i)" for each in learned]
    if learned:
        printed.kernels.add("number")
    pointers = [printed.pointer(each) for each in layer.inputs]
    y, size = printed.pointer(layer.output), printed.net.size(layer.output)
    if layer.split is not None:
        half = int(np.prod(shapes[-1][layer.split :], dtype=int))
        first = f"i / {half} * {2 * half} + i % {half}" if half != size else "i"
        second = f"{first} + {half}"
        gate, value = (first, second) if layer.gate_first else (second, first)
        inputs = [f"x[{gate}]", f"x[{value}]"]
        parameters = "const float *x"
    elif len(pointers) == 2:
        inputs, parameters = ["gate[i]", "value[i]"], "const float *gate, const float *value"
    else:
        inputs, parameters = ["x[i]"], "const float *x"
    call = f"{function.name}({', '.join([*inputs, *numbers])})"
    printed.loops.append(
        f"static void {name}({parameters}, float *y)\n{{\n    for (int32_t i = 0; i < {size}; ++i)\n        y[i] = {call};\n}}"
    )
    return [f"{name}({', '.join([*pointers, y])});"]


@_print.register
def _scale(layer: Scale, name: str, printed: Printed, _shapes: Shapes) -> list[str]:
    factors, summands = (
        printed.numbers(f"{name}_factors", layer.scale),
        printed.numbers(f"{name}_summands", layer.shift),
    )
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("scale", factors, summands, x, y, printed.net.size(layer.output))]


@_print.register
def _arithmetic(layer: Arithmetic, name: str, printed: Printed, _shapes: Shapes) -> list[str]:
    a, b = (printed.pointer(each) for each in layer.inputs)
    count, size = printed.net.size(layer.inputs[1]), printed.net.size(layer.output)
    printed.kernels.add("numbers")
    other = f"const struct numbers {name} = {{{b}, {count}, {layer.inner}}};"
    return [other, printed.call(layer.operation, a, name, printed.pointer(layer.output), size)]


@_print.register
def _reshape(layer: Reshape, _name: str, printed: Printed, _shapes: Shapes) -> list[str]:
    if printed.plan.in_place(layer):
        return []
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("copy", x, y, printed.net.size(layer.output))]


def _blocks(shape: tuple[int, ...], dimension: int) -> tuple[int, int]:
    """Return the number of blocks along which a tensor is cut in one dimension, and the size of each."""
    return int(np.prod(shape[:dimension], dtype=int)), int(np.prod(shape[dimension:], dtype=int))


@_print.register
def _slice(layer: Slice, _name: str, printed: Printed, shapes: Shapes) -> list[str]:
    blocks, length = _blocks(shapes[-1], layer.dimension)
    step = _blocks(shapes[0], layer.dimension)[1]
    start = layer.start * _blocks(shapes[0], layer.dimension + 1)[1]
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("copy_blocks", f"{x} + {start}", y, blocks, length, step, length)]


@_print.register
def _concat(layer: Concat, _name: str, printed: Printed, shapes: Shapes) -> list[str]:
    step, start, calls = _blocks(shapes[-1], layer.dimension)[1], 0, []
    y = printed.pointer(layer.output)
    for name, shape in zip(layer.inputs, shapes, strict=False):
        blocks, length = _blocks(shape, layer.dimension)
        calls.append(printed.call("copy_blocks", printed.pointer(name), f"{y} + {start}", blocks, length, length, step))
        start += length
    return calls


@_print.register
def _pad(layer: Pad, name: str, printed: Printed, shapes: Shapes) -> list[str]:
    if len(shapes[0]) > 3:
        raise ExportError(f"{layer.name} pads a tensor of {len(shapes[0])} dimensions; in C99 there are at most three.")
    missing = 3 - len(shapes[0])
    rows = {
        "in": (1,) * missing + shapes[0],
        "out": (1,) * missing + shapes[-1],
        "before": (0,) * missing + layer.before,
    }
    for kind, row in rows.items():
        printed.constants.append(array(f"{name}_{kind}", np.array(row), kind="int32_t"))
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("pad", x, y, f"{name}_in", f"{name}_out", f"{name}_before", literal(layer.value))]


@_print.register
def _softmax(layer: Softmax, _name: str, printed: Printed, shapes: Shapes) -> list[str]:
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("softmax", x, y, *_along(shapes[0], layer.dimension), int(layer.log))]


@_print.register
def _argmax(layer: ArgMax, _name: str, printed: Printed, shapes: Shapes) -> list[str]:
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("argmax", x, y, *_along(shapes[0], layer.dimension))]


def _along(shape: tuple[int, ...], dimension: int) -> tuple[int, int, int]:
    """Return the number of elements before, along and behind a dimension."""
    inner = _blocks(shape, dimension + 1)[1]
    return _blocks(shape, dimension)[0], shape[dimension], inner
