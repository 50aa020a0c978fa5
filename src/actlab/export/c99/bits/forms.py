"""Layers of bits as calls of C kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from actlab.export.c99.bits.columns import Sums, bit_columns, byte_rows, inside_of, pack_bits
from actlab.export.c99.integer.endings import print_ending, row_bytes
from actlab.export.c99.integer.printed import Printed, prints
from actlab.export.c99.integer.products import is_pointwise, window_fields
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import MaxPool, Product, Reshape, Threshold
from actlab.export.integer.net import IntegerNet

__all__ = ["KERNELS", "is_of_one_code"]

KERNELS: Final = Path(__file__).with_name("kernels.c")
FEW_OUTPUTS = 16  # half of the lanes of a word would be empty
LONG_SUM, MANY_OUTPUTS = 8, 24  # from which on bits of codes cost fewer instructions than products of codes
MOST_ROWS = 2**16 - 2


def _reads_bits(layer: Any, net: IntegerNet) -> bool:
    return all(isinstance(net.codings[name], Bits) for name in layer.inputs)


def _makes_bits(layer: Any, net: IntegerNet) -> bool:
    return isinstance(net.codings[layer.output], Bits)


def _is_ternary(layer: Product) -> bool:
    return bool((np.abs(layer.weight) <= 1).all())


def _rows(layer: Product) -> int:
    """Return the number of inputs of a sum, those of all groups."""
    return layer.groups * int(np.prod(layer.weight.shape[1:], dtype=int))


def _is_few(layer: Product, net: IntegerNet) -> bool:
    return _reads_bits(layer, net) and _is_ternary(layer) and layer.window is None and len(layer.weight) <= FEW_OUTPUTS


def _is_in_columns(layer: Product, net: IntegerNet) -> bool:
    fits = _is_ternary(layer) and _rows(layer) <= MOST_ROWS
    return fits and _reads_bits(layer, net) and not _is_few(layer, net)


def _is_in_bytes(layer: Product, net: IntegerNet) -> bool:
    return _reads_bits(layer, net) and not _is_ternary(layer) and _rows(layer) <= MOST_ROWS


def is_of_one_code(layer: Product, net: IntegerNet) -> bool:
    """Whether bits depend on one code each."""
    is_one = layer.groups == 1 and layer.weight[0].size == 1 and is_pointwise(layer)
    return is_one and isinstance(net.codings[layer.inputs[0]], Codes) and isinstance(layer.ending, Threshold)


def _is_of_bit_planes(layer: Product, net: IntegerNet) -> bool:
    """Whether codes are added up bit by bit: weights of -1 and 1, long sums and enough outputs."""
    coding = net.codings[layer.inputs[0]]
    is_long = LONG_SUM <= layer.weight[0].size <= MOST_ROWS and len(layer.weight) >= MANY_OUTPUTS
    return (
        isinstance(coding, Codes)
        and coding.width == 8
        and layer.groups == 1
        and is_long
        and bool((np.abs(layer.weight) == 1).all())
    )


def _spread(layer: Product) -> Any:
    """Return the weights of shape (out, rows), with zeros for inputs of other groups."""
    if layer.groups == 1:
        return layer.weight.reshape(len(layer.weight), -1).astype(np.int64)
    *window, channels = layer.weight.shape[1:]
    size = len(layer.weight) // layer.groups
    spread = np.zeros((len(layer.weight), *window, layer.groups * channels), np.int64)
    for group in range(layer.groups):
        outputs, inputs = (slice(group * n, (group + 1) * n) for n in (size, channels))
        spread[outputs, ..., inputs] = layer.weight[outputs]
    return spread.reshape(len(spread), -1)


def _sums(layer: Product, name: str, printed: Printed) -> tuple[Sums, str]:
    """Return what a layer adds up, and the C expression of its places."""
    weight, bias = _spread(layer), layer.bias.astype(np.int64)
    coding = printed.net.codings[layer.inputs[0]]
    if isinstance(coding, Codes):
        constants = bias - (coding.zero + 128) * weight.sum(1)
        return Sums(weight=weight, constants=constants[None], largest=255), "0"
    if not isinstance(coding, Bits) or coding.low == 0:
        sums = Sums(weight=weight, constants=bias[None])
        return sums if layer.window else sums.with_complement(), "0"
    if layer.window is None:
        return Sums(weight=weight, constants=bias[None] - weight.sum(1), factor=2).with_complement(), "0"
    shapes = [printed.net.shapes[each][:-1] for each in (layer.inputs[0], layer.output)]
    kinds, inside = inside_of(layer.window, *shapes)
    by_element = weight.reshape(len(weight), inside.shape[1], -1).sum(2)
    sums = Sums(weight=weight, constants=bias - inside.astype(np.int64) @ by_element.T, factor=2)
    if len(inside) == 1:
        return sums, "0"
    rows, columns = kinds if len(kinds) == 2 else ([0], kinds[0])
    fields = {
        "rows": printed.constant(f"{name}_row_kinds", np.array(rows), "uint8_t"),
        "columns": printed.constant(f"{name}_column_kinds", np.array(columns), "uint8_t"),
        "column_kinds": max(columns) + 1,
    }
    return sums, printed.record("places", f"{name}_places", fields)


def _window(layer: Product, name: str, printed: Printed) -> str:
    """Define the record of a window; that of a dense layer is one row of its inputs, or the pixels of a flattened picture."""
    net = printed.net
    if layer.window is not None:
        coding = net.codings[layer.inputs[0]]
        zero = coding.zero if isinstance(coding, Codes) else 0
        return printed.record(
            "window", f"{name}_window", window_fields(layer.window, layer, net) | {"groups": 1, "zero": zero}
        )
    outputs, inputs = layer.weight.shape
    rows, channels = int(np.prod(net.shapes[layer.output], dtype=int)) // outputs, _row_length(layer, net)
    parts = inputs // channels
    ones = ("in_rows", "out_rows", "rows", "row_stride", "row_dilation", "column_dilation", "groups")
    fields: dict[str, object] = dict.fromkeys(ones, 1)
    fields |= {"in_columns": rows * parts, "in_channels": channels, "columns": parts, "column_stride": parts}
    return printed.record("window", f"{name}_window", fields | {"out_columns": rows, "out_channels": outputs})


def _counted(layer: Product, net: IntegerNet) -> int:
    """Return the words of inputs that a dense layer counts."""
    if layer.window is not None or not isinstance(net.codings[layer.inputs[0]], Bits):
        return 0
    length = _row_length(layer, net)
    return int(layer.weight.shape[1]) // length * -(-length // 32)


def _row_length(layer: Product, net: IntegerNet) -> int:
    """Return how many inputs of a dense layer are neighbours in memory; a flattened picture of bits has a row for each pixel."""
    shape = net.shapes[layer.inputs[0]]
    is_flat = len(net.shapes[layer.output]) == 1 and isinstance(net.codings[layer.inputs[0]], Bits)
    return shape[-1] if is_flat and shape else int(layer.weight.shape[1])


@prints(Product, is_of_one_code, first=True)
def _levels(layer: Product, name: str, printed: Printed) -> list[str]:
    coding, ending = printed.net.codings[layer.inputs[0]], layer.ending
    assert isinstance(coding, Codes)  # noqa: S101 # what the form applies to
    assert isinstance(ending, Threshold)  # noqa: S101 # likewise
    codes = np.arange(-128, 128)
    weight = layer.weight.reshape(-1, 1).astype(np.int64)
    sums = layer.bias.astype(np.int64)[:, None] + weight * (codes - coding.zero)
    bits = (sums >= ending.value.astype(np.int64).reshape(-1, 1)) == ending.above.reshape(-1, 1)
    flipped = bits[:, 0]  # of the lowest code
    level = (bits == flipped[:, None]).sum(1) - 128
    outputs = len(weight)
    words = printed.constant(f"{name}_flipped", pack_bits(flipped), "uint32_t")
    shape = printed.net.shapes[layer.output]
    count = int(np.prod(shape, dtype=int)) // outputs
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    levels = printed.constant(f"{name}_level", level, "int32_t")
    return [printed.call("levels_of_codes", levels, words, outputs, x, y, count, shape[-1])]


@prints(Product, _is_few)
def _few(layer: Product, name: str, printed: Printed) -> list[str]:
    coding, weight = printed.net.codings[layer.inputs[0]], layer.weight.astype(np.int64)
    is_signed = isinstance(coding, Bits) and coding.low == -1
    agreeing = (weight != 0).sum(1) if is_signed else (weight == 1).sum(1)  # the sum where no input differs
    outputs = len(weight)
    by_row = weight.reshape(outputs, -1, _row_length(layer, printed.net))
    mask = "0" if (weight != 0).all() else printed.constant(f"{name}_mask", pack_bits(by_row != 0), "uint32_t")
    signs = pack_bits(by_row == 1)
    fields = {
        "sign": printed.constant(f"{name}_sign", signs, "uint32_t"),
        "mask": mask,
        "constants": printed.constant(f"{name}_constants", layer.bias + agreeing, "int32_t"),
        "ending": print_ending(layer, layer.ending, name, printed),
        "words": signs[0].size,
        "outputs": outputs,
        "factor": 1 + is_signed,
        "row": row_bytes(outputs, printed.net.codings[layer.output]),
    }
    rows = int(np.prod(printed.net.shapes[layer.output], dtype=int)) // outputs
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("signs_of_bits", printed.record("signs", f"{name}_signs", fields), x, y, rows)]


def _columns_scratch(layer: Product, net: IntegerNet) -> int:
    """Return the words of the slices and of the list of rows, and of the codes below a window."""
    is_of_codes = isinstance(net.codings[layer.inputs[0]], Codes)
    ending = layer.ending if isinstance(layer.ending, Threshold) else None
    rows = _rows(layer)
    sums = Sums(weight=_spread(layer), constants=layer.bias[None], largest=255 if is_of_codes else 1)
    slices = bit_columns(sums, ending).levels * -(-len(layer.weight) // 32)
    gathered = -(-rows // 4) if is_of_codes and not is_pointwise(layer) else 0
    return slices + (rows + 8) // 2 + gathered


@prints(Product, _is_of_bit_planes, _columns_scratch, first=True)
@prints(Product, _is_in_columns, _columns_scratch)
def _columns(layer: Product, name: str, printed: Printed) -> list[str]:
    window, (sums, places) = _window(layer, name, printed), _sums(layer, name, printed)
    outputs, rows = sums.weight.shape
    thresholds = layer.ending if isinstance(layer.ending, Threshold) else None
    columns = bit_columns(sums, thresholds)
    words, planes, _ = columns.weight.shape
    fields: dict[str, object] = {
        "weight": printed.constant(f"{name}_weight", columns.weight, "uint32_t"),
        "places": places,
        "rows": rows,
        "words": words,
        "planes": planes,
        "levels": columns.levels,
        "first": columns.first,
        "bound": columns.bound,
        "counted": _counted(layer, printed.net),
        "factor": sums.factor,
        "outputs": outputs,
        "row": row_bytes(outputs, printed.net.codings[layer.output]),
    }
    if columns.start is not None:
        finish = "columns_to_bits"
        fields["start"] = printed.constant(f"{name}_start", columns.start, "uint32_t")
    else:
        finish = "columns_to_sums"
        fields["constants"] = printed.constant(f"{name}_constants", sums.constants, "int32_t")
        fields["ending"] = print_ending(layer, layer.ending, name, printed)
    printed.kernels.add(finish)
    record = printed.record("columns", f"{name}_columns", {"finish": finish, **fields})
    x, y, scratch = printed.pointer(layer.inputs[0]), printed.pointer(layer.output), printed.scratch(layer, "uint32_t")
    kernel = "columns_of_bits" if _reads_bits(layer, printed.net) else "columns_of_codes"
    return [printed.call(kernel, window, record, x, scratch, y)]


@prints(Product, _is_in_bytes, lambda layer, _net: _rows(layer) // 2 + 2)
def _bytes(layer: Product, name: str, printed: Printed) -> list[str]:
    window, (sums, places) = _window(layer, name, printed), _sums(layer, name, printed)
    outputs, rows = sums.weight.shape
    fields = {
        "weight": printed.constant(f"{name}_weight", byte_rows(sums.weight), "uint32_t"),
        "constants": printed.constant(f"{name}_constants", sums.constants, "int32_t"),
        "ending": print_ending(layer, layer.ending, name, printed),
        "places": places,
        "rows": rows,
        "outputs": outputs,
        "factor": sums.factor,
        "counted": _counted(layer, printed.net),
        "row": row_bytes(outputs, printed.net.codings[layer.output]),
    }
    x, y, scratch = printed.pointer(layer.inputs[0]), printed.pointer(layer.output), printed.scratch(layer, "uint32_t")
    record = printed.record("byte_rows", f"{name}_bytes", fields)
    return [printed.call("bytes_of_bits", window, record, x, scratch, y)]


@prints(MaxPool, _reads_bits)
def _max_pool(layer: MaxPool, name: str, printed: Printed) -> list[str]:
    window = printed.record("window", name, window_fields(layer.window, layer, printed.net))
    return [printed.call("max_pool_of_bits", window, printed.pointer(layer.inputs[0]), printed.pointer(layer.output))]


@prints(Reshape, _reads_bits)
def _reshape(layer: Reshape, _name: str, printed: Printed) -> list[str]:
    if printed.plan.in_place(layer):
        return []
    shape, new = (printed.net.shapes[name] for name in (layer.inputs[0], layer.output))
    length, new_length = (each[-1] if each else 1 for each in (shape, new))
    rows = int(np.prod(shape, dtype=int)) // max(length, 1)
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("repack", x, y, rows, length, new_length)]
