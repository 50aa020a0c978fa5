"""The backward of a spec: a gradient rule with its values, written behind a slash, as in ``step/rect(-0.5, 0.5)``.

Example:
    >>> from actlab.functions.spec import parse
    >>> backward = parse("sign/sigmoid(k=2)").backward
    >>> str(backward), backward.gradient
    ('sigmoid(k=2)', 2.0*grad*sigmoid(-2.0*x)*sigmoid(2.0*x))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import sympy

from actlab.errors import SpecError
from actlab.functions.evaluate import numeric
from actlab.functions.formula import Expr, canonical, derivative
from actlab.functions.parameter import Learned
from actlab.functions.rule import GRAD, Rule

if TYPE_CHECKING:
    from actlab.functions.spec import Spec

__all__ = ["Backward", "Scale", "X"]

Value = float | Learned
Scale = float | Literal["area", "normal"]
X: Final = sympy.Symbol("x", real=True)
_NOISE_MEANS: Final = {"u": sympy.Rational(1, 2), "unit": sympy.Rational(1, 2)}


@dataclass(frozen=True)
class Backward:
    """A rule with a value for each of its parameters.

    Attributes:
        rule: the record.
        assigned: pairs of parameter name and value, in the record's order.
        scale: a number that multiplies the rule; "area" makes the integral of the factor over the input 1, "normal" its mean over
            inputs from N(0, 1), so that rules are compared at equal gain (noise counts with its mean).
        of: the activation whose derivative ``grad(...)`` takes; None for every other rule.
    """

    rule: Rule
    assigned: tuple[tuple[str, Value], ...] = ()
    scale: Scale = 1.0
    of: Spec | None = None

    def __post_init__(self) -> None:
        if any(isinstance(value, Learned) for _, value in self.assigned) and self.rule.surrogate is None:
            raise SpecError(
                f"The rule {self.rule.name} is not the derivative of a function that we know, so that its parameters have no gradient; "
                "give numbers, or change them while training with a schedule."
            )
        _ = self.factor_of_scale

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the learned parameters."""
        return tuple(name for name, value in self.assigned if isinstance(value, Learned))

    @property
    def ingredients(self) -> tuple[str, ...]:
        """What the gradient is made of beside the arriving one, as far as the values leave it in the formula."""
        free = {symbol.name for symbol in self.gradient.free_symbols}
        needed = self.rule.ingredients if self.of is None else (*self.rule.ingredients, "x")
        return tuple(name for name in needed if name in free and name != "grad")

    @property
    def factor(self) -> Expr:
        """The factor that multiplies the gradient, with numbers in the parameters' places; learned ones stay symbols.

        Raises:
            TypeError: the rule is not linear in the gradient.
        """
        if not self.rule.is_linear:
            raise TypeError(f"{self.rule.name} is no factor: it is not linear in the gradient.")
        return self._filled(self.rule.expression)

    @property
    def gradient(self) -> Expr:
        """The gradient that leaves, a formula in :data:`~actlab.functions.rule.GRAD` and the ingredients."""
        return GRAD * self.factor if self.rule.is_linear else self._filled(self.rule.expression)

    @property
    def surrogate(self) -> Expr | None:
        """The function whose derivative the factor is, where the rule has one."""
        return None if self.rule.surrogate is None else self._filled(self.rule.surrogate)

    def _filled(self, expression: Expr) -> Expr:
        return (
            canonical(self._numbered(expression) * sympy.Float(self.factor_of_scale, 17))
            if (self.factor_of_scale != 1.0)
            else canonical(self._numbered(expression))
        )

    def _numbered(self, expression: Expr, learned: bool = False) -> Expr:
        """Return an expression with its numbers in place, those that are learned at their initial values if asked for."""
        numbers = {}
        for name, value in self.assigned:
            if not isinstance(value, Learned) or learned:
                number = (value.initial or 0.0) if isinstance(value, Learned) else value
                numbers[sympy.Symbol(name, real=True)] = sympy.Float(number, 17)
        if self.of is not None:
            record = self.of.activation
            numbers[sympy.Symbol("other", real=True)] = derivative(self.of.formula, record.inputs[0]).xreplace(
                {record.inputs[0]: X}
            )
        return canonical(expression.xreplace(numbers))

    @property
    def factor_of_scale(self) -> float:
        """The number that multiplies the rule: 1 if the spec says nothing of the scale.

        Raises:
            SpecError: the scale asked for does not exist.
        """
        if not isinstance(self.scale, str):
            return float(self.scale)
        if not self.rule.is_linear or {"slope", "through", "shuffled", "y", "normal"} & set(self.rule.ingredients):
            raise SpecError(f"The gain of {self.rule.name} depends on more than its input; give scale a number.")
        expression = self._numbered(self.rule.expression, learned=True).xreplace(
            {sympy.Symbol(name, real=True): mean for name, mean in _NOISE_MEANS.items()}
        )
        return _unit(expression, self.scale, self.rule.name)

    def _arguments(self) -> list[str]:
        given = [
            f"{name}={_text(value, default)}"
            for (name, value), parameter in zip(self.assigned, self.rule.parameters, strict=True)
            if value != (default := parameter.default)
        ]
        if self.of is not None:
            given.insert(0, str(self.of))
        if self.scale != 1.0:
            given.append(f"scale={_number(self.scale)}")
        return given

    def __str__(self) -> str:
        if self.rule.name == "constant" and self.scale == 1.0 and not self.learned:
            return _number(dict(self.assigned)["value"])
        arguments = self._arguments()
        return f"{self.rule.name}({', '.join(arguments)})" if arguments else self.rule.name


def _text(value: Value, default: float) -> str:
    if not isinstance(value, Learned):
        return _number(value)
    word = str(Learned(None, value.scope))
    return word if value.initial == default else f"{word}({value.initial!r})"


def _number(value: Any) -> str:
    return value if isinstance(value, str) else f"{value!r}".removesuffix(".0")


@cache
def _unit(expression: Expr, scale: str, name: str) -> float:
    """Return the factor that makes an integral 1: against dx, or against N(0, 1)."""
    from scipy import integrate  # noqa: PLC0415 few specs ask for a scale, and all would wait for it

    from actlab.functions.integrals import breakpoints, normal_mean  # noqa: PLC0415 as above

    f = numeric(expression, [X])
    kinks = breakpoints(expression, X)
    if scale == "normal":
        whole = normal_mean(f, kinks)
    else:
        if not all(abs(float(f(np.array([end]))[0]) * end) < 1e-3 for end in (-1e12, 1e12)):
            raise SpecError(f"The area under {name} is infinite; scale=normal, its mean over N(0, 1), always exists.")
        edges = [-np.inf, *kinks, np.inf] if kinks else [-np.inf, 0.0, np.inf]
        parts = [integrate.quad(lambda z: float(f(np.array([z]))[0]), a, b, limit=200)[0] for a, b in pairwise(edges)]
        whole = float(np.sum(parts))
    if not abs(whole) > 1e-12:
        raise SpecError(f"The rule {name} sums up to {whole:g}, which no factor makes 1; give scale a number.")
    return 1 / whole
