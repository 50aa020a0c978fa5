"""Piecewise primitives, such as where, maximum and sign, and clamps against overflow."""

from __future__ import annotations

from typing import Any, ClassVar

import sympy
from sympy.logic.boolalg import BooleanFunction

from actlab.functions.formula.primitive import Expr, Primitive

__all__ = [
    "absolute",
    "capped",
    "clamped",
    "maximum",
    "minimum",
    "reciprocal",
    "rounded",
    "sign",
    "tamed",
    "where",
]


class absolute(Primitive):
    """``|x|``; its derivative at 0 is 0, as in torch. Python's ``abs`` on a formula means this."""

    spelling: ClassVar = {
        "torch": "torch.abs({0})",
        "numpy": "np.abs({0})",
        "cpu": "absolute({0})",
        "triton": "absolute({0})",
        "latex": r"\left|{0}\right|",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (sign(x),)


class sign(Primitive):
    """-1, 0 or 1."""

    spelling: ClassVar = {
        "torch": "torch.sign({0})",
        "numpy": "np.sign({0})",
        "cpu": "sign({0})",
        "triton": "sign({0})",
        "latex": r"\operatorname{{sgn}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (0,)


class rounded(Primitive):
    """The nearest whole number; halves go to the even one, as in torch and NumPy."""

    spelling: ClassVar = {
        "torch": "torch.round({0})",
        "numpy": "np.round({0})",
        "cpu": "rounded({0})",
        "triton": "rounded({0})",
        "latex": r"\operatorname{{round}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (0,)


class maximum(Primitive):
    """The larger of two. NaN in the first argument passes through; at a tie the slope is that of the second (relu'(0) = 0, as in torch)."""

    nargs = 2
    spelling: ClassVar = {
        "torch": "maximum({0}, {1})",
        "numpy": "maximum({0}, {1})",
        "cpu": "maximum({0}, {1})",
        "triton": "maximum({0}, {1})",
        "latex": r"\max\left({0},\,{1}\right)",
    }

    @classmethod
    def eval(cls, a: Any, b: Any) -> Any:
        return cls(b, a) if a.is_number and not b.is_number else None  # the constant's slope, 0, at a tie

    @classmethod
    def slope(cls, a: Expr, b: Expr) -> tuple[Any, ...]:
        return (where(a <= b, 0, 1), where(a <= b, 1, 0))


class minimum(Primitive):
    """The smaller of two. NaN in the first argument passes through; at a tie the slope is that of the second (relu6'(6) = 0)."""

    nargs = 2
    spelling: ClassVar = {
        "torch": "minimum({0}, {1})",
        "numpy": "minimum({0}, {1})",
        "cpu": "minimum({0}, {1})",
        "triton": "minimum({0}, {1})",
        "latex": r"\min\left({0},\,{1}\right)",
    }

    @classmethod
    def eval(cls, a: Any, b: Any) -> Any:
        return cls(b, a) if a.is_number and not b.is_number else None  # the constant's slope, 0, at a tie

    @classmethod
    def slope(cls, a: Expr, b: Expr) -> tuple[Any, ...]:
        return (where(a >= b, 0, 1), where(a >= b, 1, 0))


class where(Primitive):
    """``where(condition, a, b)``: a where the condition holds, else b. NaN takes the second branch.

    A condition of several comparisons, ``(x > -1) & (x < 1)``, becomes one choice inside another, and so do ``Eq(x, 0)`` and
    ``Ne(x, 0)``, which stand for ``==`` and ``!=``.
    """

    nargs = 3
    spelling: ClassVar = {
        "torch": "torch.where({0}, {1}, {2})",
        "numpy": "np.where({0}, {1}, {2})",
        "cpu": "where({0}, {1}, {2})",
        "triton": "tl.where({0}, {1}, {2})",
        "c99": "({0} ? {1} : {2})",
        "latex": r"\begin{{cases}}{1} & {0}\\{2} & \text{{otherwise}}\end{{cases}}",
    }

    @classmethod
    def eval(cls, condition: Any, a: Any, b: Any) -> Any:
        if condition in (sympy.true, sympy.false):
            return a if condition == sympy.true else b
        if isinstance(condition, BooleanFunction):
            return _nested(condition, a, b)
        if isinstance(condition, sympy.Eq):
            return where(condition.lhs <= condition.rhs, where(condition.lhs >= condition.rhs, a, b), b)
        if isinstance(condition, sympy.Ne):  # NaN takes the first branch, as in torch
            return where(sympy.Eq(condition.lhs, condition.rhs), b, a)
        return a if a == b else None

    def _eval_derivative(self, s: Any) -> Expr:
        condition, a, b = self.args
        return where(condition, sympy.diff(a, s), sympy.diff(b, s))


def _nested(condition: Any, a: Expr, b: Expr) -> Expr:
    """Return a choice by several comparisons as choices by one each."""
    if isinstance(condition, sympy.And):
        first, *others = condition.args
        return where(first, where(sympy.And(*others), a, b), b)
    if isinstance(condition, sympy.Or):
        first, *others = condition.args
        return where(first, a, where(sympy.Or(*others), a, b))
    return where(sympy.to_dnf(condition), a, b)  # Not, Xor and the like


class clamped(Primitive):
    """The argument clamped at the square root of the largest number of its dtype, so that its square is finite.

    Second argument: -1 clamps it from below, 1 from above, 0 on both sides.

    Inserted by :mod:`actlab.functions.formula.stabilize`; authors do not write it.
    """

    nargs = 2
    spelling: ClassVar = {
        "torch": "clamped({0}, {1})",
        "numpy": "clamped({0}, {1})",
        "cpu": "clamped({0}, {1})",
        "triton": "clamped({0}, {1})",
        "latex": "{0}",
    }

    @classmethod
    def slope(cls, x: Expr, side: Expr) -> tuple[Any, ...]:
        return (1, 0)


class tamed(Primitive):
    """An exponent clamped from above, where its exponential reaches the bound of :class:`clamped`.

    Inserted by :mod:`actlab.functions.formula.stabilize`; authors do not write it.
    """

    spelling: ClassVar = {
        "torch": "tamed({0})",
        "numpy": "tamed({0})",
        "cpu": "tamed({0})",
        "triton": "tamed({0})",
        "latex": "{0}",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (1,)


class capped(Primitive):
    """An exponent clamped from above, where its exponential (second argument 1) or the square of it (2) is near the largest number.

    Inserted by :mod:`actlab.functions.formula.strength_reduction`; authors do not write it.
    """

    nargs = 2
    spelling: ClassVar = {
        "torch": "capped({0}, {1})",
        "numpy": "capped({0}, {1})",
        "cpu": "capped({0}, {1})",
        "triton": "capped({0}, int({1}))",
        "latex": "{0}",
    }

    @classmethod
    def slope(cls, x: Expr, times: Expr) -> tuple[Any, ...]:
        return (1, 0)


class reciprocal(Primitive):
    """``1 / x``, multiplied by where a denominator is used more than once or its numerator could overflow.

    Inserted by :mod:`actlab.functions.formula.strength_reduction`.
    """

    spelling: ClassVar = {
        "torch": "torch.reciprocal({0})",
        "numpy": "(1.0 / {0})",
        "cpu": "(1.0 / {0})",
        "triton": "quotient(1.0, {0}, EXACT)",
        "c99": "(1.0f / {0})",
        "latex": r"\frac{{1}}{{{0}}}",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (-(reciprocal(x) ** 2),)
