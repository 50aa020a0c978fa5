"""Records of ONNX nodes and of the program that they form, without the package onnx.

A program is what a formula becomes: a list of nodes in order, from named inputs to one output. Whoever builds a model turns the records
into nodes of the library at hand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Attribute", "Node", "Operand", "Program"]

Operand: TypeAlias = str | float
Attribute: TypeAlias = str | float | int


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node with one output.

    Attributes:
        op: operator of the default domain, such as ``"Mul"``.
        inputs: names of values, or numbers, which become constants of the program's dtype.
        attributes: pairs of name and value.
        output: name of the result.
    """

    op: str
    inputs: tuple[Operand, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()
    output: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """Nodes that compute a formula.

    Attributes:
        inputs: names of the inputs, then of the learned parameters, which broadcast against them.
        nodes: in the order of execution.
        output: name of the result; that of an input where the formula is the identity.
        dtype: "float32" or "float64", of all inputs, constants and results.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    output: str
    dtype: str

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators in order of execution."""
        return tuple(node.op for node in self.nodes)

    def __str__(self) -> str:
        """The number of nodes by operator, as in ``4 nodes: Add, Div, Exp, Neg``."""
        counts = Counter(self.operators)
        parts = ", ".join(f"{count} {op}" if count > 1 else op for op, count in sorted(counts.items()))
        return f"{len(self.nodes)} nodes: {parts}" if len(self.nodes) != 1 else f"1 node: {parts}"
