"""PyTorch code of a gradient rule, and what its backward pass needs from the forward pass.

A spec with a rule is two functions. :mod:`actlab.codegen.pytorch` generates the forward one. This module generates the factor of the rule,
its derivative (for second-order gradients) and its surrogate, each as plain tensor code that computes in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.codegen import counter_rng, pytorch
from actlab.codegen.forward_backward import times
from actlab.codegen.parameter_coupling import coupling
from actlab.functions.activation import Activation
from actlab.functions.formula import Expr, canonical, derivative, rounded
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import GRID
from actlab.functions.formula.segments import segments
from actlab.functions.parameter import Learned, Parameter
from actlab.functions.rule import GRAD
from actlab.functions.spec import Backward, Spec, X

__all__ = ["Gradient", "Slopes", "gradient", "in_terms_of_the_input"]

Code = Callable[..., Tensor]
NOISE: Final = {"u", "normal", "shuffled"}
OF_FORWARD: Final = {"slope", "through", "shuffled"}
MOST_LEVELS: Final = 16  # above four bits per element, packing costs more than it saves
U: Final = sympy.Symbol("u", real=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Slopes:
    """Derivatives of a forward function that a rule may use, as functions of the input and the learned parameters.

    Attributes:
        true: the derivative in the input; None if the rule does not use it.
        through: by name of a learned parameter (None for the input) the derivative with rounding treated as the identity.
    """

    true: Code | None = None
    through: Mapping[str | None, Code] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradient:
    """The backward pass of a spec with a rule, as functions of tensors. Create it with :func:`gradient`.

    Attributes:
        spec: a spec with a rule.
        open: names of the rule's parameters that are passed at run time: learned ones, and those on a schedule.
        ingredients: names of the inputs of the rule, beside the gradient of the output.
        fixed_locations: names of the forward function's fixed parameters from which the rule measures its input.
        forms: how each learned parameter of the forward function gets its gradient: its coupling, or "through".
        expression: the gradient as a formula.
        factor_expression: for a linear rule, the factor as a formula.
        code: the gradient as a function of the gradient of the output, the ingredients, the learned locations, and the open parameters.
        factor: for a linear rule, the factor as a function of the input, the other ingredients, locations and open parameters.
        curvature: the derivative of the factor in the input, with the same arguments; None if it is zero everywhere.
        surrogate: the function whose derivative is the factor, of the input, locations and open parameters; None if there is none.
        levels: the values of the factor (of a noisy one: of what multiplies ``u``), if they are few and depend on the input alone.
        mask: the function of the input that takes these values.
        slopes: derivatives of the forward function that the rule uses.
        is_linear: whether the gradient is the gradient of the output times a factor.
        is_noisy: whether the rule draws random numbers.
    """

    spec: Spec
    open: tuple[str, ...]
    ingredients: tuple[str, ...]
    forms: Mapping[str, str]
    fixed_locations: tuple[str, ...]
    expression: Expr
    code: Code
    factor_expression: Expr
    factor: Code | None
    curvature: Code | None
    surrogate: Code | None
    levels: tuple[float, ...]
    mask: Code | None
    slopes: Slopes
    is_linear: bool
    is_noisy: bool

    @property
    def locations(self) -> tuple[str, ...]:
        """Names of the forward function's learned parameters from which the rule measures its input."""
        return tuple(name for name, form in self.forms.items() if form == "location")

    def gather(self, x: Tensor, y: Tensor, key: Tensor | None, learned: list[Tensor]) -> list[Tensor]:
        """Return the tensors of the ingredients, in order.

        Args:
            x: the input.
            y: the output.
            key: key of the noise; None if the rule is not noisy.
            learned: the forward function's learned parameters, in shapes that broadcast with the input.
        """
        return [self._ingredient(name, x, y, key, learned) for name in self.ingredients]

    def _ingredient(self, name: str, x: Tensor, y: Tensor, key: Any, learned: list[Tensor]) -> Tensor:
        if name in {"x", "y"}:
            return x if name == "x" else y
        if name == "through":
            return self.slopes.through[None](x, *learned)
        if name in OF_FORWARD:
            slope = cast("Code", self.slopes.true)(x, *learned)
            return slope if name == "slope" else _shuffle(slope, key)
        dtype = torch.promote_types(x.dtype, torch.float32)
        if name == "unit":
            return _noise_of_units(x).to(dtype)
        return (counter_rng.uniform if name == "u" else counter_rng.normal)(key, x.shape).to(dtype)


