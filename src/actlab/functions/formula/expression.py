"""Derivative of a formula, and replacement of SymPy's own functions by primitives."""

from __future__ import annotations

from typing import Any

import sympy

from actlab.functions.formula.elementary import asinh, atan, cos, erf, exp, hypot, log, sin, tanh
from actlab.functions.formula.piecewise import absolute, capped, clamped, reciprocal, tamed
from actlab.functions.formula.primitive import Expr, Primitive

__all__ = ["as_written", "canonical", "derivative", "sqrt"]

_PRIMITIVES_OF_SYMPY: dict[Any, type[Primitive]] = {
    sympy.Abs: absolute,
    sympy.log: log,
    sympy.asinh: asinh,
    sympy.exp: exp,
    sympy.tanh: tanh,
    sympy.sin: sin,
    sympy.cos: cos,
    sympy.atan: atan,
    sympy.erf: erf,
}


def sqrt(x: Any) -> Expr:
    """Return the square root, as SymPy's power one half (printed as ``sqrt`` in every target)."""
    return sympy.sqrt(x)


def derivative(expression: Expr, symbol: sympy.Symbol) -> Expr:
    """Return the derivative, in the primitives' own stable forms; at a kink, the side that torch takes.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> derivative(tanh(x), x)
        4*sigmoid(-2*x)*sigmoid(2*x)
    """
    slope = sympy.diff(expression, symbol)
    # SymPy differentiates a power with the symbol in its exponent to its own logarithm.
    return slope.replace(sympy.log, log) if slope.has(sympy.log) else slope


def canonical(expression: Any) -> Expr:
    """Return the expression with SymPy's own functions replaced by the primitives (an author may write ``abs(x)``).

    Example:
        >>> type(canonical(abs(sympy.Symbol("x", real=True)))).__name__
        'absolute'
    """
    expression = sympy.sympify(expression)
    for function, primitive in _PRIMITIVES_OF_SYMPY.items():
        expression = expression.replace(function, primitive)
    return expression


def as_written(expression: Expr) -> Expr:
    """Return the expression without the primitives of code, which authors do not write: for readers, in every notation.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> as_written(cos(clamped(x, 0)) * reciprocal(hypot(x, 1)))
        cos(x)/sqrt(x**2 + 1)
    """
    expression = expression.replace(lambda e: isinstance(e, capped | clamped | tamed), lambda e: e.args[0])
    if expression.has(hypot, reciprocal):
        expression = expression.replace(hypot, lambda x, r: sympy.sqrt(x**2 + r**2))
        expression = expression.replace(reciprocal, lambda x: 1 / x)
    return expression
