"""Dense layers and convolutions of codes with int8 weights as calls of C kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.export.c99.integer.cmsis_nn import check_ending
from actlab.export.c99.integer.endings import finish_of, print_ending, row_bytes
from actlab.export.c99.integer.printed import Printed, prints
from actlab.export.integer.coding import Codes
from actlab.export.integer.layers import Product
from actlab.export.integer.net import IntegerNet
from actlab.export.net.layers import Window

__all__ = ["is_depthwise", "reads_codes", "window_fields"]


def reads_codes(layer: Any, net: IntegerNet) -> bool:
    """Whether a layer reads 8-bit codes."""
    codings = [net.codings[name] for name in layer.inputs]
    return all(isinstance(coding, Codes) and coding.width == 8 for coding in codings)


def is_depthwise(layer: Product) -> bool:
    """Whether each channel is convolved with one window of its own."""
    return layer.window is not None and layer.groups == len(layer.weight) and layer.weight.shape[-1] == 1


def is_pointwise(layer: Product) -> bool:
    """Whether a convolution is a dense layer at each position."""
    window = layer.window
    if window is None or layer.groups > 1:
        return window is None
    ones = (1,) * len(window.size)
    return window.size == ones and window.stride == ones and not any((*window.before, *window.after))


def _applies(layer: Product, net: IntegerNet) -> bool:
    return reads_codes(layer, net)


def _scratch(layer: Product, _net: IntegerNet) -> int:
    """Return the words of the codes below a window."""
    if is_pointwise(layer):
        return 0
    groups = layer.groups if is_depthwise(layer) else 1
    return -(-groups * int(np.prod(layer.weight.shape[1:], dtype=int)) // 4)


@prints(Product, _applies, _scratch)
def _print(layer: Product, name: str, printed: Printed) -> list[str]:
    coding = printed.net.codings[layer.inputs[0]]
    assert isinstance(coding, Codes)  # noqa: S101 # what the form applies to
    outputs = len(layer.weight)
    weight = layer.weight.reshape(outputs, -1)
    bias = layer.bias.astype(np.int64) - coding.zero * weight.astype(np.int64).sum(1)
    is_dense = layer.window is None or is_pointwise(layer)
    inputs = weight.shape[1] if is_dense else -(-weight.shape[1] // 4) * 4
    product = printed.record(
        "product",
        f"{name}_product",
        {
            "weight": _constant(layer, weight, inputs, name, printed),
            "bias": printed.constant(f"{name}_bias", bias, "int32_t"),
            "ending": print_ending(layer, layer.ending, name, printed),
            "inputs": inputs,
            "outputs": outputs,
            "row": row_bytes(outputs, printed.net.codings[layer.output]),
        },
    )
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    if layer.window is None or is_dense:
        rows = int(np.prod(printed.net.shapes[layer.output], dtype=int)) // outputs
        return [printed.call("dense", product, x, y, rows)]
    kernel = "depthwise" if is_depthwise(layer) else "conv"
    fields = window_fields(layer.window, layer, printed.net) | {"groups": layer.groups, "zero": coding.zero}
    window = printed.record("window", f"{name}_window", fields)
    return [printed.call(kernel, window, product, x, printed.scratch(layer), y)]


def _constant(layer: Product, weight: Any, inputs: int, name: str, printed: Printed) -> str:
    values = _weights(layer, weight)
    if is_depthwise(layer):
        return printed.constant(f"{name}_weight", values)
    if printed.cmsis_nn:
        check_ending(finish_of(layer, layer.ending, printed.net))
    return printed.weights(f"{name}_weight", values, np.pad(weight, [(0, 0), (0, inputs - weight.shape[1])]))


def _weights(layer: Product, weight: Any) -> Any:
    """Return weights in the order in which the kernels read them: fours of outputs, then the rest."""
    if is_depthwise(layer):
        return np.concatenate([part.T.reshape(-1) for part in _fours(weight)])
    filled = np.pad(weight, [(0, 0), (0, -weight.shape[1] % 4)])
    size = len(weight) // layer.groups
    parts = [part for start in range(0, len(weight), size) for part in _fours(filled[start : start + size])]
    return np.concatenate([part.reshape(len(part), -1, 4).swapaxes(0, 1).reshape(-1) for part in parts])


def _fours(rows: Any) -> list[Any]:
    """Return rows four by four, and what is left one by one."""
    end = len(rows) // 4 * 4
    return [rows[i : i + 4] for i in range(0, end, 4)] + [rows[i : i + 1] for i in range(end, len(rows))]


def window_fields(window: Window, layer: Any, net: IntegerNet) -> dict[str, object]:
    """Return the fields of a window's record; a window of one dimension is a row."""

    def two(values: Any, one: int) -> list[int]:
        return [one] * (2 - len(values)) + [int(value) for value in values]

    found: dict[str, object] = {}
    for where, tensor in (("in", layer.inputs[0]), ("out", layer.output)):
        *positions, channels = net.shapes[tensor]
        rows, columns = two(positions, 1)
        found |= {f"{where}_rows": rows, f"{where}_columns": columns, f"{where}_channels": channels}
    for names, values in {
        ("rows", "columns"): two(window.size, 1),
        ("row_stride", "column_stride"): two(window.stride, 1),
        ("top", "left"): two(window.before, 0),
        ("bottom", "right"): two(window.after, 0),
        ("row_dilation", "column_dilation"): two(window.dilation, 1),
    }.items():
        found |= dict(zip(names, values, strict=True))
    return found
