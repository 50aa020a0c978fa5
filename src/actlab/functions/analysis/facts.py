"""Measured properties of activations, such as range, slope bound, smoothness, moments and gain.

Everything is computed in float64 from the formula: extrema on a dense grid refined by bounded minimisation, integrals against N(0, 1) by
Gauss-Legendre panels that end at the formula's own breakpoints, smoothness from the one-sided limits of the derivatives there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, sqrt

import numpy as np
import sympy

from actlab.errors import SpecError
from actlab.functions.analysis.length_map import output_moments
from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import Array, numeric
from actlab.functions.formula.quadrature import GRID, breakpoints, normal_mean
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["Facts", "facts", "gain", "violated_claims"]

# Smaller values count as zero: float64 rounding of functions of order 1.
FLAT = 1e-9
# A kink in a higher derivative counts as smooth.
HIGHEST_DERIVATIVE = 3


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Measured properties of a function at the parameter values of its spec; z is N(0, 1).

    Attributes:
        lower: infimum of the range.
        upper: supremum of the range.
        slope_bound: supremum of ``|f'|``.
        monotone: whether it is nondecreasing.
        smoothness: number of continuous derivatives: -1 jump, 0 kink, ``inf`` smooth.
        at_zero: f(0).
        mean: E f(z).
        second_moment: E f(z)^2.
        derivative_second_moment: E f'(z)^2.
        gain: He-type gain 1/sqrt(E f(z)^2): with weights of standard deviation gain/sqrt(fan_in) the scale of the signal is kept.
        chi: gain^2 E f'(z)^2, the growth of the squared gradient per layer at that gain (1 is the edge of chaos).
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
    """Measure an elementwise activation at the parameter values of its spec; learned parameters have their initial value.

    Raises:
        SpecError: the activation is not elementwise, or the spec is invalid.

    Example:
        >>> round(facts("gelu").gain, 4), facts("gelu").monotone
        (1.5335, False)
    """
    spec = parse(spec)
    if spec.activation.kind != "elementwise":
        raise SpecError(
            f"{spec} is a {spec.activation.kind} function; facts are measured for elementwise functions only."
        )
    return _facts(spec.formula, spec.activation.inputs[0])


def gain(spec: str | Spec, width: int | None = None, tokens: int | None = None) -> float:
    """Return the He-type gain 1/sqrt(E f(z)^2) for N(0, 1) inputs: the next layer's weights have standard deviation gain/sqrt(fan_in).

    Learned parameters have their initial value; gate and value of gated functions are independent; stochastic functions are in training
    mode. The elements of a vector are independent, the tokens of attention are equal, see
    :func:`~actlab.functions.analysis.length_map.output_moments`; tensor code is sampled, with a relative error of 0.05 to 0.5 %.

    Source: He et al. 2015 (arXiv:1502.01852) for ReLU; the general form is the length map of Poole et al. 2016.

    Args:
        spec: the activation.
        width: size of the input along the dimension; needed for vector functions only.
        tokens: number of tokens; needed for functions that mix tokens only.

    Returns:
        The gain; infinite for a function that is zero on all inputs.

    Raises:
        SpecError: the width or number of tokens is missing, or the width is not divisible as the function needs.

    Example:
        >>> round(gain("relu"), 4), round(gain("selu"), 4), round(gain("maxmin", width=512), 1)
        (1.4142, 1.0, 1.0)
    """
    spec = parse(spec)
    if "dim" in spec.numbers and width is None:
        raise SpecError(
            f"The gain of {spec} depends on the number of elements. Give it: gain({str(spec)!r}, width=512)."
        )
    if spec.activation.kind == "vector" and "dim" not in spec.numbers and None in {width, tokens}:
        raise SpecError(
            f"The gain of {spec} depends on the numbers of elements and tokens. "
            f"Give them: gain({str(spec)!r}, width=512, tokens=16)."
        )
    # The second moment of any other function depends on neither width nor tokens.
    return output_moments(spec, width or 512, tokens or 1).gain


def violated_claims(spec: str | Spec) -> list[str]:
    """Return one sentence for each claim of the record that the measurement contradicts; an empty list if all hold.

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
        mean=normal_mean(f, kinks),
        second_moment=normal_mean(lambda z: f(z) ** 2, kinks),
        derivative_second_moment=normal_mean(lambda z: df(z) ** 2, kinks),
    )


def _never_falls(values: Array) -> bool:
    before, after = values[:-1], values[1:]
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN; the first comparison covers it
        return bool(np.all((after >= before) | (after - before >= -FLAT * np.maximum(1.0, np.abs(after)))))


def _infimum(f: Callable[[Array], Array], kinks: list[float]) -> float:
    """Return the infimum over the grid, refined around its lowest point, both sides of the kinks, and both infinities."""
    grid = np.concatenate([GRID, [kink + side for kink in kinks for side in (-1e-12, 0.0, 1e-12)]])
    values = f(grid)
    lowest = int(np.nanargmin(values))
    candidates = [float(values[lowest]), *(float(end) for end in f(np.array([-np.inf, np.inf])) if not np.isnan(end))]
    near = np.sort(grid[np.argsort(np.abs(grid - grid[lowest]))[:5]])
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 # 0.1 s to import, which a study need not wait for

    refined = minimize_scalar(
        lambda z: float(f(np.array([z]))[0]), bounds=(near[0], near[-1]), method="bounded", options={"xatol": 1e-10}
    )
    value = min(*candidates, float(refined.fun))
    # The limit covers growing oscillations, which reach their lowest point on the grid inside it.
    return -inf if value < -1e3 else _round_near_integer(value)


def _round_near_integer(value: float) -> float:
    return round(value) + 0.0 if abs(value - round(value)) < 1e-9 else value


def _smoothness(expression: Expr, x: sympy.Symbol, kinks: list[float]) -> float:
    if not kinks:  # smooth; skips building the long higher derivatives
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
    """Return whether the one-sided limits at a kink differ or diverge.

    A continuous function changes less from 1e-6 to 1e-8 beside the kink than from 1e-4 to 1e-6; a pole or a logarithm does not.
    """
    steps = np.array([1e-4, 1e-6, 1e-8])
    left, right = f(kink - steps), f(kink + steps)
    gaps = np.abs(right - left)
    if not np.all(np.isfinite(gaps)) or gaps[1] > max(1e-5, 0.5 * gaps[0]):
        return True
    return any(moves[1] > max(1e-3, 0.5 * moves[0]) for moves in (np.abs(np.diff(left)), np.abs(np.diff(right))))
