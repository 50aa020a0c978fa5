"""Facts: what a function measurably is, against what its paper claims.

Everything is computed in float64 from the formula: extrema on a dense grid refined by bounded minimisation, integrals against N(0, 1) by
Gauss-Legendre panels that end at the formula's own breakpoints, smoothness from the one-sided limits of the derivatives there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import sympy
from scipy.optimize import brentq, minimize_scalar
from sympy.core.relational import Relational

from actlab.errors import SpecError
from actlab.functions.evaluate import Array, numeric
from actlab.functions.formula import Expr, absolute, cos, derivative, maximum, minimum, rounded, sign, where
from actlab.functions.spec import Spec, parse

__all__ = ["Facts", "facts", "gain", "violated_claims"]

GRID = np.concatenate([-np.geomspace(1e4, 20, 400), np.linspace(-20, 20, 40_001), np.geomspace(20, 1e4, 400)])
FLAT = 1e-9  # a derivative this small is zero: float64 rounding of functions of order 1
HIGHEST_DERIVATIVE = 3  # a kink in the fourth derivative or later counts as smooth


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was measured of a function at the values of its spec. Dimensionless; z is N(0, 1).

    Attributes:
        lower: infimum of the range.
        upper: supremum of the range.
        slope_bound: supremum of ``|f'|``.
        monotone: whether it never falls.
        smoothness: number of continuous derivatives: -1 jump, 0 kink, ``inf`` smooth.
        at_zero: f(0).
        mean: E f(z).
        second_moment: E f(z)^2.
        derivative_second_moment: E f'(z)^2.
        gain: He-type gain 1/sqrt(E f(z)^2): with weights of deviation gain/sqrt(fan_in) the signal keeps its scale.
        chi: gain^2 E f'(z)^2, by which the squared gradient grows per layer at that gain (1 is the edge of chaos).
    """

    lower: float
    upper: float
    slope_bound: float
    monotone: bool
    smoothness: float
    at_zero: float
    mean: float
    second_moment: float
    derivative_second_moment: float

    @property
    def gain(self) -> float:
        """He-type gain 1/sqrt(E f(z)^2)."""
        return 1 / sqrt(self.second_moment) if self.second_moment > 0 else inf

    @property
    def chi(self) -> float:
        """Growth of the squared gradient per layer at that gain."""
        return self.gain**2 * self.derivative_second_moment

    @property
    def zero(self) -> bool:
        """Whether f(0) = 0."""
        return abs(self.at_zero) < FLAT


def facts(spec: str | Spec) -> Facts:
    """Measure an elementwise activation at the values of its spec; learned parameters count with their initial value.

    Raises:
        SpecError: the activation has no scalar formula, or the spec cannot be read.

    Example:
        >>> round(facts("gelu").gain, 4), facts("gelu").monotone
        (1.5335, False)
    """
    spec = parse(spec)
    if spec.activation.kind != "elementwise":
        raise SpecError(
            f"{spec} is a {spec.activation.kind} function; facts of one input are measured for elementwise ones only."
        )
    return _facts(spec.formula, spec.activation.inputs[0])


def gain(spec: str | Spec) -> float:
    """Return the He-type gain 1/sqrt(E f(z)^2) for N(0, 1) inputs; gated units have independent gate and value.

    Source: He et al. 2015 (arXiv:1502.01852) for ReLU; the general form is the length map of Poole et al. 2016.

    Raises:
        SpecError: a vector function, whose second moment depends on the width.

    Example:
        >>> round(gain("relu"), 4), round(gain("selu"), 4)
        (1.4142, 1.0)
    """
    spec = parse(spec)
    kind = spec.activation.kind
    if kind == "elementwise":
        return facts(spec).gain
    if kind == "gated":
        return _gated_gain(spec.formula, spec.activation.inputs)
    if kind == "stochastic" and "dim" not in spec.values:
        return _sampled_gain(spec)
    raise SpecError(f"{spec} has no gain: the output of a vector function depends on how many elements there are.")


def violated_claims(spec: str | Spec) -> list[str]:
    """Return one sentence for each claim of the record that the measurement contradicts; empty when all hold.

    Example:
        >>> violated_claims("gelu")
        []
    """
    spec = parse(spec)
    measured = facts(spec)
    return [
        f"{spec}: {name} is claimed to be {claimed}, measured {getattr(measured, name)}"
        for name, claimed in spec.activation.claims
        if not _agree(claimed, getattr(measured, name))
    ]


def _agree(claimed: float | bool, measured: float | bool) -> bool:
    if isinstance(claimed, bool) or not isfinite(claimed) or not isfinite(measured):
        return claimed == measured
    return abs(claimed - measured) <= 1e-5 * max(1.0, abs(claimed)) + 5e-5 * abs(claimed)  # papers print five digits


@cache
def _facts(expression: Expr, x: sympy.Symbol) -> Facts:
    slope = derivative(expression, x)
    f, df = numeric(expression, [x]), numeric(slope, [x])
    kinks = breakpoints(expression, x)
    return Facts(
        lower=_infimum(f, kinks),
        upper=0.0 - _infimum(lambda z: -f(z), kinks),
        slope_bound=0.0 - _infimum(lambda z: -np.abs(df(z)), kinks),
        monotone=_never_falls(f(GRID)),
        smoothness=_smoothness(expression, x, kinks),
        at_zero=float(f(np.zeros(1))[0]),
        mean=_normal_mean(f, kinks),
        second_moment=_normal_mean(lambda z: f(z) ** 2, kinks),
        derivative_second_moment=_normal_mean(lambda z: df(z) ** 2, kinks),
    )