@cache
def gradient(spec: Spec, open_: tuple[str, ...] = ()) -> Gradient:
    """Return the backward pass of a spec with a rule.

    Args:
        spec: a spec with a rule.
        open_: names of the rule's parameters that are passed at run time, beside the learned ones.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> window = gradient(parse("relu/rect(-1, 2)"))
        >>> window.levels, window.code(torch.ones(3), torch.tensor([-1.5, 0.0, 2.0]))
        ((0.0, 1.0), tensor([0., 1., 1.]))
    """
    backward = cast("Backward", spec.backward)
    opened = _open(backward, (*backward.learned, *open_))
    forms = _forms(spec, through="through" in backward.ingredients)
    names = (*(name for name, form in forms.items() if form == "location"), *backward.learned, *open_)
    is_linear, ingredients = backward.rule.is_linear, backward.ingredients
    inputs = [GRAD, *map(_symbol, ingredients)]
    others = [X, *(_symbol(name) for name in ingredients if name != "x")]
    factor = _centered(opened.factor, spec) if is_linear else None
    expression = _centered(opened.gradient, spec) if factor is None else times(GRAD, factor)
    levels = () if factor is None or names or not {*ingredients} <= {"x", "u"} else _levels(factor)
    return Gradient(
        spec=spec,
        open=(*backward.learned, *open_),
        ingredients=ingredients,
        forms=MappingProxyType(forms),
        fixed_locations=tuple(n for n in spec.numbers if n not in forms and coupling(spec.activation, n) == "location"),
        expression=expression,
        code=_code(expression, inputs, names),
        factor_expression=factor,
        factor=None if factor is None else _code(factor, others, names),
        curvature=None if factor is None else _curvature(_centered(derivative(opened.factor, X), spec), others, names),
        surrogate=None if opened.surrogate is None else _code(_centered(opened.surrogate, spec), [X], names),
        levels=levels,
        mask=None if factor is None or not levels else _code(factor.xreplace({U: sympy.Integer(1)}), [X], names),
        slopes=_slopes(spec.forward, ingredients, forms),
        is_linear=is_linear,
        is_noisy=not NOISE.isdisjoint(ingredients),
    )


def in_terms_of_the_input(rule_gradient: Gradient) -> tuple[Expr, frozenset[str]]:
    """Return the gradient with output and slopes written as functions of the input, and the ingredients that remain.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> in_terms_of_the_input(gradient(parse("step/leaky_spike(0.5)")))
        (where(where(x > 0, 1, 0) > 0, grad, grad*0.5), frozenset({'x'}))
    """
    spec = rule_gradient.spec.forward
    formula = spec.formula.xreplace({spec.activation.inputs[0]: X})
    known = {
        "y": lambda: formula,
        "slope": lambda: derivative(formula, X),
        "through": lambda: _through(formula, X),
    }
    ingredients = rule_gradient.ingredients
    replaced = {_symbol(name): known[name]() for name in ingredients if name in known}
    remaining = {name for name in ingredients if name not in known} | ({"x"} if replaced else set())
    return canonical(rule_gradient.expression.xreplace(replaced)), frozenset(remaining)


class _OpenBackward(Backward):
    """A backward with symbols for parameters that are passed at run time, with or without a surrogate."""

    def __post_init__(self) -> None:
        """Skip the check for a surrogate: a symbol alone is not a learned parameter."""


def _open(backward: Backward, names: tuple[str, ...]) -> Backward:
    numbers = {name: v.initial if isinstance(v, Learned) else v for name, v in backward.assigned}
    assigned = tuple((name, Learned(number) if name in names else number or 0.0) for name, number in numbers.items())
    return _OpenBackward(backward.rule, assigned, backward.scale, backward.of)


def _forms(spec: Spec, *, through: bool) -> dict[str, str]:
    forms: dict[str, str] = {}
    for name, value in spec.assigned:
        if isinstance(value, Learned):
            form = coupling(spec.activation, name)
            forms[name] = "through" if through and form == "own" else form
    return forms


