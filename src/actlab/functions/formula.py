"""Formulas: SymPy expressions over a small set of primitives.

A **primitive** owns three things that no activation should have to repeat: its derivative in a form that neither overflows nor
cancels, its spelling in every target (torch, NumPy, LaTeX, ...), and its sign of growth. A new target is a new key in each primitive's
``spelling``; a new function is an expression over the primitives and needs no code at all.

What keeps a formula finite in its tails is not the author's business either: see :mod:`actlab.functions.limits`.

Example:
    >>> import sympy
    >>> x = sympy.Symbol("x", real=True)
    >>> derivative(softplus(x), x)
    sigmoid(x)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import sympy

__all__ = [
    "CAPS",
    "PRIMITIVES",
    "Primitive",
    "absolute",
    "asinh",
    "atan",
    "capped",
    "clamped",
    "cos",
    "derivative",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "logsigmoid",
    "maximum",
    "minimum",
    "normal_cdf",
    "reciprocal",
    "rounded",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "softplus",
    "sqrt",
    "tamed",
    "tanh",
    "where",
]

Expr: TypeAlias = Any  # sympy.Expr; SymPy is untyped, and its methods answer with whatever fits
PRIMITIVES: dict[str, type[Primitive]] = {}
CAPS = {  # of an exponent, by how often its exponential is multiplied by itself before it must not overflow
    "float32": {1: 87.0, 2: 43.0},
    "float64": {1: 708.0, 2: 354.0},
}


class Primitive(sympy.Function):  # type: ignore[misc]  # SymPy has no types
    """A function that owns its stable derivative and its spelling per target.

    Class attributes:
        spelling: template per target; ``{0}``, ``{1}``, ... stand for the printed arguments.
    """

    nargs = 1
    is_commutative = True  # a condition among the arguments makes SymPy doubt it, and then refuse comparisons
    spelling: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        PRIMITIVES[cls.__name__] = cls

    def _eval_is_commutative(self) -> bool:
        return True  # all are numbers; SymPy doubts it of where, whose condition is none

    @classmethod
    def slope(cls, *args: Expr) -> tuple[Any, ...]:
        """Return the partial derivative in each argument, in a form that neither overflows nor cancels."""
        raise NotImplementedError(cls.__name__)  # abstract: every primitive below defines it

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return the partial derivative in argument ``argindex`` (counted from 1), as SymPy's chain rule asks for it."""
        return sympy.sympify(self.slope(*self.args)[argindex - 1])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        text = self.spelling["latex"].format(*(printer.doprint(argument) for argument in self.args))
        return rf"\left({text}\right)^{{{exp}}}" if exp else text


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
    """Natural logarithm; of a number near 1 write ``log1p``."""

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
    """``log(1 + e^x)``; never overflows, and has no threshold (torch's own jumps by 2e-9 at 20)."""

    spelling: ClassVar = {
        "torch": "(-F.logsigmoid(-({0})))",
        "numpy": "np.logaddexp({0}, 0.0)",
        "cpu": "softplus({0})",
        "triton": "softplus({0}, EXACT)",
        "latex": r"\operatorname{{softplus}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (sigmoid(x),)


class logsigmoid(Primitive):
    """``log sigmoid(x)``, the mirror of softplus."""

    spelling: ClassVar = {
        "torch": "F.logsigmoid({0})",
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
        "torch": "torch.erf({0})",
        "numpy": "special.erf({0})",
        "cpu": "erf({0})",
        "triton": "erf({0}, EXACT)",
        "latex": r"\operatorname{{erf}}\left({0}\right)",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (2 / sympy.sqrt(sympy.pi) * exp(-(x**2)),)


class normal_cdf(Primitive):
    """Distribution function of N(0, 1), as ``erfc(-x/sqrt 2)/2``: ``1 + erf`` loses every digit below x = -5.9 in float32."""

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
    """``sin(x) / x``, and 1 at zero (not normalised by pi)."""

    spelling: ClassVar = {
        "torch": "cardinal_sine({0})",
        "numpy": "np.sinc({0}*0.3183098861837907)",
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
        return (where(absolute(x) < 1, -x / 3 * near, (cos(x) - sinc(x)) / x),)


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
    """The larger of two. NaN in the first argument passes through; at a tie the second one counts (so relu'(0) = 0, as in torch)."""

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
        return cls(b, a) if a.is_number and not b.is_number else None  # the constant counts at a tie

    @classmethod
    def slope(cls, a: Expr, b: Expr) -> tuple[Any, ...]:
        return (where(a <= b, 0, 1), where(a <= b, 1, 0))


class minimum(Primitive):
    """The smaller of two. NaN in the first argument passes through; at a tie the second one counts (so relu6'(6) = 0)."""

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
        return cls(b, a) if a.is_number and not b.is_number else None  # the constant counts at a tie

    @classmethod
    def slope(cls, a: Expr, b: Expr) -> tuple[Any, ...]:
        return (where(a >= b, 0, 1), where(a >= b, 1, 0))


class where(Primitive):
    """``where(condition, a, b)``: a where the condition holds, else b. NaN takes the second branch."""

    nargs = 3
    spelling: ClassVar = {
        "torch": "torch.where({0}, {1}, {2})",
        "numpy": "np.where({0}, {1}, {2})",
        "cpu": "where({0}, {1}, {2})",
        "triton": "tl.where({0}, {1}, {2})",
        "latex": r"\begin{{cases}}{1} & {0}\\{2} & \text{{otherwise}}\end{{cases}}",
    }

    @classmethod
    def eval(cls, condition: Any, a: Any, b: Any) -> Any:
        if condition in (sympy.true, sympy.false):
            return a if condition == sympy.true else b
        return a if a == b else None

    def _eval_derivative(self, s: Any) -> Expr:
        condition, a, b = self.args
        return where(condition, sympy.diff(a, s), sympy.diff(b, s))


class clamped(Primitive):
    """The argument held at the square root of the largest number of its dtype (written by :mod:`actlab.functions.limits`, not by authors).

    The square root, so that ``x^2`` of a held ``x`` is still finite.

    Second argument: -1 holds it from below, 1 from above, 0 on both sides.
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
    """An exponent held where its exponential reaches the bound of :class:`clamped`.

    Written by :mod:`actlab.functions.limits`, not by authors.
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
    """An exponent held from above where its exponential (second argument 1), or the square of that (2), is near the largest number.

    Written by :mod:`actlab.functions.economy`, not by authors.
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
    """``1 / x``: where a denominator is used more than once, or its numerator could overflow, it is divided once and then multiplied.

    Written by :mod:`actlab.functions.economy`, not by authors.
    """

    spelling: ClassVar = {
        "torch": "torch.reciprocal({0})",
        "numpy": "(1.0 / {0})",
        "cpu": "(1.0 / {0})",
        "triton": "quotient(1.0, {0}, EXACT)",
        "latex": r"\frac{{1}}{{{0}}}",
    }

    @classmethod
    def slope(cls, x: Expr) -> tuple[Any, ...]:
        return (-(reciprocal(x) ** 2),)


def sqrt(x: Any) -> Expr:
    """Return the square root, as SymPy's power one half (printed as ``sqrt`` in every target)."""
    return sympy.sqrt(x)


def derivative(expression: Expr, symbol: sympy.Symbol) -> Expr:
    """Return the derivative, with the primitives' own stable forms; at a kink, the side that torch takes.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> derivative(tanh(x), x)
        4*sigmoid(-2*x)*sigmoid(2*x)
    """
    slope = sympy.diff(expression, symbol)
    return (
        slope.replace(sympy.log, log) if slope.has(sympy.log) else slope
    )  # SymPy's own, of a power with x in its exponent


def canonical(expression: Any) -> Expr:
    """Return the expression with SymPy's own functions replaced by the primitives (an author may write ``abs(x)``)."""
    expression = sympy.sympify(expression)
    own = {
        sympy.Abs: absolute,
        sympy.log: log,
        sympy.asinh: asinh,
        sympy.exp: exp,
        sympy.tanh: tanh,
        sympy.sin: sin,
        sympy.cos: cos,
        sympy.atan: atan,
        sympy.erf: erf,
    }
    for theirs, ours in own.items():
        expression = expression.replace(theirs, ours)
    return expression
