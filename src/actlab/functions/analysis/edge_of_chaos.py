"""Critical initialization of an activation (edge of chaos), and bound on born-dead ReLU nets.

A layer with weights from N(0, w^2 / fan_in) and biases from N(0, b^2), on pre-activations of variance q, multiplies the squared gradient in
backward by ``chi = w^2 E f'(sqrt(q) z)^2`` and maps q to ``w^2 E f(sqrt(q) z)^2 + b^2`` (Poole et al. 2016, arXiv:1606.05340). Where q is a
fixed point and chi is 1, a net is on the edge of chaos (Schoenholz et al. 2017, arXiv:1611.01232).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod, sqrt

import numpy as np
import sympy
from scipy.optimize import brentq

from actlab.errors import SpecError
from actlab.functions.analysis.length_map import output_moments
from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints, normal_mean
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["CriticalPoint", "born_dead_bound", "critical_point", "map_norm", "slope_moment"]

# Grid of q in which a critical point is searched.
_SCALES = np.geomspace(1e-6, 1e4, 201)
# Step of the central differences of the length map.
_STEP = 1e-4


@dataclass(frozen=True, kw_only=True)
class CriticalPoint:
    """A point on the edge of chaos.

    Attributes:
        bias: standard deviation of the biases.
        weight: standard deviation of the weights, times the square root of the fan-in.
        q: variance of the pre-activations, constant over depth.
        slope: slope of the length map at q. Below 1 other variances converge to q with depth; above 1 they diverge from it.
    """

    bias: float
    weight: float
    q: float
    slope: float

    @property
    def attracts(self) -> bool:
        """Whether variances converge to q with depth, so that drawing weights and biases at these scales is enough."""
        return self.slope < 1


def slope_moment(spec: str | Spec, q: float = 1.0) -> float:
    """Return E f'(sqrt(q) z)^2 for z from N(0, 1), of an elementwise function.

    Raises:
        SpecError: the activation is not elementwise, or the spec is invalid.

    Example:
        >>> round(slope_moment("relu"), 4), round(slope_moment("tanh"), 4)
        (0.5, 0.4644)
    """
    return _slope_moment(_formula(spec), _input(spec), sqrt(q))


def critical_point(spec: str | Spec, bias: float) -> CriticalPoint:
    """Return the point on the edge of chaos for a standard deviation of the biases; the one of smallest variance, if there are several.

    Args:
        spec: an elementwise activation.
        bias: standard deviation of the biases, above 0.

    Raises:
        SpecError: the activation is not elementwise, or has no such point.

    Example:
        >>> point = critical_point("tanh", 0.2)
        >>> round(point.weight, 3), round(point.q, 3)
        (1.304, 0.512)
    """

    def excess(q: float) -> float:
        return q - output_moments(spec, q=q).second_moment / slope_moment(spec, q) - bias**2

    values = [excess(float(q)) for q in _SCALES]
    for low, high, a, b in zip(_SCALES, _SCALES[1:], values, values[1:], strict=False):
        if a * b <= 0 and np.isfinite(a * b):
            q = float(brentq(excess, low, high, xtol=1e-14, rtol=1e-13))
            squared = 1 / slope_moment(spec, q)
            up, down = (output_moments(spec, q=q * (1 + step)).second_moment for step in (_STEP, -_STEP))
            slope = squared * (up - down) / (2 * _STEP * q)
            return CriticalPoint(bias=bias, weight=sqrt(squared), q=q, slope=slope)
    raise SpecError(
        f"{parse(spec)} has no critical point for biases of standard deviation {bias:g}: at no variance between 1e-6 and 1e4 are scale "
        "and gradient both constant. Try another value, or 0 for a homogeneous function such as relu."
    )


def map_norm(spec: str | Spec) -> float:
    """Return the spectral norm of the map of mean and variance at (0, 1), with weights of mean 0 and variance 1/fan_in.

    Below 1 the map contracts around its fixed point, and the function is self-normalizing (Klambauer et al. 2017, arXiv:1706.02515).
    With weights of mean 0 the next layer does not depend on the mean, so that only derivatives by the variance remain.

    Raises:
        SpecError: the activation is not elementwise, or the spec is invalid.

    Example:
        >>> round(map_norm("selu"), 4)
        0.7877
    """
    expression, x = _formula(spec), _input(spec)
    f, kinks = numeric(expression, [x]), breakpoints(expression, x)

    def moments(variance: float) -> np.ndarray:
        scale = sqrt(variance)
        near = [kink / scale for kink in kinks]
        mean = normal_mean(lambda z: f(scale * z), near)
        return np.array([mean, normal_mean(lambda z: (f(scale * z) - mean) ** 2, near)])

    slopes = (moments(1 + _STEP) - moments(1 - _STEP)) / (2 * _STEP)
    return float(np.linalg.norm(slopes))


def born_dead_bound(widths: Sequence[int]) -> float:
    """Return an upper bound on the probability that a ReLU net is born dead, that is, constant for all inputs.

    For zero biases and weights symmetric around zero; the net is dead if all units of a layer are inactive (Lu et al. 2019,
    arXiv:1903.06733). A net of depth L has L - 1 hidden layers.

    Args:
        widths: widths of the hidden layers.

    Example:
        >>> round(born_dead_bound([2] * 9), 3), round(born_dead_bound([4] * 19), 3)
        (0.925, 0.707)
    """
    return 1 - prod(1 - 2.0**-width for width in widths)


def _formula(spec: str | Spec) -> Expr:
    spec = parse(spec)
    if spec.activation.kind != "elementwise":
        raise SpecError(
            f"{spec} is a {spec.activation.kind} function; the mean squared slope is computed for elementwise functions only."
        )
    return spec.formula


def _input(spec: str | Spec) -> sympy.Symbol:
    return parse(spec).activation.inputs[0]


@cache
def _slope(expression: Expr, x: sympy.Symbol) -> tuple[Expr, list[float]]:
    slope = derivative(expression, x)
    return slope, breakpoints(expression, x)


@cache
def _slope_moment(expression: Expr, x: sympy.Symbol, scale: float) -> float:
    slope, kinks = _slope(expression, x)
    df = numeric(slope, [x])
    return normal_mean(lambda z: df(scale * z) ** 2, [kink / scale for kink in kinks])
