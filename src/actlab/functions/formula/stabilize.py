"""Rewrite formulas so that values and gradients stay finite, or take their limit, in the tails.

Authors write the formula of the paper; these rewrites are applied before code is generated.

* :func:`guard_branches`: a branch of ``where`` only gets inputs of its own region. Without it ``where(x > 0, x, expm1(x))`` has a NaN
  gradient for large ``x``: the branch not taken overflows, and zero times infinity is NaN.
* :func:`clamp_saturated_exponents`: the exponential in ``tanh(exp(x))`` stays finite, so that its gradient is 0 in the tail and not NaN.
* :func:`propagate_nan`: a step function of three or more values gives NaN for NaN, where comparisons alone give the last of them.
* :func:`clamp_products`: a product such as ``x * sigmoid(x)`` takes its limit (here 0) at minus infinity, where plain arithmetic gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import sympy
from sympy.core.relational import Relational

from actlab.functions.formula import (
    Expr,
    Primitive,
    absolute,
    clamped,
    cos,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    sin,
    tamed,
    where,
)

__all__ = ["clamp_products", "clamp_saturated_exponents", "guard_branches", "propagate_nan"]

INFINITY = float("inf")


def guard_branches(expression: Expr) -> Expr:
    """Rewrite every ``where`` so that a branch that could overflow only gets inputs of its own region.

    Conditions that compare ``x`` or ``|x|`` with something free of ``x`` are rewritten; others are left as they are.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> guard_branches(where(x > 0, x, expm1(x)))
        where(x > 0, x, expm1(where(x > 0, 0, x)))
    """
    return expression.replace(lambda e: isinstance(e, where), _guard)


def _guard(node: where) -> Expr:
    condition, a, b = node.args
    if not isinstance(condition, Relational):
        return node
    two_sided = isinstance(condition.lhs, absolute)
    x, edge = condition.lhs.args[0] if two_sided else condition.lhs, condition.rhs
    if not x.is_Symbol or x in edge.free_symbols:
        return node
    # |x| < edge holds at 0
    inside = 0 if two_sided and isinstance(condition, sympy.StrictLessThan | sympy.LessThan) else edge
    if _can_overflow(a, x):
        a = a.xreplace({x: where(condition, x, inside)})
    if _can_overflow(b, x):
        b = b.xreplace({x: where(condition, edge, x)})
    return where(condition, a, b)


def _can_overflow(branch: Expr, x: sympy.Symbol) -> bool:
    """Return whether a branch, or its slope, may be infinite or NaN at an input outside its own region."""
    powers = [power for power in branch.atoms(sympy.Pow) if x in power.free_symbols]
    grows = any(not power.exp.is_integer or power.exp.is_negative or power.exp > 2 for power in powers)
    return grows or len(powers) > 1 or bool(branch.atoms(sympy.Mul) and powers) or branch.has(exp, expm1, log, log1p)


def clamp_products(expression: Expr, inputs: Sequence[sympy.Symbol], value_at: Callable[[Expr, float], float]) -> Expr:
    """Rewrite products in which one factor goes to infinity while another goes to zero, so that they take their limit.

    Where the product vanishes (``x sigmoid(x)`` at minus infinity) the infinite factor is clamped, so that the exact zero of the other
    makes the product zero; where it does not (``x / (1 + |x|)``) the input is clamped, far out where the product has reached its limit.

    Args:
        expression: a formula.
        inputs: the symbols that go to infinity together.
        value_at: returns the value of a sub-expression where every input has the given value, in float64.
    """
    return expression.replace(
        lambda e: isinstance(e, sympy.Mul), lambda product: _clamp_product(product, inputs, value_at)
    )


def _clamp_product(
    product: sympy.Mul, inputs: Sequence[sympy.Symbol], value_at: Callable[[Expr, float], float]
) -> Expr:
    product = _with_oscillations_bounded(product, inputs, value_at)
    factors = list(product.args)
    ends = {end: [value_at(factor, end) for factor in factors] for end in (-INFINITY, INFINITY)}
    wrong = [end for end, values in ends.items() if 0.0 in values and any(map(math.isinf, values))]
    if not wrong:
        return product
    if any(abs(value_at(product, math.copysign(1e100, end))) > 1e-50 for end in wrong):
        side = _side({_sign(end) for end in wrong})
        return product.xreplace({x: clamped(x, side) for x in inputs})
    if len(wrong) == 1 and any(
        math.isinf(value) and value == other for value, other in zip(ends[wrong[0]], ends[-wrong[0]], strict=True)
    ):
        # x^2 sigmoid(x) is right at the other end and must stay infinite there: clamp the input at the wrong end only
        return product.xreplace({x: clamped(x, _sign(wrong[0])) for x in inputs})
    for index, factor in enumerate(factors):
        signs = {_sign(ends[end][index]) for end in wrong if math.isinf(ends[end][index])}
        factors[index] = clamped(factor, _side(signs)) if signs else factor
    return sympy.Mul(*factors, evaluate=False)


def _with_oscillations_bounded(
    product: sympy.Mul, inputs: Sequence[sympy.Symbol], value_at: Callable[[Expr, float], float]
) -> sympy.Mul:
    """Clamp the argument of sine and cosine beside a factor that vanishes: ``cos(5 x) e^(-x^2)`` is 0 at infinity, not NaN times 0."""
    values = [[value_at(factor, end) for factor in product.args] for end in (-INFINITY, INFINITY)]
    wrong = {
        side for side, at_end in zip((-1, 1), values, strict=True) if 0.0 in at_end and any(map(math.isnan, at_end))
    }
    if not wrong:
        return product
    held = {x: clamped(x, _side(wrong)) for x in inputs}
    return product.replace(lambda e: isinstance(e, sin | cos), lambda e: e.xreplace(held))


def clamp_saturated_exponents(expression: Expr, value_at: Callable[[Expr, float], float]) -> Expr:
    """Clamp exponentials inside a function that saturates, such as ``tanh(exp(x))``, so that they stay finite.

    The value is unchanged; the gradient in the tail becomes 0 times a finite number instead of 0 times infinity, which is NaN.

    Args:
        expression: a formula.
        value_at: as for :func:`clamp_products`.
    """

    def clamp_exponents(node: Primitive) -> Expr:
        argument = node.args[0]
        saturates = any(
            math.isinf(value_at(argument, end)) and math.isfinite(value_at(node, end)) for end in (-INFINITY, INFINITY)
        )
        if not saturates:
            return node
        return node.func(argument.replace(lambda e: isinstance(e, exp | expm1), lambda e: e.func(tamed(e.args[0]))))

    return expression.replace(
        lambda e: isinstance(e, Primitive) and len(e.args) == 1 and e.args[0].has(exp, expm1), clamp_exponents
    )


def propagate_nan(formula: Expr, inputs: Sequence[sympy.Symbol]) -> Expr:
    """Rewrite a step function that only compares its input, so that NaN stays NaN; two values stay as they are, as one bit.

    Args:
        formula: of a value; slopes are often steps too, and need no NaN.
        inputs: its inputs.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> propagate_nan(where(x > 1, 1, where(x < -1, -1, 0)), [x])
        where(x > 1, 1, where(x < -1, -1, minimum(maximum(x, 0), 0)))
    """
    if not isinstance(formula, where) or not isinstance(formula.args[2], where):
        return formula
    condition, value, rest = formula.args
    if value.free_symbols & set(inputs):
        return formula
    last = _last_held(rest, inputs[0])
    return formula if last is None else where(condition, value, last)


def _last_held(node: Expr, x: sympy.Symbol) -> Expr | None:
    """Return the branches with the last value, which NaN takes, written as a clamp of x; None if a branch is no constant."""
    if not isinstance(node, where):
        return None if x in node.free_symbols else minimum(maximum(x, node), node)
    condition, value, rest = node.args
    last = None if x in value.free_symbols else _last_held(rest, x)
    return None if last is None else where(condition, value, last)


def _side(signs: set[int]) -> int:
    """Return the side on which to clamp: -1 or 1, or 0 for both."""
    return signs.pop() if len(signs) == 1 else 0


def _sign(value: float) -> int:
    return 1 if value > 0 else -1
