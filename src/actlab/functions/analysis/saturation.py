"""Flat tails of an elementwise activation, as inputs where they begin and output levels there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, nan

import numpy as np
import sympy
from scipy.optimize import brentq

from actlab.errors import SpecError
from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import GRID
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["FLAT_SHARE", "Tails", "tails"]

# A slope counts as flat up to this share of the steepest slope.
FLAT_SHARE = 0.01
# Largest change of a level between |x| = 1e3 and 1e4, relative to itself or to 1.
_SETTLED = 0.01


@dataclass(frozen=True, kw_only=True)
class Tails:
    """The flat ends of a function, where its slope stays within 1 % of the steepest one.

    Attributes:
        left: the input below which it is flat; minus infinity where it is not.
        right: the input above which it is flat; infinity where it is not.
        left_level: its value at the left end; NaN where it is not flat there.
        right_level: its value at the right end; NaN where it is not flat there.
    """

    left: float
    right: float
    left_level: float
    right_level: float

    @property
    def both(self) -> bool:
        """Whether it saturates on both sides, as tanh does, unlike ReLU."""
        return isfinite(self.left) and isfinite(self.right)

    @property
    def saturated(self) -> tuple[float, float]:
        """Bounds outside of which a unit counts as saturated.

        Both ends, if the function saturates on both sides; otherwise the flat end only if its level is not zero: ELU near -1 is
        saturated, while ReLU, GELU and SiLU below zero are inactive, which makes them sparse.
        """
        if self.both:
            return self.left, self.right
        left = self.left if abs(self.left_level) > _SETTLED else -inf
        right = self.right if abs(self.right_level) > _SETTLED else inf
        return left, right


def tails(spec: str | Spec) -> Tails:
    """Return the flat ends of an elementwise function, from its formula; learned parameters have their initial value.

    Raises:
        SpecError: the activation is not elementwise, or the spec is invalid.

    Example:
        >>> tails("tanh").both, round(tails("tanh").right, 2), tails("tanh").right_level
        (True, 2.99, 1.0)
        >>> tails("relu").both, tails("relu").left_level, tails("relu").saturated
        (False, 0.0, (-inf, inf))
    """
    spec = parse(spec)
    if spec.activation.kind != "elementwise":
        raise SpecError(f"{spec} is a {spec.activation.kind} function; only elementwise functions have tails.")
    return _tails(spec.formula, spec.activation.inputs[0])


@cache
def _tails(expression: Expr, x: sympy.Symbol) -> Tails:
    f, df = numeric(expression, [x]), numeric(derivative(expression, x), [x])
    slopes = np.abs(df(GRID))
    steepest = float(np.nanmax(slopes))
    if not isfinite(steepest) or steepest == 0:
        return Tails(left=-inf, right=inf, left_level=nan, right_level=nan)
    flat = FLAT_SHARE * steepest
    steep = np.flatnonzero(~(slopes <= flat))

    def crossing(inner: int, outer: int) -> float:
        a, b = GRID[inner], GRID[outer]
        rest = [abs(float(df(np.array([z]))[0])) - flat for z in (a, b)]
        if not (rest[0] > 0 > rest[1]):
            return float(b)  # the slope jumps there
        return float(brentq(lambda z: abs(float(df(np.array([z]))[0])) - flat, a, b, xtol=1e-12))

    left, right = int(steep[0]), int(steep[-1])
    has_left = left > 0 and _settles(f(np.array([-1e3, -1e4])))
    has_right = right < len(GRID) - 1 and _settles(f(np.array([1e3, 1e4])))
    return Tails(
        left=crossing(left, left - 1) if has_left else -inf,
        right=crossing(right, right + 1) if has_right else inf,
        left_level=_level(f(np.array([-1e4]))) if has_left else nan,
        right_level=_level(f(np.array([1e4]))) if has_right else nan,
    )


def _settles(levels: np.ndarray) -> bool:
    near, far = map(float, levels)
    return isfinite(far) and abs(far - near) <= _SETTLED * max(1.0, abs(far))


def _level(value: np.ndarray) -> float:
    return float(value[0]) + 0.0
