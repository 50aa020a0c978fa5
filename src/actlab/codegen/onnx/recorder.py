"""Values whose arithmetic is recorded as ONNX nodes, each computed once.

The printed source of a formula is run on such values. Equal nodes are recorded once, and a few combinations become one node: a product with
a reciprocal is a quotient, a sum with a negated value a difference, and a clamp on both sides a ``Clip``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, Union

from actlab.codegen.onnx.node import Attribute, Node, Operand, Program

__all__ = ["Number", "Recorder", "Settings", "Value"]

Number: TypeAlias = Union["Value", float]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a formula is printed.

    Attributes:
        opset: version of ONNX's operator set.
        dtype: "float32" or "float64", in which it is computed.
        prefer: "accuracy" keeps the relative error small in the tails and the limits at infinity; "speed" uses the operators and patterns
            for which runtimes have one fused kernel, whose error is small in absolute terms only.
    """

    opset: int = 18
    dtype: Literal["float32", "float64"] = "float32"
    prefer: Literal["accuracy", "speed"] = "accuracy"


class Recorder:
    """The nodes recorded so far, and the names of the values.

    Args:
        settings: how elementary functions are computed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._nodes: dict[tuple[str, tuple[Operand, ...], tuple[tuple[str, Attribute], ...]], Node] = {}
        self._origin: dict[str, Node] = {}

    def input(self, name: str) -> Value:
        """Return the value of an input."""
        return Value(self, name)

    def node(self, op: str, *operands: Number, **attributes: Attribute) -> Value:
        """Return the result of a node; an equal one is recorded once."""
        inputs = tuple(operand.name if isinstance(operand, Value) else float(operand) for operand in operands)
        key = (op, inputs, tuple(sorted(attributes.items())))
        if key not in self._nodes:
            node = Node(op=op, inputs=inputs, attributes=key[2], output=f"v{len(self._nodes)}")
            self._nodes[key] = self._origin[node.output] = node
        return Value(self, self._nodes[key].output)

    def origin(self, value: Number) -> Node | None:
        """Return the node that computes a value; None for inputs and numbers."""
        return self._origin.get(value.name) if isinstance(value, Value) else None

    def operand(self, value: Operand) -> Number:
        """Return an operand of a recorded node as a value or a number."""
        return Value(self, value) if isinstance(value, str) else value

    def operators_of(self, value: Value) -> set[str]:
        """Return the operators that a value is computed with."""
        return {self._origin[name].op for name in self._needed(value) if name in self._origin}

    def _needed(self, value: Value) -> set[str]:
        """Return the names of a value and of all that it is computed from."""
        needed, pending = set[str](), [value.name]
        while pending:
            name = pending.pop()
            if name not in needed and name in self._origin:
                pending.extend(operand for operand in self._origin[name].inputs if isinstance(operand, str))
            needed.add(name)
        return needed

    def program(self, inputs: Sequence[str], result: Number, dtype: str) -> Program:
        """Return the nodes that a result needs."""
        if not isinstance(result, Value):  # a constant in the shape of the first input, NaN where that is NaN
            result = self.input(inputs[0]) * 0.0 + result
        needed = self._needed(result)
        nodes = tuple(node for node in self._nodes.values() if node.output in needed)
        return Program(inputs=tuple(inputs), nodes=nodes, output=result.name, dtype=dtype)


class Value:
    """A tensor in a recorded program.

    Args:
        recorder: where its arithmetic is recorded.
        name: of the value.
    """

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder = recorder
        self.name = name

    def __add__(self, other: Number) -> Value:
        if not isinstance(other, Value):
            return self if other == 0.0 else self.recorder.node("Add", self, other)
        for a, b in ((self, other), (other, self)):
            if (negated := _negated(b)) is not None:
                return self.recorder.node("Sub", a, negated)
        return self.recorder.node("Add", self, other)

    def __radd__(self, other: float) -> Value:
        if (negated := _negated(self)) is not None:
            return self.recorder.node("Sub", other, negated)
        return self + other

    def __sub__(self, other: Number) -> Value:
        return self.recorder.node("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.recorder.node("Sub", other, self)

    def __mul__(self, other: Number) -> Value:
        if not isinstance(other, Value):
            return _scaled(self, float(other))
        for a, b in ((self, other), (other, self)):
            node = self.recorder.origin(b)
            if node is not None and node.op == "Reciprocal":
                return a / self.recorder.operand(node.inputs[0])
        return self.recorder.node("Mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return self * other

    def __truediv__(self, other: Number) -> Value:
        if not isinstance(other, Value) and math.frexp(other)[0] in {0.5, -0.5}:
            return self * (1 / other)  # exact
        return self.recorder.node("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self.recorder.node("Reciprocal", self) if other == 1.0 else self.recorder.node("Div", other, self)

    def __neg__(self) -> Value:
        return self * -1.0

    def __gt__(self, other: Number) -> Value:
        return self.recorder.node("Greater", self, other)

    def __ge__(self, other: Number) -> Value:
        return self.recorder.node("GreaterOrEqual", self, other)

    def __lt__(self, other: Number) -> Value:
        return self.recorder.node("Less", self, other)

    def __le__(self, other: Number) -> Value:
        return self.recorder.node("LessOrEqual", self, other)


def _negated(value: Number) -> Number | None:
    """Return v for ``-v``."""
    node = value.recorder.origin(value) if isinstance(value, Value) else None
    if node is None or node.op != "Neg":
        return None
    return value.recorder.operand(node.inputs[0])  # type: ignore[union-attr] # a number has no node


def _scaled(value: Value, factor: float) -> Value:
    """Return a multiple; the sign is moved into a factor that is there already."""
    if factor == 1.0:
        return value
    node = value.recorder.origin(value)
    if factor == -1.0:
        if node is not None and node.op == "Neg":
            return value.recorder.input(str(node.inputs[0]))
        if node is not None and node.op == "Mul" and isinstance(node.inputs[1], float):
            return _scaled(value.recorder.input(str(node.inputs[0])), -node.inputs[1])
        return value.recorder.node("Neg", value)
    return value.recorder.node("Mul", value, factor)
