"""Kind of a parameter (location, scale, rate or other), by which a gradient rule extends to it.

The true derivative of a step in its threshold is zero, as it is in its input. A rule that replaces the gradient of the input must therefore
also replace that of the threshold, or the threshold is never learned. The formula determines how: a *location* t, where ``f(x; t)``
depends on ``x - t`` only, has ``df/dt = -df/dx``; a *scale* s, where f depends on ``x / s`` only, has ``df/ds = -x/s df/dx``; a *rate* b,
where f depends on ``b x`` only, has ``df/db = x/b df/dx``; x is measured from the location, if there is one. All other parameters (a
height, an offset, the step of a quantizer) have their own derivative.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from actlab.functions.activation import Activation
from actlab.functions.formula.evaluate import numeric

__all__ = ["Coupling", "coupling"]

Numbers = dict[str, np.float64]
_POINTS = np.concatenate([np.linspace(-7.3, 7.1, 289), [-33.0, 29.0]])  # avoids breakpoints at round numbers


Coupling = Literal["location", "scale", "rate", "own"]


@cache
def coupling(activation: Activation, name: str) -> Coupling:
    """Return how a parameter of an elementwise function is coupled to its input.

    Args:
        activation: elementwise; tensor code cannot be analyzed, so each of its parameters is "own".
        name: name of the parameter.

    Example:
        >>> from actlab.functions.activation import get
        >>> coupling(get("rsign"), "alpha"), coupling(get("ternary"), "threshold_value"), coupling(get("elu"), "alpha")
        ('location', 'scale', 'own')
    """
    parameters = {p.name: p for p in activation.parameters}
    if activation.expression is None or parameters[name].whole:
        return "own"
    f = numeric(activation.expression, activation.inputs, [p.symbol for p in parameters.values()])
    numbers = {n: np.float64(p.default) for n, p in parameters.items()}
    if _is_location(f, numbers, name):
        return "location"
    centered = {
        n: np.float64(0.0) if n != name and not parameters[n].whole and _is_location(f, numbers, n) else number
        for n, number in numbers.items()
    }
    return _scaling(f, centered, name)


def _is_location(f: Any, numbers: Numbers, name: str) -> bool:
    here = f(_POINTS, *numbers.values())
    moved = numbers | {name: numbers[name] + 0.375}
    return not np.array_equal(f(_POINTS, *moved.values()), here) and _same(f(_POINTS + 0.375, *moved.values()), here)


def _scaling(f: Any, numbers: Numbers, name: str) -> Coupling:
    """Return whether a parameter is a scale or a rate; all locations are zero."""
    start = numbers | {name: np.float64(numbers[name] or 0.75)}
    twice, half = (start | {name: start[name] * factor} for factor in (2.0, 0.5))
    here = f(_POINTS, *start.values())
    if np.array_equal(f(_POINTS, *twice.values()), here):
        return "own"  # the parameter has no effect
    if _same(f(2 * _POINTS, *twice.values()), here):
        return "scale"
    return "rate" if _same(f(2 * _POINTS, *half.values()), here) else "own"


def _same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=1e-12))
