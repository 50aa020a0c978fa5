"""Public interface of an integer net in C99, with its header."""

from __future__ import annotations

from collections.abc import Iterator

from actlab.export.c99.integer.printed import c_type, words_of
from actlab.export.c99.source import MARK
from actlab.export.c99.text import dimensions, identifier, literal
from actlab.export.integer.coding import Bits, Codes, Coding
from actlab.export.integer.net import IntegerNet

__all__ = ["array_size", "caller_tensors", "header", "pointers", "signature", "size_names"]


def pointers(net: IntegerNet) -> dict[tuple[str, int], str]:
    """Return the names of the caller's arrays, by kind and index."""
    inputs = ["input"] if len(net.inputs) == 1 else [f"input_{identifier(name)}" for name in net.inputs]
    outputs = ["output"] if len(net.outputs) == 1 else [f"output_{i}" for i in range(len(net.outputs))]
    named = {("input", i): name for i, name in enumerate(inputs)}
    return named | {("output", i): name for i, name in enumerate(outputs)}


def caller_tensors(net: IntegerNet) -> Iterator[tuple[str, str]]:
    """Yield the names in C and in the net of the inputs, then of the outputs."""
    named = pointers(net)
    for kind, tensors in (("input", net.inputs), ("output", net.outputs)):
        for i, tensor in enumerate(tensors):
            yield named[kind, i], tensor


def array_size(net: IntegerNet, tensor: str) -> int:
    """Return the number of elements of a caller's array, or of words where it holds bits."""
    coding = net.codings[tensor]
    return words_of(coding, net.shapes[tensor]) if isinstance(coding, Bits) else net.size(tensor)


def size_names(net: IntegerNet, name: str) -> dict[str, int]:
    """Return the sizes of the caller's arrays, by the names that they have in the header."""
    return {f"{name}_{pointer}_size".upper(): array_size(net, tensor) for pointer, tensor in caller_tensors(net)}


def signature(net: IntegerNet, name: str) -> str:
    """Return the declaration of the function that runs the net."""
    named = pointers(net)
    inputs = [f"const {c_type(net.codings[tensor])} *{named['input', i]}" for i, tensor in enumerate(net.inputs)]
    outputs = [f"{c_type(net.codings[tensor])} *{named['output', i]}" for i, tensor in enumerate(net.outputs)]
    return f"void {name}_run({', '.join([*inputs, *outputs])})"


def header(net: IntegerNet, name: str, arena: int) -> str:
    """Return the text of the header.

    Args:
        net: with channels first.
        name: prefix of the public names.
        arena: its bytes.
    """
    guard = f"{name.upper()}_H"
    lines = "\n".join(
        f"   {pointer}: {dimensions(net.shapes[tensor])}, {_described(net.codings[tensor])}"
        for pointer, tensor in caller_tensors(net)
    )
    numbers = "\n".join(
        line for pointer, tensor in caller_tensors(net) for line in _numbers(net, name, pointer, tensor)
    )
    return f"""/* {net.name} in C99. {MARK}.
   One example at a time, in whole numbers; arrays in row-major order, channels first:
{lines} */
#ifndef {guard}
#define {guard}

#include <stdint.h>

{numbers}

/* Static memory that a run uses. It is shared by all calls: one run at a time. */
#define {name.upper()}_ARENA_BYTES {arena}

{signature(net, name)};

{_conversions(net, name)}#endif
"""


def _described(coding: Coding) -> str:
    if isinstance(coding, Bits):
        return f"words of 32 bits, the first one lowest, which stand for {coding.low * coding.scale:g} and {coding.scale:g}"
    if isinstance(coding, Codes):
        return f"codes, which stand for {coding.scale:g} * (code - {coding.zero})".replace("- -", "+ ")
    return "indices"


def _numbers(net: IntegerNet, name: str, pointer: str, tensor: str) -> Iterator[str]:
    prefix, coding = f"{name}_{pointer}".upper(), net.codings[tensor]
    yield f"#define {prefix}_SIZE {array_size(net, tensor)}"
    if isinstance(coding, Codes):
        yield f"#define {prefix}_SCALE {literal(coding.scale)}"
        yield f"#define {prefix}_ZERO {coding.zero if coding.zero >= 0 else f'({coding.zero})'}"


def _conversions(net: IntegerNet, name: str) -> str:
    """Return functions between floats and codes, which take no memory where nobody calls them."""
    parts = []
    for pointer, tensor in caller_tensors(net):
        coding, macro = net.codings[tensor], f"{name}_{pointer}".upper()
        if not isinstance(coding, Codes):
            continue
        if tensor in net.inputs:
            parts.append(f"""/* The code of a number: the nearest one; NaN has the code of 0. */
static inline int8_t {name}_{pointer}_code(float x)
{{
    const float code = x / {macro}_SCALE + (float){macro}_ZERO;
    if (code != code)
        return {macro}_ZERO;
    return (int8_t)(code <= -128.0f ? -128 : code >= 127.0f ? 127 : (int32_t)(code + 128.5f) - 128);
}}""")
        else:
            parts.append(f"""/* The number that a code stands for. */
static inline float {name}_{pointer}_number({c_type(coding)} code)
{{
    return {macro}_SCALE * (float)(code - {macro}_ZERO);
}}""")
    return "".join(f"{part}\n\n" for part in parts)
