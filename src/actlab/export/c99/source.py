"""Header and source of a net in C99."""

from __future__ import annotations

from dataclasses import dataclass

from actlab.codegen.c99 import elementary_source
from actlab.errors import ExportError
from actlab.export.c99.calls import Printed, print_layer
from actlab.export.c99.kernels import kernel_source
from actlab.export.c99.text import comment, dimensions, identifier
from actlab.export.net.arena import Plan, plan
from actlab.export.net.net import Net

__all__ = ["Source", "after_layer", "hook", "print_net"]

MARK = "Written by actlab.export"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A printed net.

    Attributes:
        name: prefix of its public names.
        header: text of the header.
        source: text of the C file.
        arena: bytes of the arena.
        needed: bytes that no arena of these layers in this order can be below.
        constants: bytes of weights and other numbers.
    """

    name: str
    header: str
    source: str
    arena: int
    needed: int
    constants: int


def print_net(net: Net, name: str) -> Source:
    """Return the header and the source of a net.

    Args:
        net: its layers.
        name: prefix of the public names, a C identifier.

    Raises:
        ExportError: an activation or a layer has no form in C99; all of them are named.
    """
    places = plan(net)
    pointers = _pointers(net)
    printed = Printed(net=net, plan=places, pointers=pointers)
    statements: list[str] = []
    reasons: list[str] = []
    for index, layer in enumerate(net.layers):
        kind = type(layer).__name__.lower()
        shape = dimensions(net.shapes[layer.output])
        try:
            lines = print_layer(layer, f"{kind}_{index}", printed)
        except ExportError as error:
            reasons.append(f"{layer.name}: {error}")
            continue
        if lines:
            statements += [comment(f"{layer.name}: {kind} of {shape}"), *lines, after_layer(name, index)]
    read = {name for layer in net.layers for name in layer.inputs}
    unread = [pointers["input", i] for i, tensor in enumerate(net.inputs) if tensor not in read]
    statements = [f"(void){pointer};" for pointer in unread] + statements
    if reasons:
        raise ExportError("The net cannot be written in C99:\n" + "\n".join(f"- {reason}" for reason in reasons))
    signature = _signature(net, name, pointers)
    return Source(
        name=name,
        header=_header(net, name, signature, places),
        source=_source(name, signature, printed, statements),
        arena=4 * places.elements,
        needed=4 * places.needed,
        constants=4 * net.weights,
    )


def hook(name: str) -> str:
    """Return the definition of the macro behind each layer, which is nothing unless it is defined as the name of a function.

    Args:
        name: prefix of the public names.
    """
    macro = f"{name.upper()}_AFTER_LAYER"
    return f"""/* Nothing, unless a profiler defines it as the name of a function: -D{macro}=count. */
#ifdef {macro}
void {macro}(int layer);
#else
#define {macro}(layer) ((void)0)
#endif"""


def after_layer(name: str, index: int) -> str:
    """Return the statement behind a layer, see :func:`hook`."""
    return f"{name.upper()}_AFTER_LAYER({index});"


def _pointers(net: Net) -> dict[tuple[str, int], str]:
    inputs = ["input"] if len(net.inputs) == 1 else [f"input_{identifier(name)}" for name in net.inputs]
    outputs = ["output"] if len(net.outputs) == 1 else [f"output_{i}" for i in range(len(net.outputs))]
    named = {("input", i): name for i, name in enumerate(inputs)}
    return named | {("output", i): name for i, name in enumerate(outputs)}


def sizes(net: Net, name: str) -> dict[str, int]:
    """Return the sizes of a net's arrays, by the names that they have in the header."""
    found = {}
    pointers = _pointers(net)
    for kind, tensors in (("input", net.inputs), ("output", net.outputs)):
        for i, tensor in enumerate(tensors):
            found[f"{name}_{pointers[kind, i]}_size".upper()] = net.size(tensor)
    return found


def _signature(net: Net, name: str, pointers: dict[tuple[str, int], str]) -> str:
    inputs = [f"const float *{pointers['input', i]}" for i in range(len(net.inputs))]
    kinds = ["int32_t" if net.is_whole(tensor) else "float" for tensor in net.outputs]
    outputs = [f"{kind} *{pointers['output', i]}" for i, kind in enumerate(kinds)]
    return f"void {name}_run({', '.join([*inputs, *outputs])})"


def _header(net: Net, name: str, signature: str, places: Plan) -> str:
    guard = f"{name.upper()}_H"
    sizes_ = "\n".join(f"#define {key} {value}" for key, value in sizes(net, name).items())
    described = [
        f"   {pointer}: {dimensions(net.shapes[tensor])}"
        for (kind, i), pointer in _pointers(net).items()
        for tensor in [(net.inputs if kind == "input" else net.outputs)[i]]
    ]
    lines = "\n".join(described)
    return f"""/* {net.name} in C99. {MARK}.
   One example at a time, in float32; arrays in row-major order, channels first:
{lines} */
#ifndef {guard}
#define {guard}

#include <stdint.h>

{sizes_}

/* Static memory that a run uses. It is shared by all calls: one run at a time. */
#define {name.upper()}_ARENA_BYTES {4 * places.elements}

{signature};

#endif
"""


def _source(name: str, signature: str, printed: Printed, statements: list[str]) -> str:
    kernels, needed = kernel_source(printed.kernels)
    functions = list(printed.functions.values())
    needs = set(needed).union(*(function.needs for function in functions))
    parts = [f'/* {MARK}: see {name}.h and README.md. */\n#include "{name}.h"', hook(name)]
    if needs:
        parts.append(elementary_source(sorted(needs)).rstrip("\n"))
    parts.append(kernels)
    parts += [function.source.rstrip("\n") for function in functions]
    parts += printed.constants
    if printed.plan.elements:
        parts.append(f"static float arena[{name.upper()}_ARENA_BYTES / sizeof(float)];")
    parts += printed.loops
    body = "\n".join(f"    {line}" for line in statements)
    parts.append(f"{signature}\n{{\n{body}\n}}")
    return "\n\n".join(part for part in parts if part) + "\n"
