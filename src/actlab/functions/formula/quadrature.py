"""Expectations over N(0, 1) inputs by Gauss-Legendre quadrature, and breakpoints of formulas."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import sqrt

import numpy as np
import sympy
from sympy.core.relational import Relational

from actlab.functions.formula import Expr, absolute, cos, maximum, minimum, rounded, sign, where
from actlab.functions.formula.evaluate import Array, numeric

__all__ = ["GRID", "breakpoints", "normal_mean", "normal_quadrature"]

GRID = np.concatenate([-np.geomspace(1e4, 20, 400), np.linspace(-20, 20, 40_001), np.geomspace(20, 1e4, 400)])


def breakpoints(expression: Expr, x: sympy.Symbol) -> list[float]:
    """Return the inputs, ascending, at which the formula switches branch (comparisons, extrema, absolute values, rounding).

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> breakpoints(maximum(x, 0) + absolute(x - 2), x)
        [0.0, 2.0]
    """
    differences = [atom.lhs - atom.rhs for node in expression.atoms(where) for atom in node.args[0].atoms(Relational)]
    differences += [node.args[0] - node.args[1] for node in expression.atoms(maximum, minimum)]
    differences += [node.args[0] for node in expression.atoms(absolute, sign)]
    differences += [cos(sympy.pi * node.args[0]) for node in expression.atoms(rounded)]  # zero halfway between integers
    points = {
        root
        for difference in differences
        if difference.free_symbols == {x}
        for root in _roots(numeric(difference, [x]))
    }
    merged: list[float] = []
    for point in sorted(points):
        if not merged or point - merged[-1] > 1e-9:
            merged.append(point)
    return merged


def _roots(function: Callable[[Array], Array]) -> list[float]:
    from scipy.optimize import brentq  # noqa: PLC0415 0.15 s of CPU to import, and a kernel's first call does without

    values = function(GRID)
    exact = [float(point) for point in GRID[values == 0.0]]
    crossings = np.flatnonzero(values[:-1] * values[1:] < 0)
    return exact + [
        float(brentq(lambda z: float(function(np.array([z]))[0]), GRID[i], GRID[i + 1], xtol=1e-14)) for i in crossings
    ]


def normal_mean(f: Callable[[Array], Array], kinks: list[float]) -> float:
    """Return E f(z) for z ~ N(0, 1), where ``kinks`` are the breakpoints of f."""
    nodes, weights = normal_quadrature(tuple(kink for kink in kinks if abs(kink) < 12))
    return float(np.sum(weights * f(nodes)))


@cache
def normal_quadrature(kinks: tuple[float, ...], width: float = 0.5, order: int = 20) -> tuple[Array, Array]:
    """Return nodes and weights of the integral against N(0, 1) over [-12, 12], split at the kinks (error below 1e-12).

    Args:
        kinks: inputs at which the integrand is not smooth.
        width: of a panel between kinks.
        order: Gauss-Legendre nodes per panel.
    """
    edges = np.unique(np.concatenate([np.arange(-12, 12 + width / 2, width), kinks]))
    node, weight = np.polynomial.legendre.leggauss(order)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    nodes = (middle[:, None] + half[:, None] * node).ravel()
    return nodes, (half[:, None] * weight).ravel() * np.exp(-(nodes**2) / 2) / sqrt(2 * np.pi)
