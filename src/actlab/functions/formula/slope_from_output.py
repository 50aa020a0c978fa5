"""Derivatives rewritten as functions of the output, so that backward saves the output only.

``tanh' = (1 - y)(1 + y)``, ``softplus' = -expm1(-y)``, ``elu' = y + alpha`` below zero. The next layer saves the output anyway, so that
the input need not be saved.

Each smooth segment of a formula is inverted by rule: a primitive of a linear function, or an algebraic expression that SymPy can solve.
The segments are joined by comparing ``y`` with the values at the breakpoints. The result is a candidate:
:mod:`actlab.codegen.saved_for_backward` checks it numerically.
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

# Slope of a primitive where its value is u, in a form that does not cancel.
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
    """Return the derivative of an increasing function as an expression in its value ``y``, or None where no rule applies.

    Args:
        expression: a formula in ``x`` alone; parameters are numbers.
        x: its input.
        y: the symbol that stands for its value.

    Example:
        >>> x, y = sympy.symbols("x y", real=True)
        >>> slope_from_output(where(x > 0, x, expm1(x)), x, y)
        where(y >= 0, 1, y + 1)
    """
    parts = _merge_equal(segments(expression, x))
    slopes = [_slope(segment, x, y) for segment in parts]
    if any(slope is None for slope in slopes):
        return None
    result: Any = slopes[0]
    for before, after, slope in zip(parts[:-1], parts[1:], slopes[1:], strict=True):
        result = where(_above_breakpoint(before, after, expression, x)(y), slope, result)
    return result


def _merge_equal(parts: Sequence[Segment]) -> list[Segment]:
    """Merge neighbors of the same formula: |x| switches branch at 0 even where a shrinkage is flat."""
    merged = [parts[0]]
    for segment in parts[1:]:
        if segment.expression == merged[-1].expression:
            merged[-1] = replace(merged[-1], right=segment.right)
        else:
            merged.append(segment)
    return merged


def _above_breakpoint(
    before: Segment, after: Segment, expression: Expr, x: sympy.Symbol
) -> Callable[[sympy.Symbol], Expr]:
    """Return the condition on the value that holds right of a breakpoint; only the flat segment takes the value of a flat segment."""
    if not before.expression.has(x):
        return lambda y: y > _number(before.expression)
    if not after.expression.has(x):
        return lambda y: y >= _number(after.expression)
    value = _value_at(after.left, expression, x)
    slope_right = _value_at(after.left, derivative(after.expression, x), x)
    belongs_right = slope_right == _value_at(after.left, derivative(expression, x), x)
    return lambda y: y >= _number(value) if belongs_right else y > _number(value)


def _value_at(point: float, expression: Expr, x: sympy.Symbol) -> float:
    return float(numeric(expression, [x])(np.array([point]))[0])


def _number(value: Expr | float) -> Expr:
    number = float(value)
    return sympy.Integer(int(number)) if number == round(number) else sympy.Float(number, 17)


def _slope(segment: Segment, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Return the slope on a segment as an expression in its value."""
    slope = sympy.expand(derivative(segment.expression, x))
    if not slope.has(x):
        return slope
    return _slope_of_primitive(segment.expression, x, y) or _slope_by_solving(segment, x, y)


def _slope_of_primitive(expression: Expr, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Return the slope of ``a p(b x + c) + d`` for a primitive p; None for any other form."""
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


def _slope_by_solving(segment: Segment, x: sympy.Symbol, y: sympy.Symbol) -> Expr | None:
    """Solve ``y = segment(x)`` where it is a linear or quadratic equation, and substitute the solution in the slope.

    Cubic equations take SymPy seconds, and evaluating their solutions costs more than it saves.
    """
    z, v = sympy.symbols("z v")  # no assumption on the sign, which would bring in absolute values
    expression = sympy.nsimplify(segment.expression, rational=True).xreplace({x: z})
    equation = sympy.fraction(sympy.together(expression - v))[0]
    if expression.atoms(Primitive) or not equation.is_polynomial(z) or sympy.degree(equation, z) > 2:
        return None
    slope, at = sympy.diff(expression, z), sympy.Float(segment.inside, 17)
    value = expression.xreplace({z: at})
    for solution in sympy.solve(equation, z):
        candidate = sympy.simplify(slope.xreplace({z: solution}))
        error = abs(complex(candidate.xreplace({v: value})) - complex(slope.xreplace({z: at})))
        if error < 1e-9 and not candidate.xreplace({v: y}).has(sympy.Abs):
            return candidate.xreplace({v: y})
    return None
