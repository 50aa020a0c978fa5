"""Printed form of an integer net so far, and the registry of functions that print its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from actlab.errors import ExportError
from actlab.export.c99.integer.cmsis_nn import by_switch
from actlab.export.c99.text import array
from actlab.export.integer.coding import Bits, Codes, Coding
from actlab.export.integer.layers import IntegerLayer
from actlab.export.integer.net import IntegerNet
from actlab.export.net.arena import Plan

__all__ = ["Form", "Printed", "form_of", "prints", "words_of"]

Shape: TypeAlias = tuple[int, ...]


@dataclass(kw_only=True)
class Printed:
    """What is printed of a net so far.

    Attributes:
        net: its tensors lie in memory as their shapes say.
        plan: where they lie, in words of four bytes.
        pointers: C expressions of the caller's arrays, by kind and index.
        constants: definitions of arrays and records.
        bytes: of these constants.
        kernels: names of those that are called.
        cmsis_nn: prefix of the public names where dense layers have a second form, see :mod:`~actlab.export.c99.integer.cmsis_nn`.
    """

    net: IntegerNet
    plan: Plan
    pointers: dict[tuple[str, int], str]
    cmsis_nn: str = ""
    constants: list[str] = field(default_factory=list)
    bytes: int = 0
    kernels: set[str] = field(default_factory=set)

    def pointer(self, tensor: str) -> str:
        """Return the C expression of a tensor's first element, of its own type."""
        place = self.plan.places[tensor]
        kind = c_type(self.net.codings[tensor])
        if place.kind == "arena":
            return in_arena(place.index, kind)
        return self.pointers[place.kind, place.index]

    def scratch(self, layer: IntegerLayer, kind: str = "int8_t") -> str:
        """Return the C expression of a layer's own memory, of which its form says the size."""
        return in_arena(self.plan.scratch[layer.output], kind)

    def weights(self, name: str, values: Any, rows: Any) -> str:
        """Define the weights of a dense layer and return their name.

        Args:
            name: of the array.
            values: in the order of the kernels.
            rows: of the matrix, for CMSIS-NN.
        """
        expression = self.constant(name, values)
        if self.cmsis_nn:
            own = self.constants.pop()
            self.constant(name, rows)
            self.bytes -= rows.size
            self.constants.append(by_switch(self.cmsis_nn, self.constants.pop(), own))
        return expression

    def constant(self, name: str, values: Any, kind: str = "int8_t") -> str:
        """Define an array of whole numbers, which starts at a multiple of four bytes, and return its name."""
        flat = np.asarray(values).reshape(-1)
        self.bytes += flat.size * WIDTHS[kind]
        if kind in {"int32_t", "uint32_t"}:
            self.constants.append(array(name, flat, kind=kind))
            return name
        numbers = array("x", flat, kind=kind).partition(" = ")[2].removesuffix(";")
        self.constants.append(
            f"static const union {{\n    {kind} is[{flat.size}];\n    uint32_t aligned;\n}} {name} = {{{numbers}}};"
        )
        return f"{name}.is"

    def scales(self, name: str, first: Any, second: Any) -> str:
        """Define an array of pairs, multiplier and shift or threshold and direction, and return its name."""
        pairs = ",\n".join(f"    {{{a}, {int(b)}}}" for a, b in zip(first.tolist(), second.tolist(), strict=True))
        self.kernels.add("scale")
        self.bytes += 8 * len(first)
        self.constants.append(f"static const struct scale {name}[{len(first)}] = {{\n{pairs}\n}};")
        return name

    def record(self, kind: str, name: str, values: Mapping[str, object]) -> str:
        """Define a record and return a pointer to it.

        Args:
            kind: of struct, which a kernel file defines.
            name: of the record.
            values: its fields.
        """
        self.kernels.add(kind)
        fields = ", ".join(f".{key} = {value}" for key, value in values.items())
        self.constants.append(f"static const struct {kind} {name} = {{{fields}}};")
        self.bytes += 4 * len(values)
        return f"&{name}"

    def call(self, kernel: str, *arguments: object) -> str:
        """Return the call of a kernel."""
        self.kernels.add(kernel)
        return f"{kernel}({', '.join(map(str, arguments))});"


WIDTHS: Mapping[str, int] = {"int8_t": 1, "uint8_t": 1, "int32_t": 4, "uint32_t": 4}


def c_type(coding: Coding) -> str:
    """Return the C type of a tensor's elements, or of the words that hold its bits."""
    if isinstance(coding, Bits):
        return "uint32_t"
    return "int8_t" if isinstance(coding, Codes) and coding.width == 8 else "int32_t"


def in_arena(index: int, kind: str) -> str:
    """Return a pointer into the arena of 32-bit words."""
    start = f"arena + {index}" if index else "arena"
    return start if kind == "uint32_t" else f"({kind} *)({start})" if index else f"({kind} *)arena"


def words_of(coding: Coding, shape: Shape) -> int:
    """Return how many words of four bytes a tensor takes.

    Bits are packed along the last dimension, 32 a word, and each row of it starts with a word of its own.

    Example:
        >>> words_of(Codes(scale=1.0), (3, 3)), words_of(Bits(low=0), (2, 33))
        (3, 4)
    """
    size = int(np.prod(shape, dtype=int))
    if isinstance(coding, Bits):
        last = shape[-1] if shape else 1
        return size // max(last, 1) * -(-last // 32)
    return size if c_type(coding) == "int32_t" else -(-size // 4)


Print: TypeAlias = Callable[[Any, str, Printed], list[str]]
Scratch: TypeAlias = Callable[[Any, IntegerNet], int]


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a kind of layer is printed.

    Attributes:
        applies: whether it prints a layer, by the codings of the tensors; the first form that does is taken.
        print: returns the C statements, with a prefix of the layer's constants; takes the constants and kernels.
        scratch: how many words of memory the layer needs for itself.
    """

    applies: Callable[[Any, IntegerNet], bool]
    print: Print
    scratch: Scratch


FORMS: dict[type[IntegerLayer], list[Form]] = {}


def prints(
    kind: type[IntegerLayer],
    applies: Callable[[Any, IntegerNet], bool],
    scratch: Scratch = lambda _layer, _net: 0,
    *,
    first: bool = False,
) -> Callable[[Print], Print]:
    """Register a function as the form of a kind of layer, see :class:`Form`; one that is preferred to those before it comes first."""

    def register(function: Print) -> Print:
        forms = FORMS.setdefault(kind, [])
        forms.insert(0 if first else len(forms), Form(applies=applies, print=function, scratch=scratch))
        return function

    return register


def form_of(layer: IntegerLayer, net: IntegerNet) -> Form:
    """Return the form of a layer.

    Raises:
        ExportError: there is none for the codings of its tensors.
    """
    for form in FORMS.get(type(layer), []):
        if form.applies(layer, net):
            return form
    codings = ", ".join(_described(net.codings[name]) for name in (*layer.inputs, layer.output))
    raise ExportError(f"{type(layer).__name__} has no C99 form for tensors of {codings}.")


def _described(coding: Coding) -> str:
    if isinstance(coding, Bits):
        return f"bits of {coding.low} and 1"
    return f"{coding.width}-bit codes" if isinstance(coding, Codes) else "indices"
