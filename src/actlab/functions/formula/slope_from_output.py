"""The slope from the output: a derivative rewritten as a function of the value, where the value tells the input.

``tanh' = (1 - y)(1 + y)``, ``softplus' = -expm1(-y)``, ``elu' = y + alpha`` below zero. A backward pass that knows it keeps the output,
which the next layer keeps anyway, and not the input as well.

Each smooth piece of a formula is inverted by rule: a primitive of a straight line, or an algebraic expression that SymPy can solve. The
pieces are put together by comparing ``y`` with the values at the breakpoints. What comes out is only a candidate: see
:mod:`actlab.codegen.saved_for_backward` for the numerical check that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import sympy

from actlab.functions.formula import (
    Expr,
    Primitive,
    asinh,
    atan,
    cos,
    derivative,
    exp,
    expm1,
    log,
    log1p,
    logsigmoid,
    sigmoid,
    softplus,
    tanh,
    where,
)
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.segments import Segment, segments

__all__ = ["slope_from_output"]

# A primitive's slope at the point where its value is u, in the form that does not cancel.
_SLOPES: Final[Mapping[type[Primitive], Callable[[Expr], Expr]]] = {
    asinh: lambda u: 2 / (exp(u) + exp(-u)),
    atan: lambda u: cos(u) ** 2,
    exp: lambda u: u,
    expm1: lambda u: u + 1,
    log: lambda u: exp(-u),
    log1p: lambda u: exp(-u),
    logsigmoid: lambda u: -expm1(u),
    sigmoid: lambda u: u * (1 - u),
    softplus: lambda u: -expm1(-u),
    tanh: lambda u: (1 - u) * (1 + u),
}


def slope_from_output(expression: Expr, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Return the derivative of a rising function as an expression in its value ``y``; None where no rule gives it.

    Args:
        expression: a formula in ``x`` alone; parameters are numbers.
        x: its input.
        y: the symbol that stands for its value.

    Example:
        >>> x, y = sympy.symbols("x y", real=True)
        >>> slope_from_output(where(x > 0, x, expm1(x)), x, y)
        where(y >= 0, 1, y + 1)
    """
    found = _merged(segments(expression, x))
    slopes = [_slope(piece, x, y) for piece in found]
    if any(slope is None for slope in slopes):
        return None
    whole: Any = slopes[0]
    for before, after, slope in zip(found[:-1], found[1:], slopes[1:], strict=True):
        whole = where(_beyond(before, after, expression, x)(y), slope, whole)
    return whole


def _merged(found: Sequence[Segment]) -> list[Segment]:
    """Join neighbours of one formula: |x| changes its side at 0 where a shrinkage is flat anyway."""
    merged = [found[0]]
    for piece in found[1:]:
        if piece.expression == merged[-1].expression:
            merged[-1] = replace(merged[-1], right=piece.right)
        else:
            merged.append(piece)
    return merged


def _beyond(before: Segment, after: Segment, expression: Expr, x: sympy.Symbol) -> Callable[[sympy.Symbol], Expr]:
    """Return the condition on the value that holds behind a breakpoint: a flat piece has its value for itself alone."""
    if not before.expression.has(x):
        return lambda y: y > _tidy(before.expression)
    if not after.expression.has(x):
        return lambda y: y >= _tidy(after.expression)
    value = _at(after.left, expression, x)
    behind = _at(after.left, derivative(after.expression, x), x)
    counts_behind = behind == _at(after.left, derivative(expression, x), x)
    return lambda y: y >= _tidy(value) if counts_behind else y > _tidy(value)


def _at(point: float, expression: Expr, x: sympy.Symbol) -> float:
    return float(numeric(expression, [x])(np.array([point]))[0])


def _tidy(value: Expr | float) -> Expr:
    number = float(value)
    return sympy.Integer(int(number)) if number == round(number) else sympy.Float(number, 17)


def _slope(piece: Segment, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Return the slope on a piece in terms of its value."""
    slope = sympy.expand(derivative(piece.expression, x))
    if not slope.has(x):
        return slope
    return _of_primitive(piece.expression, x, y) or _algebraic(piece, x, y)


def _of_primitive(expression: Expr, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Take ``a p(b x + c) + d`` apart."""
    nodes = [node for node in expression.atoms(Primitive) if node.has(x)]
    if len(nodes) != 1 or type(nodes[0]) not in _SLOPES:
        return None
    inner, u = nodes[0].args[0], sympy.Dummy("u", real=True)
    outer = sympy.expand(expression.xreplace({nodes[0]: u}))
    steepness, scale = derivative(inner, x), derivative(outer, u)
    if any(e.has(x) or e.has(u) for e in (sympy.expand(steepness), scale)):
        return None
    value = (y - outer.xreplace({u: sympy.Integer(0)})) / scale
    return sympy.expand(scale * steepness) * _SLOPES[type(nodes[0])](sympy.expand(value))


def _algebraic(piece: Segment, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Solve ``y = piece(x)`` where it is a linear or quadratic equation, and put the solution into the slope.

    Cubic ones take SymPy seconds, and their solutions cost more to compute than they save.
    """
    z, v = sympy.symbols("z v")  # of no known sign: SymPy writes no absolute values for them
    expression = sympy.nsimplify(piece.expression, rational=True).xreplace({x: z})
    equation = sympy.fraction(sympy.together(expression - v))[0]
    if expression.atoms(Primitive) or not equation.is_polynomial(z) or sympy.degree(equation, z) > 2:
        return None
    slope, at = sympy.diff(expression, z), sympy.Float(piece.inside, 17)
    value = expression.xreplace({z: at})
    for solution in sympy.solve(equation, z):
        candidate = sympy.simplify(slope.xreplace({z: solution}))
        error = abs(complex(candidate.xreplace({v: value})) - complex(slope.xreplace({z: at})))
        if error < 1e-9 and not candidate.xreplace({v: y}).has(sympy.Abs):
            return candidate.xreplace({v: y})
    return None
