"""Formulas of activations, as SymPy expressions over a small set of primitives.

A **primitive** owns what no activation should have to repeat: its derivative in a form that neither overflows nor cancels, and its
spelling in every target (torch, NumPy, LaTeX, ...). A new target is a new key in each primitive's ``spelling``; a new function is an
expression over the primitives and needs no other code.

Authors write formulas with the names below. Keeping a formula finite in its tails is the job of
:mod:`actlab.functions.formula.stabilize`.

Example:
    >>> import sympy
    >>> x = sympy.Symbol("x", real=True)
    >>> derivative(softplus(x), x)
    sigmoid(x)
"""

from __future__ import annotations

from sympy import Eq, Ne

from actlab.functions.formula.elementary import (
    asinh,
    atan,
    cos,
    erf,
    exp,
    expm1,
    hypot,
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
from actlab.functions.formula.expression import as_written, canonical, derivative, sqrt
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
    "Eq",
    "Expr",
    "Ne",
    "Primitive",
    "absolute",
    "as_written",
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
    "hypot",
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
