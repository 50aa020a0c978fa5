"""Smooth primitives, such as exp, log, sigmoid, tanh, erf and sin, with stable derivatives."""

from __future__ import annotations

from typing import Any, ClassVar

import sympy

from actlab.functions.formula.piecewise import absolute, clamped, where
from actlab.functions.formula.primitive import Expr, Primitive

__all__ = [
    "asinh",
    "atan",
    "cos",
    "erf",
    "exp",
    "expm1",
    "hypot",
    "log",
    "log1p",
    "logsigmoid",
    "normal_cdf",
    "sigmoid",
    "sin",
    "sinc",
    "softplus",
    "tanh",
]


class exp(Primitive):
    """``e^x``."""

    spelling: ClassVar = {
        "torch": "torch.exp({0})",
        "numpy": "np.exp({0})",
        "cpu": "exp({0})",
        "triton": "exp({0}, EXACT)",
        "latex": "e^{{{0}}}",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (exp(x),)


class expm1(Primitive):
    """``e^x - 1`` without cancellation near zero."""

    spelling: ClassVar = {
        "torch": "torch.expm1({0})",
        "numpy": "np.expm1({0})",
        "cpu": "expm1({0})",
        "triton": "expm1({0}, EXACT)",
        "latex": r"\left(e^{{{0}}} - 1\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (exp(x),)


class log1p(Primitive):
    """``log(1 + x)`` without cancellation near zero."""

    spelling: ClassVar = {
        "torch": "torch.log1p({0})",
        "numpy": "np.log1p({0})",
        "cpu": "log1p({0})",
        "triton": "log1p({0}, EXACT)",
        "latex": r"\log\left(1 + {0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (1 / (1 + x),)


class log(Primitive):
    """Natural logarithm; near 1 use ``log1p``."""

    spelling: ClassVar = {
        "torch": "torch.log({0})",
        "numpy": "np.log({0})",
        "cpu": "log({0})",
        "triton": "log({0})",
        "latex": r"\log\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (1 / x,)


class asinh(Primitive):
    """Inverse hyperbolic sine; ``log(x + sqrt(x^2 + 1))`` cancels below zero."""

    spelling: ClassVar = {
        "torch": "torch.asinh({0})",
        "numpy": "np.arcsinh({0})",
        "cpu": "asinh({0})",
        "triton": "asinh({0}, EXACT)",
        "latex": r"\operatorname{{arsinh}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (1 / sympy.sqrt(1 + x**2),)


class hypot(Primitive):
    """``sqrt(x^2 + r^2)`` without overflow of the squares, where r does not grow with x.

    Inserted by :mod:`actlab.functions.formula.overflow`; authors write the root.
    """

    nargs = 2
    spelling: ClassVar = {
        "torch": "hypot({0}, {1})",
        "numpy": "hypot({0}, {1})",
        "cpu": "hypot({0}, {1})",
        "triton": "hypot({0}, {1})",
        "latex": r"\sqrt{{\left({0}\right)^{{2}} + \left({1}\right)^{{2}}}}",
    }

    @classmethod
    def slope(cls, x: Expr, r: Expr) -> tuple[Any, ...]:
        return (x / hypot(x, r), r / hypot(x, r))


class sigmoid(Primitive):
    """Logistic function ``1 / (1 + e^-x)``."""

    spelling: ClassVar = {
        "torch": "torch.sigmoid({0})",
        "numpy": "special.expit({0})",
        "cpu": "sigmoid({0})",
        "triton": "sigmoid({0}, EXACT)",
        "latex": r"\sigma\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (sigmoid(x) * sigmoid(-x),)  # s(1 - s) cancels for x > 17 in float32


class tanh(Primitive):
    """Hyperbolic tangent."""

    spelling: ClassVar = {
        "torch": "torch.tanh({0})",
        "numpy": "np.tanh({0})",
        "cpu": "tanh({0})",
        "triton": "tanh({0}, EXACT)",
        "latex": r"\tanh\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (4 * sigmoid(2 * x) * sigmoid(-2 * x),)  # 1 - tanh^2 is exactly 0 for |x| > 9 in float32


class softplus(Primitive):
    """``log(1 + e^x)``; never overflows, and has no threshold (torch's softplus jumps by 2e-9 at 20)."""

    spelling: ClassVar = {
        "torch": "(-log_sigmoid(-({0})))",
        "numpy": "np.logaddexp({0}, 0.0)",
        "cpu": "softplus({0})",
        "triton": "softplus({0}, EXACT)",
        "latex": r"\operatorname{{softplus}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (sigmoid(x),)


class logsigmoid(Primitive):
    """``log sigmoid(x)``, which is ``-softplus(-x)``."""

    spelling: ClassVar = {
        "torch": "log_sigmoid({0})",
        "numpy": "special.log_expit({0})",
        "cpu": "logsigmoid({0})",
        "triton": "logsigmoid({0}, EXACT)",
        "latex": r"\log\sigma\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (sigmoid(-x),)


class erf(Primitive):
    """Error function."""

    spelling: ClassVar = {
        "torch": "error_function({0})",
        "numpy": "special.erf({0})",
        "cpu": "erf({0})",
        "triton": "erf({0}, EXACT)",
        "latex": r"\operatorname{{erf}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (2 / sympy.sqrt(sympy.pi) * exp(-(x**2)),)


class normal_cdf(Primitive):
    """Distribution function of N(0, 1), as ``erfc(-x/sqrt 2)/2``; ``1 + erf`` has no correct digit below x = -5.9 in float32."""

    spelling: ClassVar = {
        "torch": "(0.5*torch.erfc(-0.7071067811865476*({0})))",
        "numpy": "special.ndtr({0})",
        "cpu": "normal_cdf({0})",
        "triton": "normal_cdf({0}, EXACT)",
        "latex": r"\Phi\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi),)


class sin(Primitive):
    """Sine."""

    spelling: ClassVar = {
        "torch": "torch.sin({0})",
        "numpy": "np.sin({0})",
        "cpu": "sin({0})",
        "triton": "sin({0})",
        "latex": r"\sin\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (cos(x),)


class cos(Primitive):
    """Cosine."""

    spelling: ClassVar = {
        "torch": "torch.cos({0})",
        "numpy": "np.cos({0})",
        "cpu": "cos({0})",
        "triton": "cos({0})",
        "latex": r"\cos\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (-sin(x),)


class sinc(Primitive):
    """``sin(x) / x``, 1 at zero and 0 at infinity (not normalised by pi)."""

    spelling: ClassVar = {
        "torch": "cardinal_sine({0})",
        "numpy": "cardinal_sine({0})",
        "cpu": "sinc({0})",
        "triton": "sinc({0}, EXACT)",
        "latex": r"\operatorname{{sinc}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        # (cos x - sinc x)/x cancels near zero, in float32 by 1e-5 at 0.1; the series' next term is below 2e-18 of the value at 1
        near: Expr = 1
        for ratio in (304, 238, 180, 130, 88, 54, 28, 10):
            near = 1 - x**2 / ratio * near
        return (where(absolute(x) < 1, -x / 3 * near, (cos(clamped(x, 0)) - sinc(x)) / x),)  # cos of infinity is NaN


class atan(Primitive):
    """Inverse tangent."""

    spelling: ClassVar = {
        "torch": "torch.atan({0})",
        "numpy": "np.arctan({0})",
        "cpu": "atan({0})",
        "triton": "atan({0}, EXACT)",
        "latex": r"\arctan\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (1 / (1 + x**2),)
