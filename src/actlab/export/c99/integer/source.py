"""Header and source of an integer net in C99."""

from __future__ import annotations

from pathlib import Path

from actlab.errors import ExportError
from actlab.export.c99.bits.forms import KERNELS
from actlab.export.c99.bits.unpack import in_full_words, with_conversions
from actlab.export.c99.integer import elements, products  # noqa: F401 # their functions are registered as forms of layers
from actlab.export.c99.integer.cmsis_nn import include, with_cmsis_nn
from actlab.export.c99.integer.interface import header, pointers, signature
from actlab.export.c99.integer.memory_order import in_memory_order
from actlab.export.c99.integer.printed import Printed, c_type, form_of, words_of
from actlab.export.c99.kernels import kernel_source
from actlab.export.c99.source import MARK, Source, after_layer, hook
from actlab.export.c99.text import comment, dimensions
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import Affine, Combine, IntegerLayer, Lookup, Multiply, Reshape, Select, Softmax
from actlab.export.integer.net import IntegerNet
from actlab.export.net.arena import Plan, Tensors, plan_tensors

__all__ = ["print_integer_net"]

FOLDER = Path(__file__).parent
FILES = (*(FOLDER / f"{name}.c" for name in ("words", "endings", "elements", "products")), KERNELS)
OVER = (Affine, Combine, Lookup, Multiply, Select, Softmax)


def print_integer_net(net: IntegerNet, name: str, *, cmsis_nn: bool = False) -> Source:
    """Return the header and the source of an integer net.

    Args:
        net: with channels first.
        name: prefix of the public names, a C identifier.
        cmsis_nn: whether dense layers and convolutions have a second form, as calls of CMSIS-NN behind a switch.

    Raises:
        ExportError: a layer has no form in C99; all of them are named.
    """
    ordered = with_conversions(in_full_words(in_memory_order(net)))
    places = _plan(ordered)
    printed = Printed(net=ordered, plan=places, pointers=pointers(net), cmsis_nn=name if cmsis_nn else "")
    statements: list[str] = []
    for index, layer in enumerate(ordered.layers):
        kind = type(layer).__name__.lower()
        lines = form_of(layer, ordered).print(layer, f"{kind}_{index}", printed)
        if lines:
            what = f"{layer.name}: {layer.made_from or kind} of {dimensions(ordered.shapes[layer.output])}"
            statements += [comment(what), *lines, after_layer(name, index)]
    read = {tensor for layer in ordered.layers for tensor in layer.inputs}
    unread = [printed.pointers["input", i] for i, tensor in enumerate(net.inputs) if tensor not in read]
    statements = [f"(void){pointer};" for pointer in unread] + statements
    return Source(
        name=name,
        header=header(net, name, 4 * places.elements),
        source=_source(name, signature(net, name), printed, statements),
        arena=4 * places.elements,
        needed=4 * places.needed,
        constants=printed.bytes,
    )


def _plan(net: IntegerNet) -> Plan:
    """Return where the tensors lie, in words of four bytes; layers without a form are named."""
    scratch, reasons = {}, []
    for layer in net.layers:
        try:
            scratch[layer.output] = form_of(layer, net).scratch(layer, net)
        except ExportError as error:
            reasons.append(f"- {layer.name}: {error}")
    if reasons:
        raise ExportError("The net cannot be written in C99:\n" + "\n".join(reasons))
    sizes = {tensor: words_of(net.codings[tensor], shape) for tensor, shape in net.shapes.items()}
    return plan_tensors(
        Tensors(
            inputs=net.inputs,
            outputs=net.outputs,
            steps=net.layers,
            sizes=sizes,
            same=frozenset(each.output for each in net.layers if isinstance(each, Reshape) and _is_same(each, net)),
            over=frozenset(each.output for each in net.layers if isinstance(each, OVER) and _is_of_bytes(each, net)),
            scratch=scratch,
        )
    )


def _is_same(layer: IntegerLayer, net: IntegerNet) -> bool:
    """Whether a reshaped tensor lies in memory as before; rows of bits end within words, unless they are full."""
    if not isinstance(net.codings[layer.output], Bits):
        return True
    lengths = {(net.shapes[name] or (1,))[-1] for name in (layer.inputs[0], layer.output)}
    return len(lengths) == 1 or not any(length % 32 for length in lengths)


def _is_of_bytes(layer: IntegerLayer, net: IntegerNet) -> bool:
    codings = [net.codings[layer.inputs[0]], net.codings[layer.output]]
    return all(isinstance(coding, Codes) and c_type(coding) == "int8_t" for coding in codings)


def _source(name: str, declared: str, printed: Printed, statements: list[str]) -> str:
    kernels, _ = kernel_source(printed.kernels, FILES)
    if printed.cmsis_nn:
        kernels = f"{include(name)}\n\n{with_cmsis_nn(kernels, name)}"
    parts = [f'/* {MARK}: see {name}.h and README.md. */\n#include "{name}.h"', hook(name), kernels, *printed.constants]
    if printed.plan.elements:
        parts.append(f"static uint32_t arena[{name.upper()}_ARENA_BYTES / 4];")
    body = "\n".join(f"    {line}" for line in statements)
    parts.append(f"{declared}\n{{\n{body}\n}}")
    return "\n\n".join(part for part in parts if part) + "\n"
