"""Test program of an integer net in C99, with inputs and the outputs that NumPy computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from actlab.export.c99.integer.printed import c_type
from actlab.export.c99.source import MARK
from actlab.export.c99.text import array_rows
from actlab.export.integer.coding import Bits, Coding
from actlab.export.integer.net import IntegerNet

__all__ = ["packed", "test_program"]


def test_program(net: IntegerNet, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Return the text of a C program that runs the net and compares its outputs to the bit.

    It prints how many numbers differ, and returns 1 where one does.

    Args:
        net: its layers.
        name: prefix of the public names.
        inputs: codes of shape (vectors, ...), one array for each input.
        outputs: codes or bits, likewise.
    """
    count = len(inputs[0])
    parts = [f'/* Test vectors of {name}, with the outputs that NumPy computes. {MARK}. */\n#include "{name}.h"']
    parts.append(
        f"#include <stdio.h>\n\n#ifndef VECTORS\n#define VECTORS {count} /* fewer, the first ones, by -DVECTORS=1 */\n#endif"
    )
    kinds = []
    for what, tensors, arrays in (("input", net.inputs, inputs), ("wanted", net.outputs, outputs)):
        for i, (tensor, rows) in enumerate(zip(tensors, arrays, strict=True)):
            words = packed(rows, net.codings[tensor])
            kinds.append((c_type(net.codings[tensor]), words.shape[1]))
            parts.append(array_rows(f"{what}_{i}", words, kind=kinds[-1][0]))
    wanted = kinds[len(net.inputs) :]
    buffers = "\n".join(f"    static {kind} got_{i}[{size}];" for i, (kind, size) in enumerate(wanted))
    arguments = [f"input_{i}[v]" for i in range(len(inputs))] + [f"got_{i}" for i in range(len(outputs))]
    compared = "\n".join(
        f"        for (i = 0; i < {size}; ++i)\n            differing += got_{output}[i] != wanted_{output}[v][i];"
        for output, (_, size) in enumerate(wanted)
    )
    parts.append(f"""int main(void)
{{
{buffers}
    long differing = 0;
    int v, i;
    for (v = 0; v < VECTORS; ++v) {{
        {name}_run({", ".join(arguments)});
{compared}
    }}
    printf("%d vectors, %ld numbers, %ld differing\\n", VECTORS, VECTORS * {sum(size for _, size in wanted)}L, differing);
    return differing > 0;
}}""")
    return "\n\n".join(parts) + "\n"


def packed(rows: Any, coding: Coding) -> Any:
    """Return the elements of a batch as the C function has them, of shape (batch, elements or words).

    Bits are packed along the last dimension, the first one in the lowest bit of a word of 32.

    Example:
        >>> packed(np.array([[True, False, True]]), Bits(low=0)).tolist()
        [[5]]
    """
    if not isinstance(coding, Bits):
        return rows.reshape(len(rows), -1)
    filled = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % 32)])
    return np.packbits(filled, axis=-1, bitorder="little").view("<u4").reshape(len(rows), -1)
