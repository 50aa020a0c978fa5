"""Evaluate formulas as NumPy float64 functions, stabilized against overflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy

from actlab.functions.formula import CAPS, Expr, Primitive
from actlab.functions.formula.overflow import hold_vanishing_powers, without_overflow
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.formula.stabilize import clamp_products, clamp_saturated_exponents, guard_branches

__all__ = ["fold_constants", "numeric", "stabilize"]

Array = np.ndarray[Any, np.dtype[np.float64]]
LARGEST = float(np.sqrt(np.finfo(np.float64).max))


def clamped(values: Array, side: float) -> Array:
    """Clamp ``values`` at the square root of the largest number: from below (-1), from above (1) or on both sides (0)."""
    return np.clip(values, -LARGEST if side <= 0 else None, LARGEST if side >= 0 else None)


def tamed(values: Array) -> Array:
    """Clamp an exponent where its exponential reaches the bound of :func:`clamped`."""
    return np.minimum(values, np.log(LARGEST))


def capped(values: Array, times: float) -> Array:
    """Clamp an exponent where its exponential to the power ``times`` is near the largest number."""
    return np.minimum(values, CAPS["float64"][int(times)])


def cardinal_sine(values: Array) -> Array:
    """Return sin(x) / x, 1 at zero; about 0 at infinity, whose sine would be NaN."""
    return np.sinc(clamped(values, 0) * 0.3183098861837907)


def maximum(a: Array, b: Any) -> Array:
    """Return the larger; NaN in ``a`` passes through."""
    return np.where(a <= b, b, a)


def minimum(a: Array, b: Any) -> Array:
    """Return the smaller; NaN in ``a`` passes through."""
    return np.where(a >= b, b, a)


def expit(values: Array) -> Array:
    """Return the sigmoid, with its relative accuracy in both tails."""
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(np.less(values, 0), small, 1) / (1 + small))


def log_expit(values: Array) -> Array:
    """Return the logarithm of the sigmoid."""
    return np.asarray(np.minimum(values, 0) - np.log1p(np.exp(-np.abs(values))))


def erf(values: Array) -> Array:
    """Return the error function."""
    from scipy import special  # noqa: PLC0415 0.1 s of CPU to import, and a kernel's first call mostly does without

    return np.asarray(special.erf(values))


def ndtr(values: Array) -> Array:
    """Return the distribution function of N(0, 1)."""
    from scipy import special  # noqa: PLC0415 as above

    return np.asarray(special.ndtr(values))


NAMES: dict[str, Any] = {
    "np": np,
    "special": SimpleNamespace(expit=expit, log_expit=log_expit, erf=erf, ndtr=ndtr),
    "cardinal_sine": cardinal_sine,
    "capped": capped,
    "clamped": clamped,
    "hypot": np.hypot,
    "tamed": tamed,
    "maximum": maximum,
    "minimum": minimum,
}


def stabilize(expression: Expr, symbols: Sequence[sympy.Symbol]) -> Expr:
    """Return an equal expression that evaluates to a finite value or to its limit everywhere.

    Args:
        expression: a formula whose parameters are numbers, or symbols, which are taken as about 1 where limits are computed.
        symbols: the inputs, which go to infinity together.
    """

    def value_at(part: Expr, value: float) -> float:
        return _value_at(part, tuple(symbols), value)

    expression = hold_vanishing_powers(fold_constants(expression), value_at)
    expression = clamp_saturated_exponents(guard_branches(expression), value_at)
    return without_overflow(clamp_products(expression, symbols, value_at), value_at)


def fold_constants(expression: Expr) -> Expr:
    """Return the expression with every primitive of constants, as in ``softplus(0.5) * x``, replaced by its value.

    Example:
        >>> from actlab.functions.formula import softplus
        >>> fold_constants(softplus(0) * sympy.Symbol("x")).evalf(6)
        0.693147*x
    """

    def value(part: Primitive) -> sympy.Float:
        return sympy.Float(
            float(compile_source(function_source("constant", [], part, "numpy"), "constant", NAMES)()), 17
        )

    return expression.replace(lambda e: isinstance(e, Primitive) and not e.free_symbols, value)


@cache
def _value_at(part: Expr, symbols: tuple[sympy.Symbol, ...], value: float) -> float:
    if not part.free_symbols & set(symbols):
        return 1.0  # a constant neither grows nor vanishes
    parameters = sorted(part.free_symbols - set(symbols), key=str)
    # All near 1, but neither 1 nor equal, so that differences such as 1 - t and s - e are not 0.
    others = {symbol: 1 + sympy.Rational(i, 16) for i, symbol in enumerate(parameters, start=1)}
    function = _function(fold_constants(part.xreplace(others)), symbols)
    return float(function(*(np.array([value]) for _ in symbols))[0])


@cache
def _function(expression: Expr, symbols: tuple[sympy.Symbol, ...]) -> Callable[..., Array]:
    text = function_source("formula", symbols, expression, "numpy")
    inner = compile_source(text, "formula", NAMES)

    def formula(*values: Array) -> Array:
        with np.errstate(all="ignore"):  # overflow to infinity is intended here
            return np.asarray(inner(*values), dtype=np.float64) + np.zeros(
                np.broadcast_shapes(*(v.shape for v in values))
            )

    return formula


def numeric(
    expression: Expr, symbols: Sequence[sympy.Symbol], parameters: Sequence[sympy.Symbol] = ()
) -> Callable[..., Array]:
    """Return a NumPy function of float64 arrays (any equal shapes) that computes ``expression`` in its stabilized form.

    Args:
        expression: a formula.
        symbols: the inputs.
        parameters: further symbols that the function takes after the inputs; they broadcast against them.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> from actlab.functions.formula import sigmoid
        >>> numeric(x * sigmoid(x), [x])(np.array([-np.inf, 0.0, np.inf])).tolist()
        [0.0, 0.0, inf]
    """
    return _numeric(expression, tuple(symbols), tuple(parameters))


@cache
def _numeric(
    expression: Expr, symbols: tuple[sympy.Symbol, ...], parameters: tuple[sympy.Symbol, ...]
) -> Callable[..., Array]:
    return _function(stabilize(expression, symbols), (*symbols, *parameters))
