"""Test program of a net in C99, with inputs and the outputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actlab.export.c99.source import MARK
from actlab.export.c99.text import array_rows, literal
from actlab.export.net.net import Net

__all__ = ["test_program"]


def test_program(net: Net, name: str, inputs: Sequence[Any], outputs: Sequence[Any], tolerance: float) -> str:
    """Return the text of a C program that runs the net and compares its outputs.

    It prints the largest difference, and returns 1 where a number differs by more than the tolerance.

    Args:
        net: its layers.
        name: prefix of the public names.
        inputs: arrays of shape (vectors, ...), one for each input.
        outputs: of the model, likewise.
        tolerance: largest difference over 1 + the magnitude.
    """
    count = len(inputs[0])
    parts = [f'/* Test vectors of {name}, with the outputs of the model in PyTorch. {MARK}. */\n#include "{name}.h"']
    parts.append(
        f"#include <stdio.h>\n\n#ifndef VECTORS\n#define VECTORS {count} /* fewer, the first ones, by -DVECTORS=1 */\n#endif"
    )
    parts += [array_rows(f"input_{i}", rows) for i, rows in enumerate(inputs)]
    whole = [net.is_whole(tensor) for tensor in net.outputs]
    for i, rows in enumerate(outputs):
        parts.append(array_rows(f"wanted_{i}", rows, kind="int32_t" if whole[i] else "float"))
    parts.append(_COMPARE)
    buffers = "\n".join(
        f"    static {'int32_t' if is_whole else 'float'} got_{i}[{net.size(tensor)}];"
        for i, (tensor, is_whole) in enumerate(zip(net.outputs, whole, strict=True))
    )
    arguments = [f"input_{i}[v]" for i in range(len(inputs))] + [f"got_{i}" for i in range(len(outputs))]
    compared = "\n".join(
        f"        for (i = 0; i < {net.size(tensor)}; ++i)\n            compare((double)got_{i_}[i], (double)wanted_{i_}[v][i]);"
        for i_, tensor in enumerate(net.outputs)
    )
    parts.append(f"""int main(void)
{{
{buffers}
    int v, i;
    for (v = 0; v < VECTORS; ++v) {{
        {name}_run({", ".join(arguments)});
{compared}
    }}
    printf("%d vectors, %ld numbers, largest difference %.3e, over 1 + magnitude %.3e, %ld above the tolerance\\n", VECTORS,
           numbers, largest, relative, above);
    return above > 0;
}}""")
    return "\n\n".join(parts).replace("TOLERANCE", literal(tolerance)[:-1]) + "\n"


_COMPARE = """static double largest, relative;
static long numbers, above;

static void compare(double got, double wanted)
{
    double difference = got < wanted ? wanted - got : got - wanted;
    const double magnitude = wanted < 0 ? -wanted : wanted;
    if (got == wanted || (got != got && wanted != wanted))
        difference = 0; /* the same infinity, or both NaN */
    else if (difference != difference)
        difference = 1e30;
    numbers += 1;
    largest = difference > largest ? difference : largest;
    relative = difference / (1 + magnitude) > relative ? difference / (1 + magnitude) : relative;
    above += difference / (1 + magnitude) > TOLERANCE;
}"""
