"""Formulas whose branches are chosen by minimum, maximum and masks instead of ``Where``.

onnxruntime's Where takes 4 to 8 ms for a million numbers, an addition 0.1. A choice at an edge c becomes

* a minimum or maximum, where one branch is the edge and the other the input;
* ``a(max(x, c)) + b(min(x, c))``, where both branches are 0 at the edge, as in ELU;
* a mask of 0 and 1 times each branch. A branch that is not finite beyond its own side gets the input clamped at the edge, so that 0 times
  infinity does not occur.

A choice for which none of these is known to be right stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy
from sympy.core.relational import Relational

from actlab.functions.formula import Expr, clamped, maximum, minimum, where
from actlab.functions.formula.evaluate import NAMES, fold_constants
from actlab.functions.formula.printer import compile_source, function_source

__all__ = ["without_choices"]

BOUND = 1e30  # a larger value counts as infinite: its square may be, in float32
ABOVE = (sympy.StrictGreaterThan, sympy.GreaterThan)


def without_choices(expression: Expr, inputs: Sequence[sympy.Symbol]) -> Expr:
    """Return an equal formula with as few choices as possible.

    Args:
        expression: stabilised form of a formula.
        inputs: its inputs; other symbols are learned parameters.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> without_choices(where(x > 0, x, 2 * sympy.Symbol("a", real=True) * x), [x])
        2*a*minimum(x, 0) + maximum(x, 0)
    """
    return expression.replace(lambda e: isinstance(e, where), lambda node: _replaced(node, tuple(inputs)))


def _replaced(node: where, inputs: tuple[sympy.Symbol, ...]) -> Expr:
    condition, a, b = node.args
    if not isinstance(condition, Relational) or {a, b} <= {0, 1}:
        return node
    u, edge = condition.lhs, condition.rhs
    if isinstance(condition, ABOVE):
        above, below = a, b
    else:
        above, below = b, a
    if {above, below} == {u, edge}:
        return _extremum(u, edge, larger=above == u)
    if not (a.free_symbols | b.free_symbols) & set(inputs):
        return _of_constants(condition, a, b)
    x = u.args[0] if isinstance(u, clamped) else u
    if x in inputs and edge.is_number:
        return _at_an_edge(node, x, edge, above, below)
    masks = where(condition, 1, 0), where(condition, 0, 1)
    if _is_finite(a, condition, inputs, holds=False) and _is_finite(b, condition, inputs, holds=True):
        return masks[0] * a + masks[1] * b
    return node


def _extremum(u: Expr, edge: Expr, *, larger: bool) -> Expr:
    return maximum(u, edge) if larger else minimum(u, edge)


def _of_constants(condition: Relational, a: Expr, b: Expr) -> Expr:
    if a.is_number and b.is_number and float(np.float32(float(a)) - np.float32(float(b))) == float(a) - float(b):
        return where(condition, 1, 0) * (a - b) + b
    return where(condition, 1, 0) * a + where(condition, 0, 1) * b


def _at_an_edge(node: where, x: sympy.Symbol, edge: Expr, above: Expr, below: Expr) -> Expr:
    condition = node.args[0]
    if (slope := _leaky_slope(x, edge, above, below)) is not None:
        return sympy.Symbol(f"leaky_relu({x.name}, {slope!r})", real=True)
    upper, lower = maximum(x, edge), minimum(x, edge)
    ends = [sympy.expand(fold_constants(branch.xreplace({x: edge}))) for branch in (above, below)]
    if all(end == 0 for end in ends):
        return above.xreplace({x: upper}) + below.xreplace({x: lower})
    if not all(_is_small(end) for end in ends):
        return node
    is_above = isinstance(condition, ABOVE)
    if not _is_finite(above, condition, (x,), holds=not is_above):
        above = above.xreplace({x: upper})
    if not _is_finite(below, condition, (x,), holds=is_above):
        below = below.xreplace({x: lower})
    first, second = (above, below) if is_above else (below, above)
    return where(condition, 1, 0) * first + where(condition, 0, 1) * second


def _leaky_slope(x: sympy.Symbol, edge: Expr, above: Expr, below: Expr) -> float | None:
    if edge != 0 or above != x or below == x:
        return None
    ratio = below / x
    return float(ratio) if ratio.is_number and below.is_Mul else None


def _is_small(end: Expr) -> bool:
    """Whether a branch's value at the edge is a number that a mask of 0 makes 0; parameters count as about 1."""
    if any(isinstance(part, sympy.Symbol) and "(" in part.name for part in end.free_symbols):
        return True
    value = _values(end, (), {})
    return bool(np.isfinite(value).all() and (np.abs(value) < BOUND).all())


def _is_finite(branch: Expr, condition: Relational, inputs: Sequence[sympy.Symbol], *, holds: bool) -> bool:
    """Whether a branch is finite at all inputs at which a condition holds, or does not."""
    if len({*condition.free_symbols, *branch.free_symbols} & set(inputs)) > 1:
        return False
    grid = _grid()
    x = next(iter((condition.free_symbols | branch.free_symbols) & set(inputs)), None)
    if x is None:
        return True
    chosen = _values(where(condition, 1, 0), (x,), {x: grid}) == float(holds)
    values = _values(branch, (x,), {x: grid[chosen]})
    return bool((np.abs(values) < BOUND).all())  # False for NaN


def _grid() -> Any:
    far = np.geomspace(1e-30, 1e30, 121)
    near = np.linspace(-40, 40, 3201)
    return np.concatenate([near, far, -far, near + 1e-6, near - 1e-6, [0.0, np.inf, -np.inf, 3e38, -3e38]])


def _values(expression: Expr, symbols: Sequence[sympy.Symbol], points: dict[sympy.Symbol, Any]) -> Any:
    """Return the values of an expression in float64; parameters count as about 1."""
    others = sorted(expression.free_symbols - set(symbols), key=str)
    about_one = {other: 1 + sympy.Rational(i, 16) for i, other in enumerate(others, start=1)}
    expression = fold_constants(expression.xreplace(about_one))
    if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        return np.array([np.nan])
    function = compile_source(function_source("part", list(symbols), expression, "numpy"), "part", NAMES)
    with np.errstate(all="ignore"):
        value = np.asarray(function(*(points[symbol] for symbol in symbols)), dtype=np.float64)
    return value + np.zeros(np.shape(next(iter(points.values()), 0.0)))
