"""Spec record, an activation with a value for each parameter and an optional gradient rule.

The grammar, parsed by :func:`actlab.functions.grammar.parse`::

    gelu                                  the function at its defaults
    leaky_relu(0.02)                      parameters by position ...
    leaky_relu(negative_slope=0.02)       ... or by name
    swish(beta=learned)                   learned, one value per layer, initialized at the default
    swish(beta=learned(1.5))              learned, initialized at 1.5
    elu(alpha=learned_per_channel)        learned, one value per channel (dimension 1)
    step/rect(-0.5, 0.5)                  after a slash, the gradient rule with its parameters ...
    sigmoid/1                             ... or a constant in place of the derivative ...
    relu/grad(silu)                       ... or the derivative of another activation
    sign/arctan(scale=area)               every rule takes a scale: a number, or area or normal for a gain of 1

``str(parse(text))`` is the canonical text; equal specs have equal canonical texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import sympy

from actlab.errors import SpecError
from actlab.functions.activation import Activation
from actlab.functions.formula import Expr, canonical, derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.parameter import Learned, Parameter
from actlab.functions.rule import GRAD, Rule

__all__ = ["Backward", "Scale", "Spec", "X"]

Value = float | Learned

Scale = float | Literal["area", "normal"]

X: Final = sympy.Symbol("x", real=True)

# Expectations of the noise ingredients, which stand for them where a scale is computed.
_NOISE_MEANS: Final = {"u": sympy.Rational(1, 2), "unit": sympy.Rational(1, 2)}


@dataclass(frozen=True)
class Backward:
    """A gradient rule with a value for each of its parameters.

    Attributes:
        rule: the rule.
        assigned: pairs of parameter name and value, in the record's order.
        scale: a number that multiplies the rule; "area" makes the integral of the factor over the input 1, "normal" its mean over
            N(0, 1) inputs, so that rules are compared at equal gain (noise is replaced by its mean).
        of: the activation whose derivative ``grad(...)`` uses; None for every other rule.
    """

    rule: Rule
    assigned: tuple[tuple[str, Value], ...] = ()
    scale: Scale = 1.0
    of: Spec | None = None

    def __post_init__(self) -> None:
        if any(isinstance(value, Learned) for _, value in self.assigned) and self.rule.surrogate is None:
            raise SpecError(
                f"The parameters of the rule {self.rule.name} cannot be learned: it has no surrogate function to differentiate. "
                "Give numbers, or change them during training with a schedule."
            )
        _ = self.factor_of_scale

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the learned parameters."""
        return tuple(name for name, value in self.assigned if isinstance(value, Learned))

    @property
    def ingredients(self) -> tuple[str, ...]:
        """Ingredients of the rule beside the incoming gradient, without those that the values remove from the formula."""
        free = {symbol.name for symbol in self.gradient.free_symbols}
        needed = self.rule.ingredients if self.of is None else (*self.rule.ingredients, "x")
        return tuple(name for name in needed if name in free and name != "grad")

    @property
    def factor(self) -> Expr:
        """The factor that multiplies the gradient, with numbers for the parameters; learned ones stay symbols.

        Raises:
            TypeError: the rule is not linear in the gradient.
        """
        if not self.rule.is_linear:
            raise TypeError(f"The rule {self.rule.name} has no factor: it is not linear in the gradient.")
        return self._scaled(self.rule.expression)

    @property
    def gradient(self) -> Expr:
        """The outgoing gradient, a formula in :data:`~actlab.functions.rule.GRAD` and the ingredients."""
        return GRAD * self.factor if self.rule.is_linear else self._scaled(self.rule.expression)

    @property
    def surrogate(self) -> Expr | None:
        """The function whose derivative is the factor, or None."""
        return None if self.rule.surrogate is None else self._scaled(self.rule.surrogate)

    def _scaled(self, expression: Expr) -> Expr:
        """Return an expression with numbers for the parameters, multiplied by the scale."""
        substituted = self._substituted(expression)
        if self.factor_of_scale == 1.0:
            return canonical(substituted)
        return canonical(substituted * sympy.Float(self.factor_of_scale, 17))

    def _substituted(self, expression: Expr, learned: bool = False) -> Expr:
        """Return an expression with numbers for the parameters; with ``learned``, also the initial values of learned ones."""
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
        """The number that multiplies the rule; 1 if the spec gives no scale.

        Raises:
            SpecError: the rule has no area or mean to normalize by.
        """
        if not isinstance(self.scale, str):
            return float(self.scale)
        if not self.rule.is_linear or {"slope", "through", "shuffled", "y", "normal"} & set(self.rule.ingredients):
            raise SpecError(
                f"The gain of the rule {self.rule.name} depends on more than its input; give scale a number."
            )
        expression = self._substituted(self.rule.expression, learned=True).xreplace(
            {sympy.Symbol(name, real=True): mean for name, mean in _NOISE_MEANS.items()}
        )
        return _normalization(expression, self.scale, self.rule.name)

    def _arguments(self) -> list[str]:
        arguments = [
            f"{name}={_rule_text(value, default)}"
            for (name, value), parameter in zip(self.assigned, self.rule.parameters, strict=True)
            if value != (default := parameter.default)
        ]
        if self.of is not None:
            arguments.insert(0, str(self.of))
        if self.scale != 1.0:
            arguments.append(f"scale={_number(self.scale)}")
        return arguments

    def __repr__(self) -> str:
        return f"Backward({str(self)!r})"

    def __str__(self) -> str:
        if self.rule.name == "constant" and self.scale == 1.0 and not self.learned:
            return _number(dict(self.assigned)["value"])
        arguments = self._arguments()
        return f"{self.rule.name}({', '.join(arguments)})" if arguments else self.rule.name


