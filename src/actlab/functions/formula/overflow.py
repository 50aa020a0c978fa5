"""Rewriting of parts of formulas that overflow where the function itself is finite.

Authors write the formula of the paper, as ``sqrt(x^2 + b)``, whose square is infinite from 1.8e19 in float32. The rewritten parts compute
the same numbers up to rounding, are used in code only, and hold in every dtype:

* ``sqrt(q^2 + r^2)`` is ``|q|`` where the square overflows; r is a number, or a parameter that stands squared.
* ``log1p(q^2)`` is ``2 log1p(|q|)`` there, and ``log1p(c q)`` the sum of two logarithms.
* ``c e^q`` for ``|c| < 1`` is ``(c e^48) e^(q - 48)`` beyond ``q = 64``.
* ``e^(p log q)`` for a positive ``p`` is 0 long before ``q`` is subnormal, where ``1 / q`` in its derivative is infinite.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

import sympy

from actlab.functions.formula import Expr, absolute, exp, expm1, hypot, log, log1p, maximum, where

__all__ = ["hold_vanishing_powers", "without_overflow"]

ValueAt: TypeAlias = Callable[[Expr, float], float]
Largest: TypeAlias = Callable[..., float]
LARGEST: Final = sys.float_info.max
FAR: Final = 2.0**120  # a product above it may be infinite in float32; beside it 1 is below the last bit in every dtype
STEP: Final = 62  # binary places by which a product is reduced: 2^128 times a factor of 2^60 then fits float32
NEAR_OVERFLOW: Final = 64  # an exponent from which the exponential may be near the largest number
SHIFT: Final = 48  # of exponents; subtracting it from the larger ones is exact
NEAREST: Final = 1e-30  # a power of smaller numbers counts as that of this one
VANISHED: Final = 1e-37


def without_overflow(expression: Expr, value_at: ValueAt) -> Expr:
    """Rewrite roots, logarithms and exponentials so that they overflow only where their value does.

    Args:
        expression: a formula.
        value_at: returns the value of a sub-expression where every input has the given value, in float64.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> without_overflow(sympy.sqrt(x**2 + 4), lambda part, value: float(part.subs(x, value)))
        hypot(x, 2)
    """

    def largest(part: Expr, at: float = LARGEST) -> float:
        return max(value_at(part, end) for end in (-at, at))

    if expression.has(sympy.Pow):
        expression = expression.replace(_is_root, lambda node: _root(node, largest))
    if expression.has(log1p):
        expression = expression.replace(lambda e: isinstance(e, log1p), lambda node: _logarithm(node, largest))
    if expression.has(exp, expm1):
        expression = expression.replace(_is_small_multiple, lambda node: _multiple(node, largest))
    return expression


def _is_root(e: Expr) -> bool:
    return bool(e.is_Pow and abs(e.exp) == sympy.Rational(1, 2) and e.base.is_Add)


def _root(node: Expr, largest: Largest) -> Expr:
    # Below a fraction line only the multiple of a square counts, of an input clamped at the root of the largest number.
    at = LARGEST if node.exp > 0 else math.sqrt(LARGEST)
    growing = [term for term in node.base.args if largest(term, at) == math.inf]
    if len(growing) != 1:
        return node
    q, r = _root_of_square(growing[0]), _root_of_square(node.base - growing[0])
    return node if q is None or r is None else hypot(q, r) ** (2 * node.exp)


def _root_of_square(product: Expr) -> Expr | None:
    """Return q for ``q^2``, numbers from 0 up among its factors; None for other expressions."""
    root: Expr = sympy.Integer(1)
    for factor in sympy.Mul.make_args(product):
        if factor.is_Number and factor >= 0:
            root *= sympy.sqrt(factor)
        elif factor.is_Pow and factor.exp == 2:
            root *= factor.base
        else:
            return None
    return root


def _logarithm(node: Expr, largest: Largest) -> Expr:
    product = node.args[0]
    if not (product.is_Mul or product.is_Pow) or largest(product) < math.inf:
        return node
    far, q = product > FAR, _root_of_square(product)
    if q is not None:
        value = log1p(where(far, absolute(q), product))
        return where(far, 2 * value, value)
    growing = [factor for factor in product.args if largest(absolute(factor)) > FAR]
    if len(growing) != 1 or growing[0].is_Pow:
        return node
    held = where(far, growing[0] * 2.0**-STEP, growing[0])
    value = log1p(product / growing[0] * held)
    return where(far, value + STEP * math.log(2), value)


def _is_small_multiple(e: Expr) -> bool:
    return bool(e.is_Mul and len(e.args) == 2 and e.args[0].is_Number and 0 < abs(e.args[0]) < 1)


def _multiple(node: Expr, largest: Largest) -> Expr:
    number, other = node.args
    terms = sympy.Add.make_args(other)
    lifted = [_lifted(number, term) if _is_exponential(term) and largest(term) == math.inf else None for term in terms]
    if not any(lifted):
        return node
    return sympy.Add(*(part or number * term for part, term in zip(lifted, terms, strict=True)))


def _is_exponential(term: Expr) -> bool:
    """Return whether a term is ``e^q``, ``e^q - 1`` or a multiple of one."""
    return isinstance(term.as_coeff_Mul()[1], exp | expm1)


def _lifted(number: Expr, term: Expr) -> Expr:
    factor, node = term.as_coeff_Mul()
    q = node.args[0]
    far = q > NEAR_OVERFLOW
    value = node.func(where(far, q - SHIFT, q))
    return where(far, number * factor * math.exp(SHIFT) * value, number * factor * value)


def hold_vanishing_powers(expression: Expr, value_at: ValueAt) -> Expr:
    """Hold the base of powers that are written by exp and log, and of which nothing is left near zero, above subnormal numbers.

    Args:
        expression: a formula, or the derivative of one.
        value_at: as for :func:`without_overflow`.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> hold_vanishing_powers(exp(3 * log(x)) / x, lambda part, value: value**3)
        exp(3*log(maximum(x, 1.0e-30)))/maximum(x, 1.0e-30)
    """
    if not (expression.has(exp) and expression.has(log)):
        return expression
    vanishing = [e for e in expression.atoms(exp) if e.args[0].has(log) and abs(value_at(e, NEAREST)) < VANISHED]
    bases = {logarithm.args[0] for power in vanishing for logarithm in power.args[0].atoms(log)}
    held = {base: _held(base) for base in bases if base.free_symbols}
    return expression.xreplace({base: new for base, new in held.items() if new is not None})


def _held(base: Expr) -> Expr | None:
    if base.is_Symbol:
        return maximum(base, NEAREST)
    if isinstance(base, where) and base.args[1].is_Symbol and not base.args[2].free_symbols:
        return where(base.args[0], maximum(base.args[1], NEAREST), base.args[2])
    return None
