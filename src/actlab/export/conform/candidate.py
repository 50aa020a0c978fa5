"""Candidate functions for a site, computed in float64 from their formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.functions.activation import Activation
from actlab.functions.formula import Expr, Primitive, elementary
from actlab.functions.formula.evaluate import NAMES, numeric
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.grammar import parse
from actlab.functions.mean_formula import mean_formula
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer

__all__ = [
    "TRAINED",
    "Candidate",
    "as_function",
    "learned_names",
    "of_formula",
    "of_parameters",
    "of_spec",
    "textbook",
    "without_nan",
]

Function = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A function that an engine may run at a site.

    Attributes:
        spec: what it is called.
        what: how it is related to the trained one.
        function: of the tensors that reach the site; None for what the model itself has there.
        curve: of a NumPy array, for functions of one number.
        swaps: whether the two factors of the product behind the site change their roles.
        same: whether it is the trained function in another form, with other rounding and overflow.
    """

    spec: str
    what: str = ""
    function: Function | None = None
    curve: Callable[[Any], Any] | None = None
    swaps: bool = False
    same: bool = False


TRAINED = Candidate(spec="")
"""What the model itself has at a site."""


def learned_names(spec: Spec) -> tuple[str, ...]:
    """Return the names of the parameters that training has learned."""
    return tuple(name for name, value in spec.assigned if isinstance(value, Learned))


def as_function(curve: Callable[..., Any], dtype: Any = np.float64) -> Function:
    """Return a function of tensors that computes with NumPy, and rounds once.

    Args:
        curve: a function of arrays.
        dtype: in which it computes.
    """

    def function(*tensors: Tensor) -> Tensor:
        arrays = [tensor.detach().cpu().double().numpy().astype(dtype) for tensor in tensors]
        with np.errstate(all="ignore"):
            result = curve(*arrays)
        return torch.from_numpy(np.ascontiguousarray(result)).to(tensors[0])

    return function


def of_formula(
    spec: str, what: str, formula: Expr, symbols: Sequence[sympy.Symbol], *, gate: str = "second", same: bool = False
) -> Candidate:
    """Return a candidate that computes a formula of one number, or of gate and value.

    Args:
        spec: what it is called.
        what: how it is related to the trained one.
        formula: without parameters.
        symbols: its inputs.
        gate: half of a packed input that is the gate.
        same: whether it is the trained function in another form.
    """
    curve = numeric(formula, symbols)
    if len(symbols) == 1:
        return Candidate(spec=spec, what=what, function=as_function(curve), curve=curve, same=same)
    return Candidate(spec=spec, what=what, function=_on_halves(as_function(curve), gate), same=same)


def _on_halves(function: Function, gate: str) -> Function:
    def of_packed(x: Tensor, *others: Tensor) -> Tensor:
        if others:
            return function(x, *others) if gate == "second" else function(*others, x)
        first, second = x.chunk(2, dim=-1)
        return function(second, first) if gate == "second" else function(first, second)

    return of_packed


def of_spec(spec: str | Spec, what: str = "", *, dim: int | None = None, gate: str = "second") -> Candidate | None:
    """Return the candidate of a spec; None where it has learned numbers or tensor code that needs more than the input.

    Args:
        spec: elementwise, gated, vector, or stochastic, which is its mean; a gradient rule has no part in it.
        what: how it is related to the trained one.
        dim: dimension along which a vector function works.
        gate: half of a packed input that is the gate.
    """
    spec = parse(spec).forward
    record = spec.activation
    if spec.needs_channels or record.kind == "complex":
        return None
    if record.kind == "stochastic":
        return of_formula(str(spec), what, mean_formula(spec), record.inputs)
    if record.expression is not None:
        numbers = {sympy.Symbol(name, real=True): sympy.Float(value, 17) for name, value in spec.numbers.items()}
        return of_formula(str(spec), what, spec.formula.xreplace(numbers), record.inputs, gate=gate)
    if dim is not None and any(parameter.name == "dim" for parameter in record.parameters):
        spec = _along(spec, dim)
    module = layer(spec).eval()
    return Candidate(spec=str(spec), what=what, function=module)


def _along(spec: Spec, dim: int) -> Spec:
    numbers = {name: value for name, value in spec.numbers.items() if name != "dim"} | {"dim": dim}
    return parse(f"{spec.activation.name}({', '.join(f'{name}={value!r}' for name, value in numbers.items())})")


def without_nan(candidate: Candidate, value: float) -> Candidate | None:
    """Return a candidate that gives a number where the input is NaN; None where it is no function of one number."""
    curve = candidate.curve
    if curve is None:
        return None

    def of_one(x: Any) -> Any:
        return np.where(np.isnan(x), value, curve(x))

    spec = f"{candidate.spec} with {value:g} for NaN"
    return Candidate(spec=spec, what=f"NaN becomes {value:g}", function=as_function(of_one), curve=of_one, same=True)


def of_parameters(record: Activation, values: Mapping[str, float]) -> Candidate:
    """Return the candidate of an elementwise activation with these numbers, without compiling a formula for them.

    Args:
        record: an elementwise activation.
        values: one for each of its parameters.
    """
    curve = numeric(record.formula, record.inputs, [parameter.symbol for parameter in record.parameters])
    numbers = [np.float64(values[parameter.name]) for parameter in record.parameters]

    def of_one(x: Any) -> Any:
        return curve(x, *numbers)

    text = ", ".join(f"{name}={value:.6g}" for name, value in values.items())
    return Candidate(spec=f"{record.name}({text})", what="", function=as_function(of_one), curve=of_one)


# How exporters write these without an operator of their own; each overflows or cancels in float32.
_TEXTBOOK: Mapping[type[Primitive], Callable[..., Expr]] = {
    elementary.softplus: lambda u: elementary.log(1 + elementary.exp(u)),
    elementary.logsigmoid: lambda u: elementary.log(1 / (1 + elementary.exp(-u))),
    elementary.sigmoid: lambda u: 1 / (1 + elementary.exp(-u)),
    elementary.expm1: lambda u: elementary.exp(u) - 1,
    elementary.log1p: lambda u: elementary.log(1 + u),
    elementary.asinh: lambda u: elementary.log(u + sympy.sqrt(u**2 + 1)),
}


def textbook(spec: Spec) -> Candidate | None:
    """Return the same function in its textbook form, computed in float32; None where that is the form it has.

    Args:
        spec: an elementwise function.
    """
    record = spec.activation
    written = spec.formula.replace(lambda part: type(part) in _TEXTBOOK, lambda part: _TEXTBOOK[type(part)](*part.args))
    if written == spec.formula:
        return None
    inner = compile_source(function_source("formula", record.inputs, written, "numpy"), "formula", NAMES)
    return Candidate(
        spec=f"{spec} in its textbook form",
        what="the same function as exp, log and division in float32, which overflows and cancels",
        function=as_function(inner, np.float32),
        same=True,
    )