def _rule_text(value: Value, default: float) -> str:
    if not isinstance(value, Learned):
        return _number(value)
    word = str(Learned(None, value.scope))
    return word if value.initial == default else f"{word}({value.initial!r})"


def _number(value: Any) -> str:
    return value if isinstance(value, str) else f"{value!r}".removesuffix(".0")


@cache
def _normalization(expression: Expr, scale: str, name: str) -> float:
    """Return the factor that makes the integral of a rule 1: against dx ("area"), or against N(0, 1) ("normal")."""
    from scipy import integrate  # noqa: PLC0415 slow to import, and few specs have such a scale

    from actlab.functions.formula.quadrature import breakpoints, normal_mean  # noqa: PLC0415 as above

    f = numeric(expression, [X])
    kinks = breakpoints(expression, X)
    if scale == "normal":
        integral = normal_mean(f, kinks)
    else:
        if not all(abs(float(f(np.array([end]))[0]) * end) < 1e-3 for end in (-1e12, 1e12)):
            raise SpecError(
                f"The area under the rule {name} is infinite; scale=normal, its mean over N(0, 1), is always finite."
            )
        edges = [-np.inf, *kinks, np.inf] if kinks else [-np.inf, 0.0, np.inf]
        parts = [integrate.quad(lambda z: float(f(np.array([z]))[0]), a, b, limit=200)[0] for a, b in pairwise(edges)]
        integral = float(np.sum(parts))
    if not abs(integral) > 1e-12:
        raise SpecError(
            f"The integral of the rule {name} is {integral:g}, which no factor makes 1; give scale a number."
        )
    return 1 / integral


@dataclass(frozen=True)
class Spec:
    """An activation with a value for each of its parameters.

    Attributes:
        activation: the record.
        assigned: pairs of parameter name and value, in the record's order; every parameter has one.
        backward: the gradient rule, or None for the true derivative.
    """

    activation: Activation
    assigned: tuple[tuple[str, Value], ...] = ()
    backward: Backward | None = None

    @property
    def forward(self) -> Spec:
        """The spec without its gradient rule.

        Example:
            >>> from actlab.functions.grammar import parse
            >>> str(parse("step/rect(-1, 1)").forward)
            'step'
        """
        return replace(self, backward=None)

    @property
    def values(self) -> Mapping[str, Value]:
        """Value of every parameter by name: a number, or :class:`Learned` with its initial value filled in."""
        return dict(self.assigned)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Number of every parameter by name; of learned ones the initial value."""
        return {name: value.initial or 0.0 if isinstance(value, Learned) else value for name, value in self.assigned}

    @property
    def formula(self) -> Expr:
        """The formula with numbers for the parameters.

        Raises:
            TypeError: the activation is tensor code and has none.

        Example:
            >>> from actlab.functions.grammar import parse
            >>> parse("dynamic_tanh(alpha=2, weight=1, bias=0)").formula
            1.0*tanh(2.0*x)
        """
        numbers = {p.symbol: sympy.Float(self.numbers[p.name], 17) for p in self.activation.parameters}
        # SymPy simplifies, as sqrt(x^2) to its own |x| once the exponent is a number.
        return canonical(self.activation.formula.xreplace(numbers))

    @property
    def needs_channels(self) -> bool:
        """Whether a parameter is learned per channel."""
        return any(isinstance(value, Learned) and value.scope == "channel" for _, value in self.assigned)

    def width(self, size: int) -> int:
        """Return the output's size along the dimension for an input of ``size``: half of it for gated functions, ``size / k`` for maxout.

        Raises:
            SpecError: the size is not divisible as needed, such as 7 elements in groups of 2.

        Example:
            >>> from actlab.functions.grammar import parse
            >>> parse("swiglu").width(8), parse("maxout(k=4)").width(8), parse("crelu").width(8)
            (4, 2, 16)
        """
        sizes = {name: sympy.Integer(value) for name, value in self.assigned if isinstance(value, int)}
        width = sympy.sympify(self.activation.width, locals=sizes | {"n": sympy.Integer(size)})
        if not width.is_Integer:
            raise SpecError(
                f"{self} returns {self.activation.width} elements for n; n = {size} is not divisible as needed."
            )
        return int(width)

    @property
    def is_default(self) -> bool:
        """Whether all parameters have their defaults and the gradient is the true one, so that the name alone is the spec."""
        return not self._arguments() and self.backward is None

    def _arguments(self) -> list[str]:
        parameters = {parameter.name: parameter for parameter in self.activation.parameters}
        return [
            f"{name}={_text(value, parameters[name])}"
            for name, value in self.assigned
            if value != parameters[name].default_value
        ]

    def __repr__(self) -> str:
        return f"Spec({str(self)!r})"

    def __str__(self) -> str:
        arguments = self._arguments()
        text = f"{self.activation.name}({', '.join(arguments)})" if arguments else self.activation.name
        return text if self.backward is None else f"{text}/{self.backward}"


def _text(value: Value, parameter: Parameter) -> str:
    if not isinstance(value, Learned):
        return f"{value!r}".removesuffix(".0")
    return (
        str(Learned(None, value.scope))
        if value.initial == parameter.default
        else f"{Learned(None, value.scope)}({value.initial!r})"
    )
