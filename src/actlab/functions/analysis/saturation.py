"""Tails: where a function is flat for good, on which sides, and at which level."""

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

FLAT_SHARE = 0.01  # of the steepest slope: a slope within it counts as flat
_SETTLED = 0.01  # by which a level may still move between |x| = 1e3 and 1e4, relative to itself or to 1


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
        """Whether it saturates on both sides, as tanh does and ReLU does not."""
        return isfinite(self.left) and isfinite(self.right)

    @property
    def saturated(self) -> tuple[float, float]:
        """Bounds outside of which a unit counts as saturated, and not as switched off.

        On both sides where the function saturates on both; otherwise on the one side, if its level there is not zero: ELU at -1
        is stuck, while ReLU, GELU and SiLU below zero are off, which is what makes them sparse.
        """
        if self.both:
            return self.left, self.right
        return (self.left if abs(self.left_level) > _SETTLED else -inf), (
            self.right if abs(self.right_level) > _SETTLED else inf
        )


def tails(spec: str | Spec) -> Tails:
    """Find the flat ends of an elementwise function, from its formula; learned parameters count with their initial value.

    Raises:
        SpecError: the activation has no scalar formula, or the spec cannot be read.

    Example:
        >>> tails("tanh").both, round(tails("tanh").right, 2), tails("tanh").right_level
        (True, 2.99, 1.0)
        >>> tails("relu").both, tails("relu").left_level, tails("relu").saturated
        (False, 0.0, (-inf, inf))
    """
    spec = parse(spec)
    if spec.activation.kind != "elementwise":
        raise SpecError(f"{spec} is a {spec.activation.kind} function; only elementwise ones have tails of one input.")
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
            return float(b)  # a jump of the slope from exactly there
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
