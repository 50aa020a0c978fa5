"""Formulas of a model that is being exported, each one node of the traced graph until it is printed.

A layer, or a function of torch, becomes one node ``actlab::Formula`` with a key. When the rest of the graph has been translated, each such
node is replaced by the nodes that are printed from its formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from actlab.codegen.forward_backward import passes
from actlab.codegen.onnx.program import Program, Settings, program, with_limits_of_layer
from actlab.functions.formula import Expr
from actlab.functions.spec import Spec

__all__ = ["DOMAIN", "Formula", "Formulas"]

DOMAIN = "actlab"


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A formula to be printed.

    Attributes:
        label: spec of the activation, or name of torch's function.
        expression: stabilised form.
        inputs: symbols of its inputs.
        arguments: names of the inputs and of the learned parameters, in the order of the node's inputs.
        spec: of the catalogue; None for a function that is none of its activations.
    """

    label: str
    expression: Expr
    inputs: tuple[sympy.Symbol, ...]
    arguments: tuple[str, ...]
    spec: Spec | None = None

    def program(self, settings: Settings) -> Program:
        """Return the nodes that compute it."""
        expression = self.expression if self.spec is None else with_limits_of_layer(self.expression, self.spec)
        return program(expression, self.inputs, self.arguments, settings)


class Formulas:
    """The formulas of one export, by key."""

    def __init__(self) -> None:
        self._formulas: list[Formula] = []

    def __getitem__(self, key: str) -> Formula:
        return self._formulas[int(key)]

    def __iter__(self) -> Iterator[Formula]:
        return iter(self._formulas)

    def of_spec(self, spec: Spec) -> Callable[..., Tensor]:
        """Return a function of tensors that adds the node of an elementwise or gated activation to the graph that is traced."""
        spec = spec.forward
        both = passes(spec)
        names = tuple(symbol.name for symbol in both.arguments)
        return self._node(
            Formula(label=str(spec), expression=both.value, inputs=both.inputs, arguments=names, spec=spec)
        )

    def of_expression(
        self, label: str, expression: Expr, inputs: Sequence[sympy.Symbol], spec: Spec | None = None
    ) -> Callable[..., Tensor]:
        """Return such a function for a formula that is no activation, or the mean of a stochastic one."""
        names = tuple(symbol.name for symbol in inputs)
        return self._node(Formula(label=label, expression=expression, inputs=tuple(inputs), arguments=names, spec=spec))

    def _node(self, formula: Formula) -> Callable[..., Tensor]:
        key = str(len(self._formulas))
        self._formulas.append(formula)

        def traced(*tensors: Tensor) -> Tensor:
            # a tensor of one element is a learned number, and has no part in the shape of a result of no dimensions
            shaped = tensors[: len(formula.inputs)] if tensors[0].dim() == 0 else tensors
            shape: torch.Size = torch.broadcast_shapes(*(tensor.shape for tensor in shaped))  # type: ignore[no-untyped-call] # torch's own
            node: Tensor = torch.onnx.ops.symbolic(
                f"{DOMAIN}::Formula",
                tensors,
                {"key": key},
                dtype=tensors[0].dtype,
                shape=shape,
                version=1,
            )
            return node

        return traced