def _centered(expression: Expr, spec: Spec) -> Expr:
    """Return the expression with the input measured from the sum of the function's location parameters."""
    shift = sympy.Integer(0)
    for name, value in spec.assigned:
        if coupling(spec.activation, name) == "location":
            shift += _symbol(name) if isinstance(value, Learned) else sympy.Float(value, 17)
    return expression if shift == 0 else expression.xreplace({X: X - shift})


def _code(expression: Expr, inputs: Sequence[sympy.Symbol], parameters: Sequence[str]) -> Code:
    record = Activation(
        name="gradient",
        kind="elementwise",
        family="gradient",
        doc=str(expression),
        expression=canonical(expression),
        inputs=tuple(inputs),
        parameters=tuple(Parameter(name=name, default=1.0) for name in parameters),
    )
    return pytorch.function(record)


def _curvature(slope: Expr, inputs: Sequence[sympy.Symbol], parameters: Sequence[str]) -> Code | None:
    """Return the code of the factor's derivative; None if it is zero everywhere."""
    others = sorted(slope.free_symbols - {X}, key=str)
    is_zero = not np.any(numeric(slope, [X], others)(GRID, *(np.float64(0.7) for _ in others)))
    return None if is_zero else _code(slope, inputs, parameters)


def _levels(factor: Expr) -> tuple[float, ...]:
    if U in factor.free_symbols and not _is_multiple(factor):
        return ()
    values = [piece.expression for piece in segments(factor.xreplace({U: sympy.Integer(1)}), X)]
    if any(value.has(X) for value in values):
        return ()
    levels = np.unique([float(value) for value in values])
    return tuple(map(float, levels)) if len(levels) <= MOST_LEVELS else ()


def _slopes(spec: Spec, ingredients: tuple[str, ...], forms: Mapping[str, str]) -> Slopes:
    if spec.activation.expression is None or OF_FORWARD.isdisjoint(ingredients):
        return Slopes()
    x = spec.activation.inputs[0]
    names = [None, *(name for name, form in forms.items() if form == "through")] if "through" in ingredients else []
    return Slopes(
        true=_slope(spec, x, through=False),
        through={name: _slope(spec, _symbol(name) if name else x, through=True) for name in names},
    )


def _slope(spec: Spec, symbol: sympy.Symbol, *, through: bool) -> Code:
    record = spec.activation
    numbers = {_symbol(n): sympy.Float(v, 17) for n, v in spec.assigned if not isinstance(v, Learned)}
    formula = canonical(record.formula.xreplace(numbers))
    slope = _through(formula, symbol) if through else derivative(formula, symbol)
    return _code(slope, record.inputs, [n for n, v in spec.assigned if isinstance(v, Learned)])


def _through(formula: Expr, symbol: sympy.Symbol) -> Expr:
    """Return the straight-through derivative of a formula: rounding has derivative 1, and its value is unchanged."""
    symbols = {node: sympy.Dummy(real=True) for node in formula.atoms(rounded)}
    outer = formula.xreplace(symbols)
    slope = derivative(outer, symbol)
    for node, dummy in symbols.items():
        slope += derivative(outer, dummy) * derivative(node.args[0], symbol)
    return canonical(slope.xreplace({dummy: node for node, dummy in symbols.items()}))


def _is_multiple(factor: Expr) -> bool:
    """Whether a factor is ``u`` times a function of the input."""
    f = numeric(factor, [X], [U])
    at_0, at_1, at_2 = (f(GRID, np.float64(u)) for u in (0.0, 1.0, 2.0))
    return not np.any(at_0) and bool(np.array_equal(at_2, 2 * at_1))


def _noise_of_units(x: Tensor) -> Tensor:
    """Return uniform noise that is the same for every sample of a batch and in every call."""
    key = torch.tensor(counter_rng.FIXED_KEY, dtype=torch.int32, device=x.device)
    return counter_rng.uniform(key, x.shape[1:] if x.dim() > 1 else x.shape).expand(x.shape)


def _shuffle(slope: Tensor, key: Tensor) -> Tensor:
    return slope.reshape(-1)[counter_rng.permutation(key, slope.numel())].reshape(slope.shape)


def _symbol(name: str) -> Any:
    return sympy.Symbol(name, real=True)
