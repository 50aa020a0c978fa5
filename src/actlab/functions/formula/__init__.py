"""Formulas: SymPy expressions over a small set of primitives.

A **primitive** owns three things that no activation should have to repeat: its derivative in a form that neither overflows nor
cancels, its spelling in every target (torch, NumPy, LaTeX, ...), and its sign of growth. A new target is a new key in each primitive's
``spelling``; a new function is an expression over the primitives and needs no code at all.

What formulas are written with is all here, from three files: :mod:`~actlab.functions.formula.primitive`,
:mod:`~actlab.functions.formula.elementary` and :mod:`~actlab.functions.formula.piecewise`. What keeps a formula finite in its tails is
not the author's business either: see
:mod:`actlab.functions.formula.stabilize`.

Example:
    >>> import sympy
    >>> x = sympy.Symbol("x", real=True)
    >>> derivative(softplus(x), x)
    sigmoid(x)
"""

from __future__ import annotations

from typing import Any

import sympy

from actlab.functions.formula.elementary import (
    asinh,
    atan,
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    logsigmoid,
    normal_cdf,
    sigmoid,
    sin,
    sinc,
    softplus,
    tanh,
)
from actlab.functions.formula.piecewise import (
    absolute,
    capped,
    clamped,
    maximum,
    minimum,
    reciprocal,
    rounded,
    sign,
    tamed,
    where,
)
from actlab.functions.formula.primitive import CAPS, PRIMITIVES, Expr, Primitive

__all__ = [
    "CAPS",
    "PRIMITIVES",
    "Expr",
    "Primitive",
    "absolute",
    "asinh",
    "atan",
    "canonical",
    "capped",
    "clamped",
    "cos",
    "derivative",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "logsigmoid",
    "maximum",
    "minimum",
    "normal_cdf",
    "reciprocal",
    "rounded",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "softplus",
    "sqrt",
    "tamed",
    "tanh",
    "where",
]


def sqrt(x: Any) -> Expr:
    """Return the square root, as SymPy's power one half (printed as ``sqrt`` in every target)."""
    return sympy.sqrt(x)


def derivative(expression: Expr, symbol: sympy.Symbol) -> Expr:
    """Return the derivative, with the primitives' own stable forms; at a kink, the side that torch takes.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> derivative(tanh(x), x)
        4*sigmoid(-2*x)*sigmoid(2*x)
    """
    slope = sympy.diff(expression, symbol)
    return (
        slope.replace(sympy.log, log) if slope.has(sympy.log) else slope
    )  # SymPy's own, of a power with x in its exponent


def canonical(expression: Any) -> Expr:
    """Return the expression with SymPy's own functions replaced by the primitives (an author may write ``abs(x)``)."""
    expression = sympy.sympify(expression)
    own = {
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
    for theirs, ours in own.items():
        expression = expression.replace(theirs, ours)
    return expression
