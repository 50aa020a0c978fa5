"""The gradient reading of a rule: torch code of what leaves an activation backward, and what it must keep for it.

A spec with a rule is two functions. The forward one is read by :mod:`actlab.readings.torch`; here are the rule's factor, its
derivative (for those who differentiate twice), and its surrogate, each as plain tensor code that computes in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, cast

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.functions.activation import Activation
from actlab.functions.backward import Backward, X
from actlab.functions.coupling import coupling
from actlab.functions.evaluate import numeric
from actlab.functions.formula import Expr, canonical, derivative, rounded
from actlab.functions.integrals import GRID
from actlab.functions.parameter import Learned, Parameter
from actlab.functions.passes import times
from actlab.functions.pieces import pieces
from actlab.functions.rule import GRAD
from actlab.functions.spec import Spec
from actlab.readings import counter_noise
from actlab.readings import torch as reading

__all__ = ["Gradient"]

Code = Callable[..., Tensor]
NOISE: Final = {"u", "normal", "shuffled"}
MOST_LEVELS: Final = 16  # beyond four bits an element, the bookkeeping costs more than it saves
U: Final = sympy.Symbol("u", real=True)


@dataclass(frozen=True)
class Gradient:
    """How the gradient passes a spec.

    Attributes:
        spec: with a rule.
        open: names of the rule's parameters that are given when it runs: learned ones, and those on a schedule.
    """

    spec: Spec
    open: tuple[str, ...] = ()

    @property
    def backward(self) -> Backward:
        """The rule and its values."""
        return cast("Backward", self.spec.backward)  # only specs with a rule come here

    @cached_property
    def ingredients(self) -> tuple[str, ...]:
        """What the rule is made of beside the arriving gradient."""
        return self.backward.ingredients

    @property
    def is_noisy(self) -> bool:
        """Whether a key is to be drawn in every call."""
        return not NOISE.isdisjoint(self.ingredients)

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """Names of the forward function's learned parameters from which the rule measures its input."""
        return tuple(
            name
            for name, value in self.spec.assigned
            if isinstance(value, Learned) and coupling(self.spec.activation, name) == "location"
        )

    @property
    def parameters(self) -> tuple[str, ...]:
        """What the code takes after the ingredients: the learned locations, then the rule's open parameters."""
        return (*self.locations, *self.open)

    @cached_property
    def code(self) -> Code:
        """The gradient as a function of the arriving one, the ingredients, and the parameters."""
        expression = self._placed(self._opened.gradient)
        if self.backward.rule.is_linear:
            expression = times(GRAD, self._placed(self._opened.factor))
        return self._code(expression, [GRAD, *map(_symbol, self.ingredients)])

    @cached_property
    def factor(self) -> Code:
        """The factor of a linear rule as a function of the input, the ingredients without it, and the parameters."""
        return self._code(self._placed(self._opened.factor), [X, *map(_symbol, self.others)])

    @property
    def others(self) -> tuple[str, ...]:
        """The ingredients beside the input."""
        return tuple(name for name in self.ingredients if name != "x")

    @cached_property
    def curvature(self) -> Code | None:
        """The derivative of the factor in the input, by the same arguments; None where it is zero everywhere."""
        bent = self._placed(derivative(self._opened.factor, X))
        f = numeric(bent, [X], sorted(bent.free_symbols - {X}, key=str))
        rest = [np.float64(0.7) for _ in bent.free_symbols - {X}]
        if not np.any(f(GRID, *rest)):
            return None
        return self._code(bent, [X, *map(_symbol, self.others)])

    @cached_property
    def surrogate(self) -> Code | None:
        """The function whose derivative the factor is, of the input and the parameters."""
        found = self._opened.surrogate
        return None if found is None else self._code(self._placed(found), [X])

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The values that the factor takes (of a noisy one: what multiplies ``u``), if they are few and the input alone decides."""
        if self.parameters or not self.backward.rule.is_linear or not {*self.ingredients} <= {"x", "u"}:
            return ()
        factor = self._placed(self._opened.factor)
        plain = factor.xreplace({U: sympy.Integer(1)})
        if U in factor.free_symbols and not _is_multiple(factor):
            return ()
        values = [piece.expression for piece in pieces(plain, X)]
        if any(value.has(X) for value in values):
            return ()
        found = np.unique([float(value) for value in values])
        return tuple(map(float, found)) if len(found) <= MOST_LEVELS else ()

    @cached_property
    def mask(self) -> Code:
        """What multiplies the gradient (and ``u``), as a function of the input: one of :attr:`levels`."""
        return self._code(self._placed(self._opened.factor).xreplace({U: sympy.Integer(1)}), [X])

    def gather(self, x: Tensor, y: Tensor, key: Tensor | None, forward: Gatherer) -> list[Tensor]:
        """Return the ingredients' tensors, in order.

        Args:
            x: the input.
            y: the output.
            key: of the noise, if :attr:`is_noisy`.
            forward: gives the true derivative, and the one through rounding.
        """
        made: dict[str, Callable[[], Tensor]] = {
            "x": lambda: x,
            "y": lambda: y,
            "slope": lambda: forward.slope(x),
            "through": lambda: forward.through(x),
            "u": lambda: counter_noise.uniform(cast("Tensor", key), x.shape),
            "normal": lambda: counter_noise.normal(cast("Tensor", key), x.shape),
            "unit": lambda: _of_units(x),
            "shuffled": lambda: _dealt(forward.slope(x), cast("Tensor", key)),
        }
        return [made[name]() for name in self.ingredients]

    @property
    def _opened(self) -> Backward:
        """The backward whose open parameters are symbols."""
        given = tuple(
            (name, Learned(value if not isinstance(value, Learned) else value.initial) if name in self.open else value)
            for name, value in self.backward.assigned
        )
        return _Opened(self.backward.rule, given, self.backward.scale, self.backward.of)

    def _placed(self, expression: Expr) -> Expr:
        """Return the expression with the input measured from where the function is centred."""
        record, shift = self.spec.activation, sympy.Integer(0)
        for name, value in self.spec.assigned:
            if coupling(record, name) == "location":
                shift += _symbol(name) if isinstance(value, Learned) else sympy.Float(value, 17)
        return expression if shift == 0 else expression.xreplace({X: X - shift})

    def _code(self, expression: Expr, inputs: list[sympy.Symbol]) -> Code:
        record = Activation(
            name="gradient",
            kind="elementwise",
            family="gradient",
            doc=str(expression),
            expression=canonical(expression),
            inputs=tuple(inputs),
            parameters=tuple(Parameter(name=name, default=1.0) for name in self.parameters),
        )
        return reading.function(record)


class _Opened(Backward):
    """A backward with symbols for parameters that a schedule changes, be there a surrogate or not."""

    def __post_init__(self) -> None:
        """Ask for no surrogate: nothing is learned here."""


class Gatherer:
    """The derivatives of a forward function that rules may ask for.

    Args:
        spec: elementwise; its learned parameters come as tensors with every call.
        parameters: returns the learned parameters, ready to be broadcast.
    """

    def __init__(self, spec: Spec, parameters: Callable[[Tensor], list[Tensor]]) -> None:
        self.spec, self._parameters = spec, parameters

    def slope(self, x: Tensor) -> Tensor:
        """Return the true derivative."""
        return _slope(self.spec.forward, through=False)(x, *self._parameters(x))

    def through(self, x: Tensor) -> Tensor:
        """Return the derivative where rounding counts as the identity."""
        return _slope(self.spec.forward, through=True)(x, *self._parameters(x))


@cache
def _slope(spec: Spec, *, through: bool) -> Code:
    record = spec.activation
    numbers = {_symbol(n): sympy.Float(v, 17) for n, v in spec.assigned if not isinstance(v, Learned)}
    free = tuple(p for p in record.parameters if isinstance(spec.values[p.name], Learned))
    formula = canonical(record.formula.xreplace(numbers))
    slope = _through(formula, record.inputs[0]) if through else derivative(formula, record.inputs[0])
    made = Activation(
        name="slope",
        kind="elementwise",
        family="gradient",
        doc=str(slope),
        expression=slope,
        inputs=record.inputs,
        parameters=free,
    )
    return reading.function(made)


def _through(formula: Expr, x: sympy.Symbol) -> Expr:
    """Return the derivative of a formula that rounds, as if it did not."""
    return derivative(formula.replace(rounded, lambda inner: inner), x)


def _is_multiple(factor: Expr) -> bool:
    """Tell whether a factor is ``u`` times a function of the input."""
    f = numeric(factor, [X], [U])
    none, one, two = (f(GRID, np.float64(value)) for value in (0.0, 1.0, 2.0))
    return not np.any(none) and bool(np.array_equal(two, 2 * one))


def _of_units(x: Tensor) -> Tensor:
    key = torch.tensor(counter_noise.FIXED_KEY, dtype=torch.int32, device=x.device)
    return counter_noise.uniform(key, x.shape[1:] if x.dim() > 1 else x.shape).expand(x.shape)


def _dealt(slope: Tensor, key: Tensor) -> Tensor:
    return slope.reshape(-1)[counter_noise.permutation(key, slope.numel())].reshape(slope.shape)


def _symbol(name: str) -> Any:
    return sympy.Symbol(name, real=True)
