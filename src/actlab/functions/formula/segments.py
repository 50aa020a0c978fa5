"""Split a piecewise formula into smooth segments between its breakpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite

import numpy as np
import sympy

from actlab.functions.formula import Expr, absolute, maximum, minimum, rounded, sign, where
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints

__all__ = ["Segment", "segments"]

_BRANCHING = (where, maximum, minimum, absolute, sign, rounded)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An interval of inputs on which a formula is smooth.

    Attributes:
        left: where it begins, or minus infinity.
        right: where it ends, or infinity.
        expression: the formula there, without branches.
    """

    left: float
    right: float
    expression: Expr

    @property
    def inside(self) -> float:
        """An input well inside."""
        if isfinite(self.left) and isfinite(self.right):
            return (self.left + self.right) / 2
        return self.left + 1.0 if isfinite(self.left) else self.right - 1.0 if isfinite(self.right) else 0.5


def segments(expression: Expr, x: sympy.Symbol) -> tuple[Segment, ...]:
    """Split a formula at its breakpoints; segments from left to right.

    Args:
        expression: a formula in ``x`` alone; parameters are numbers.
        x: its input.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> [(segment.left, segment.right, segment.expression) for segment in segments(minimum(maximum(x, 0), 6), x)]
        [(-inf, 0.0, 0), (0.0, 6.0, x), (6.0, inf, 6)]
    """
    edges = [-inf, *breakpoints(expression, x), inf]
    unresolved = (Segment(left=left, right=right, expression=expression) for left, right in pairwise(edges))
    return tuple(
        replace(segment, expression=_without_branches(expression, x, segment.inside)) for segment in unresolved
    )


def _without_branches(expression: Expr, x: sympy.Symbol, at: float) -> Expr:
    """Return the expression with every branch replaced by the one taken at ``at``."""
    return expression.replace(lambda e: isinstance(e, _BRANCHING), lambda e: _branch_at(e, x, at))


def _branch_at(node: Expr, x: sympy.Symbol, at: float) -> Expr:
    if isinstance(node, where):
        return node.args[1] if bool(node.args[0].xreplace({x: sympy.Float(at, 17)})) else node.args[2]
    first = _value(node.args[0], x, at)
    if isinstance(node, (maximum, minimum)):
        first_wins = (first > _value(node.args[1], x, at)) == isinstance(node, maximum)
        return node.args[0] if first_wins else node.args[1]
    if isinstance(node, absolute):
        return node.args[0] if first >= 0 else -node.args[0]
    return sympy.Integer(int(np.sign(first) if isinstance(node, sign) else np.round(first)))


def _value(expression: Expr, x: sympy.Symbol, at: float) -> float:
    return float(numeric(expression, [x])(np.array([at]))[0])
