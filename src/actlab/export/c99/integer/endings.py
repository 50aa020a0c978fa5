"""Endings of layers as C records, from int32 sums to codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.c99.integer.printed import Printed
from actlab.export.integer.coding import Codes, Coding
from actlab.export.integer.layers import Ending, IntegerLayer, Requantize
from actlab.export.integer.net import IntegerNet

__all__ = ["ends_in_codes", "finish_of", "print_codes_ending", "print_ending", "row_bytes"]


SHORT = frozenset({"to_codes", "to_table"})  # kernels of shifts above 32


def ends_in_codes(layer: Any, printed_net: Any) -> bool:
    """Whether a layer's ending makes codes."""
    return isinstance(printed_net.codings[layer.output], Codes)


def row_bytes(outputs: int, coding: Coding) -> int:
    """Return the bytes of a row of codes or bits."""
    return outputs * coding.width // 8 if isinstance(coding, Codes) else 4 * -(-outputs // 32)


def finish_of(layer: IntegerLayer, ending: Ending, net: IntegerNet) -> str:
    """Return the name of the kernel that computes an ending."""
    if not isinstance(ending, Requantize):
        return "to_bits"
    coding = net.codings[layer.output]
    if isinstance(coding, Codes) and coding.width == 32:
        return "to_long_codes"
    _, shift = normalised(ending.multiplier, ending.shift)
    tables = ending.table is not None and ending.table.size > 256
    if tables or shift.min() <= 32 or abs(ending.zero) >= 2**20:
        return "to_any_codes"
    return "to_codes" if ending.table is None else "to_table"


def print_codes_ending(
    layer: IntegerLayer, ending: Ending, name: str, printed: Printed, *, by_channel: bool = True
) -> str:
    """Define the record of an ending that makes codes, and return a pointer to it.

    Args:
        layer: whose output it makes.
        ending: of the layer.
        name: prefix of the constants.
        printed: takes them.
        by_channel: whether several numbers are those of the channels, and not of the divisors of a mean.

    Raises:
        ExportError: the ending makes bits.
    """
    if not isinstance(ending, Requantize):
        raise ExportError(f"{layer.name} ends in thresholds; this kernel makes codes.")
    multiplier, shift = normalised(ending.multiplier, ending.shift)
    tables = ending.table is not None and ending.table.size > 256
    finish = finish_of(layer, ending, printed.net)
    printed.kernels.add(finish)
    step = int(by_channel and len(multiplier) > 1)
    values: dict[str, object] = {
        "finish": finish,
        "scale": printed.scales(f"{name}_scale", multiplier, shift - 33 * (finish in SHORT)),
        "step": step,
        "zero": ending.zero,
        "low": _int32(ending.low),
        "high": ending.high,
    }
    if ending.table is not None:
        table = clipped(ending.table, ending.low, ending.high)
        values |= {"table": printed.constant(f"{name}_table", table), "table_step": 256 * tables}
        values |= {"low": -128, "high": 127}
    return printed.record("ending", f"{name}_ending", values)


def print_ending(layer: IntegerLayer, ending: Ending, name: str, printed: Printed) -> str:
    """Define the record of an ending that makes codes or bits, and return a pointer to it; see :func:`print_codes_ending`."""
    if isinstance(ending, Requantize):
        return print_codes_ending(layer, ending, name, printed)
    shape = printed.net.shapes[layer.output]
    printed.kernels.add("to_bits")
    values: dict[str, object] = {
        "finish": "to_bits",
        "scale": printed.scales(f"{name}_scale", ending.value, ending.above),
        "step": int(len(ending.value) > 1),
        "table_step": shape[-1] if shape else 1,
    }
    return printed.record("ending", f"{name}_ending", values)


def normalised(multiplier: Any, shift: Any) -> tuple[Any, Any]:
    """Return multipliers from 2**30 on, where their shifts allow it: the same numbers, and shifts above 32 have a shorter program.

    Example:
        >>> [array.tolist() for array in normalised(np.int32([3, 0]), np.int32([10, 40]))]
        [[1610612736, 0], [39, 40]]
    """
    multiplier, shift = np.array(multiplier, np.int64), np.array(shift, np.int64)
    for i, number in enumerate(multiplier.tolist()):
        if number:
            by = min(31 - number.bit_length(), 62 - int(shift[i]))
            multiplier[i], shift[i] = number << by, shift[i] + by
        else:
            shift[i] = max(shift[i], 33)
    return multiplier, shift


def clipped(table: Any, low: int, high: int) -> Any:
    """Return a table whose codes outside of a range have the entry of its nearest end."""
    codes = np.clip(np.arange(-128, 128), low, high) + 128
    return table[..., codes]


def _int32(number: int) -> str:
    return "INT32_MIN" if number == -(2**31) else str(number)
