"""Memory of bits, with conversions to codes around layers that have no kernel for bits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.c99.bits.forms import is_of_one_code
from actlab.export.c99.integer.printed import Printed, form_of, prints
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import IntegerLayer, Lookup, Pad, Product, Reshape, Threshold
from actlab.export.integer.net import IntegerNet

__all__ = ["Pack", "Unpack", "in_full_words", "with_conversions"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Unpack(IntegerLayer):
    """Bits as codes with zero 0, whose values are the same."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack(IntegerLayer):
    """Codes as bits: 1 where they are above 0."""


def in_full_words(net: IntegerNet) -> IntegerNet:
    """Return a net in which flattened bits are one row, where rows of pixels would end within words.

    Bits of single codes that are flattened at once are made in this form, so that nothing is copied.

    Args:
        net: in memory order.
    """
    shapes, readers = dict(net.shapes), Counter(name for layer in net.layers for name in layer.inputs)
    makers = {layer.output: layer for layer in net.layers}
    for layer in net.layers:
        tensor, shape = layer.inputs[0], net.shapes[layer.inputs[0]]
        is_flat = isinstance(layer, Reshape) and net.shapes[layer.output] == shape
        is_read_by_window = any(layer.output in each.inputs for each in net.layers if getattr(each, "window", None))
        if (
            not is_flat
            or is_read_by_window
            or not isinstance(net.codings[tensor], Bits)
            or not shape
            or shape[-1] % 32 == 0
        ):
            continue
        shapes[layer.output] = (int(np.prod(shape, dtype=int)),)
        maker = makers.get(tensor)
        is_alone = readers[tensor] == 1 and tensor not in net.outputs
        if isinstance(maker, Product) and is_of_one_code(maker, net) and is_alone:
            shapes[tensor] = shapes[layer.output]
    return replace(net, shapes=shapes)


def with_conversions(net: IntegerNet) -> IntegerNet:
    """Return a net in which layers without a kernel for bits read and make codes, which are converted.

    Args:
        net: in memory order.
    """
    codings, shapes = dict(net.codings), dict(net.shapes)
    changed = replace(net, codings=codings, shapes=shapes)
    layers: list[IntegerLayer] = []
    found: dict[str, str] = {}

    def codes_of(tensor: str) -> str:
        coding = codings[tensor]
        if not isinstance(coding, Bits):
            return tensor
        if tensor not in found:
            found[tensor] = name = f"{tensor}:codes"
            codings[name], shapes[name] = Codes(scale=coding.scale), shapes[tensor]
            layers.append(Unpack(name=name, inputs=(tensor,), output=name))
        return found[tensor]

    for layer in net.layers:
        if _has_form(layer, changed):
            layers.append(layer)
            continue
        own = replace(layer, inputs=tuple(map(codes_of, layer.inputs)))
        coding = codings[layer.output]
        if not isinstance(coding, Bits) or isinstance(getattr(layer, "ending", None), Threshold):
            layers.append(own)
            continue
        name = f"{layer.output}:made"
        codings[name], shapes[name] = Codes(scale=coding.scale), shapes[layer.output]
        layers += [
            replace(_of_codes(own, coding), output=name),
            Pack(name=name, inputs=(name,), output=layer.output),
        ]
    return replace(changed, layers=tuple(layers))


def _has_form(layer: IntegerLayer, net: IntegerNet) -> bool:
    try:
        form_of(layer, net)
    except ExportError:
        return False
    return True


def _of_codes(layer: IntegerLayer, coding: Bits) -> IntegerLayer:
    """Return a layer that makes codes in place of bits."""
    if isinstance(layer, Lookup):
        return replace(layer, table=layer.table.astype(np.int8))
    return replace(layer, code=1 if layer.code else coding.low) if isinstance(layer, Pad) else layer


def _rows(printed: Printed, tensor: str) -> tuple[int, int]:
    shape = printed.net.shapes[tensor] or (1,)
    return int(np.prod(shape[:-1], dtype=int)), shape[-1]


def _always(_layer: Any, _net: IntegerNet) -> bool:
    return True


@prints(Unpack, _always)
def _unpack(layer: Unpack, _name: str, printed: Printed) -> list[str]:
    coding = printed.net.codings[layer.inputs[0]]
    assert isinstance(coding, Bits)  # noqa: S101 # what the pass made
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("unpack", x, y, *_rows(printed, layer.output), coding.low)]


@prints(Pack, _always)
def _pack(layer: Pack, _name: str, printed: Printed) -> list[str]:
    x, y = printed.pointer(layer.inputs[0]), printed.pointer(layer.output)
    return [printed.call("pack", x, y, *_rows(printed, layer.output))]
