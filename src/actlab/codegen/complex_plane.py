"""Formulas as functions of complex tensors, for those whose primitives are holomorphic.

A formula without branches, comparisons and moduli continues to the complex plane by the same text: only its primitives are others, for
which this module stands in place of ``torch``. Roots, logarithms and inverse functions are principal values, as in torch. Nothing is
rewritten against overflow, and poles are poles: the sigmoid has one at every odd multiple of i pi.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import sympy
import torch
from torch import Tensor

from actlab.functions import formula
from actlab.functions.activation import Activation
from actlab.functions.formula.printer import compile_source, function_source

__all__ = ["complex_function", "obstacle"]

HOLOMORPHIC = (
    formula.asinh,
    formula.atan,
    formula.cos,
    formula.exp,
    formula.expm1,
    formula.log,
    formula.log1p,
    formula.sigmoid,
    formula.sin,
    formula.sinc,
    formula.tanh,
)
SERIES = (272, 210, 156, 110, 72, 42, 20, 6)  # of sin z / z: the next term is below 1e-17 for |z| < 1

asinh, atan, cos, exp, expm1, log, log1p = (
    torch.asinh,
    torch.atan,
    torch.cos,
    torch.exp,
    torch.expm1,
    torch.log,
    torch.log1p,
)
sin, tanh, sqrt, rsqrt, square, reciprocal, zeros_like = (
    torch.sin,
    torch.tanh,
    torch.sqrt,
    torch.rsqrt,
    torch.square,
    torch.reciprocal,
    torch.zeros_like,
)


def sigmoid(z: Tensor) -> Tensor:
    """Return the logistic function; torch 2.13's is NaN for complex numbers below -88 in single precision."""
    left = z.real < 0
    small = torch.exp(torch.where(left, z, -z))
    return torch.where(left, small, 1.0) / (1 + small)


def cardinal_sine(z: Tensor) -> Tensor:
    """Return sin(z) / z, by its series for |z| < 1."""
    near = z.abs() < 1
    squared, series = torch.where(near, z, 0.0).square(), torch.ones_like(z)
    for ratio in SERIES:
        series = 1 - squared / ratio * series
    away = torch.where(near, 1.0, z)
    return torch.where(near, series, torch.sin(away) / away)


@cache
def obstacle(activation: Activation) -> str | None:
    """Return why an activation is not a function of complex numbers, or None if it is one.

    Example:
        >>> from actlab.functions.activation import get
        >>> obstacle(get("tanh")), obstacle(get("relu"))
        (None, 'its formula contains maximum, which is not holomorphic')
    """
    if activation.expression is None:
        return None if activation.kind == "complex" else f"a {activation.kind} function is computed on real numbers"
    others = {type(part) for part in activation.expression.atoms(sympy.Function)} - set(HOLOMORPHIC)
    if not others:
        return None
    unsupported = {formula.erf, formula.normal_cdf, formula.softplus, formula.logsigmoid}
    branched = sorted(part.__name__ for part in others - unsupported)
    if branched:
        return (
            f"its formula contains {', '.join(branched)}, which {'is' if len(branched) == 1 else 'are'} not holomorphic"
        )
    return f"torch has no complex {', '.join(sorted(part.__name__ for part in others))}"


@cache
def complex_function(
    activation: Activation, numbers: tuple[tuple[str, float], ...] = ()
) -> tuple[Callable[..., Tensor], str | None]:
    """Return an activation as a function of complex tensors, and the :func:`obstacle`, with which it is not one.

    Args:
        activation: the activation.
        numbers: values of the constant parameters.

    Returns:
        A function of the inputs, then of every parameter without a number.

    Example:
        >>> from actlab.functions.activation import get
        >>> complex_function(get("square"))[0](torch.tensor([1j]))
        tensor([-1.+0.j])
    """
    if (reason := obstacle(activation)) is not None or activation.tensor_code is not None:
        return activation.tensor_code or _refused, reason
    return _compiled(activation, numbers), None


def _refused(*_: Tensor) -> Tensor:
    raise TypeError("There is no such function of complex numbers.")


@cache
def _compiled(activation: Activation, numbers: tuple[tuple[str, float], ...]) -> Callable[..., Tensor]:
    values = dict(numbers)
    known = {p.symbol: sympy.Float(values[p.name], 17) for p in activation.parameters if p.name in values}
    free = [parameter.symbol for parameter in activation.parameters if parameter.name not in values]
    expression = formula.canonical(activation.formula.xreplace(known))
    if not expression.free_symbols & set(activation.inputs):
        expression = expression + sympy.Symbol(f"torch.zeros_like({activation.inputs[0].name})")
    text = function_source(f"complex_{activation.name}", [*activation.inputs, *free], expression, "torch")
    here = sys.modules[__name__]
    return compile_source(text, f"complex_{activation.name}", {"torch": here, "cardinal_sine": cardinal_sine})