def _never_falls(values: Array) -> bool:
    before, after = values[:-1], values[1:]
    with np.errstate(invalid="ignore"):  # infinity minus infinity: equal, and caught by the first comparison
        return bool(np.all((after >= before) | (after - before >= -FLAT * np.maximum(1.0, np.abs(after)))))


def breakpoints(expression: Expr, x: sympy.Symbol) -> list[float]:
    """Return the inputs, ascending, at which the formula switches branch: where comparisons, maxima and absolute values change side.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> breakpoints(maximum(x, 0) + absolute(x - 2), x)
        [0.0, 2.0]
    """
    differences = [atom.lhs - atom.rhs for node in expression.atoms(where) for atom in node.args[0].atoms(Relational)]
    differences += [node.args[0] - node.args[1] for node in expression.atoms(maximum, minimum)]
    differences += [node.args[0] for node in expression.atoms(absolute, sign)]
    differences += [cos(sympy.pi * node.args[0]) for node in expression.atoms(rounded)]  # zero at the halves
    points = {
        root for difference in differences if x in difference.free_symbols for root in _roots(numeric(difference, [x]))
    }
    merged: list[float] = []
    for point in sorted(points):
        if not merged or point - merged[-1] > 1e-9:
            merged.append(point)
    return merged


def _roots(function: Callable[[Array], Array]) -> list[float]:
    values = function(GRID)
    exact = [float(point) for point in GRID[values == 0.0]]
    crossings = np.flatnonzero(values[:-1] * values[1:] < 0)
    return exact + [
        float(brentq(lambda z: float(function(np.array([z]))[0]), GRID[i], GRID[i + 1], xtol=1e-14)) for i in crossings
    ]


def _infimum(f: Callable[[Array], Array], kinks: list[float]) -> float:
    """Return the infimum: over the grid, refined around its lowest point, at the kinks' sides, and at both infinities."""
    grid = np.concatenate([GRID, [kink + side for kink in kinks for side in (-1e-12, 0.0, 1e-12)]])
    values = f(grid)
    lowest = int(np.nanargmin(values))
    candidates = [float(values[lowest]), *(float(end) for end in f(np.array([-np.inf, np.inf])) if not np.isnan(end))]
    near = np.sort(grid[np.argsort(np.abs(grid - grid[lowest]))[:5]])
    refined = minimize_scalar(
        lambda z: float(f(np.array([z]))[0]), bounds=(near[0], near[-1]), method="bounded", options={"xatol": 1e-10}
    )
    value = min(*candidates, float(refined.fun))
    return -inf if value < -1e3 else _snapped(value)  # growing waves reach their lowest point inside the grid, too


def _snapped(value: float) -> float:
    return round(value) + 0.0 if abs(value - round(value)) < 1e-9 else value


def _normal_mean(f: Callable[[Array], Array], kinks: list[float]) -> float:
    nodes, weights = panels(tuple(kink for kink in kinks if abs(kink) < 12))
    return float(np.sum(weights * f(nodes)))


@cache
def panels(kinks: tuple[float, ...], width: float = 0.5, order: int = 20) -> tuple[Array, Array]:
    """Return nodes and weights of the integral against N(0, 1) over [-12, 12], panels ending at the kinks (error below 1e-12)."""
    edges = np.unique(np.concatenate([np.arange(-12, 12 + width / 2, width), kinks]))
    node, weight = np.polynomial.legendre.leggauss(order)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    nodes = (middle[:, None] + half[:, None] * node).ravel()
    return nodes, (half[:, None] * weight).ravel() * np.exp(-(nodes**2) / 2) / sqrt(2 * np.pi)


def _smoothness(expression: Expr, x: sympy.Symbol, kinks: list[float]) -> float:
    if not kinks:  # nothing switches branch; higher derivatives are long and need not be built
        return inf
    order = -1.0
    for current in range(HIGHEST_DERIVATIVE + 1):
        f = numeric(expression, [x])
        if any(_jumps(f, kink) for kink in kinks):
            return order
        order = float(current)
        expression = derivative(expression, x)
    return inf


def _jumps(f: Callable[[Array], Array], kink: float) -> bool:
    """Tell whether the two sides differ, or one of them diverges, by more than a function continuous at the kink can move.

    A continuous function moves less on the way from 1e-6 to 1e-8 than on the way from 1e-4 to 1e-6; a pole or a logarithm does not.
    """
    steps = np.array([1e-4, 1e-6, 1e-8])
    left, right = f(kink - steps), f(kink + steps)
    gaps = np.abs(right - left)
    if not np.all(np.isfinite(gaps)) or gaps[1] > max(1e-5, 0.5 * gaps[0]):
        return True
    return any(moves[1] > max(1e-3, 0.5 * moves[0]) for moves in (np.abs(np.diff(left)), np.abs(np.diff(right))))


@cache
def _gated_gain(expression: Expr, inputs: tuple[sympy.Symbol, ...]) -> float:
    f = numeric(expression, inputs)
    nodes, weights = panels((0.0,), width=1.0, order=12)
    gate, value = np.meshgrid(nodes, nodes)
    second = float(weights @ (f(gate, value) ** 2) @ weights)
    return 1 / sqrt(second)


def _sampled_gain(spec: Spec) -> float:
    """Estimate the gain of a stochastic function from 2^20 draws with a fixed seed (relative error about 0.1 %)."""
    import torch  # noqa: PLC0415 only stochastic functions are tensor code; everything else here runs on NumPy alone

    code: Any = spec.activation.tensor_code
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = code(torch.randn(1 << 20, dtype=torch.float64), **spec.numbers, training=True)
    second = float(drawn.square().mean())
    return 1 / sqrt(second) if second > 0 else nan
