"""The coupling: how a parameter of a function moves with its input, so that a rule for the input's gradient is one for the parameter's.

The true derivative of a step in its threshold is zero, as it is in its input; a rule replaces the one, and must replace the other
likewise, or the threshold is never learned. The formula alone tells: a *location* t, where ``f(x; t)`` depends on ``x - t`` only, has
``df/dt = -df/dx``; a *scale* s, where f depends on ``x / s`` only, has ``df/ds = -x/s df/dx``; a *rate* b, where it depends on ``b x``
only, has ``df/db = x/b df/dx``, where x is measured from the location, if there is one. Whatever is none of these (a height,
an offset, the step of a quantiser) has its own derivative.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from actlab.functions.activation import Activation
from actlab.functions.formula.evaluate import numeric

__all__ = ["Coupling", "coupling"]

Numbers = dict[str, np.float64]
_POINTS = np.concatenate([np.linspace(-7.3, 7.1, 289), [-33.0, 29.0]])  # off the breakpoints of round numbers


Coupling = Literal["location", "scale", "rate", "own"]


@cache
def coupling(activation: Activation, name: str) -> Coupling:
    """Tell how a parameter of an elementwise function moves with its input.

    Args:
        activation: elementwise; of tensor code nothing is known, and every parameter is its own.
        name: of the parameter.

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
    centred = {
        n: np.float64(0.0) if n != name and not parameters[n].whole and _is_location(f, numbers, n) else number
        for n, number in numbers.items()
    }
    return _scaling(f, centred, name)


def _is_location(f: Any, numbers: Numbers, name: str) -> bool:
    here = f(_POINTS, *numbers.values())
    moved = numbers | {name: numbers[name] + 0.375}
    return not np.array_equal(f(_POINTS, *moved.values()), here) and _same(f(_POINTS + 0.375, *moved.values()), here)


def _scaling(f: Any, numbers: Numbers, name: str) -> Coupling:
    """Tell whether a parameter is a scale or a rate, where every location is zero."""
    start = numbers | {name: np.float64(numbers[name] or 0.75)}
    twice, half = (start | {name: start[name] * factor} for factor in (2.0, 0.5))
    here = f(_POINTS, *start.values())
    if np.array_equal(f(_POINTS, *twice.values()), here):
        return "own"  # it changes nothing, and so it moves with nothing
    if _same(f(2 * _POINTS, *twice.values()), here):
        return "scale"
    return "rate" if _same(f(2 * _POINTS, *half.values()), here) else "own"


def _same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=1e-12))
