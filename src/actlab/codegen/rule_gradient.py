"""The gradient reading of a rule: torch code of what leaves an activation backward, and what it must keep for it.

A spec with a rule is two functions. The forward one is read by :mod:`actlab.codegen.pytorch`; here are the rule's factor, its
derivative (for those who differentiate twice), and its surrogate, each as plain tensor code that computes in float32 at least.
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
MOST_LEVELS: Final = 16  # beyond four bits an element, the bookkeeping costs more than it saves
U: Final = sympy.Symbol("u", real=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Slopes:
    """The derivatives of a forward function that rules may ask for, as functions of the input and the learned parameters.

    Attributes:
        true: the derivative in the input; None if no rule asks for it.
        through: by name of a learned parameter (None for the input) the derivative where rounding counts as the identity.
    """

    true: Code | None = None
    through: Mapping[str | None, Code] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradient:
    """How the gradient passes a spec, ready to run. Build it with :func:`gradient`.

    Attributes:
        spec: with a rule.
        open: names of the rule's parameters that are given when it runs: learned ones, and those on a schedule.
        ingredients: what the rule is made of beside the arriving gradient.
        fixed_locations: names of the forward function's fixed parameters from which the rule measures its input.
        forms: how each learned parameter of the forward function gets its gradient: its coupling, or "through".
        expression: the gradient as a formula.
        factor_expression: the factor as a formula, of a linear rule.
        code: the gradient as a function of the arriving one, the ingredients, the learned locations, and the open parameters.
        factor: of a linear rule, the factor as a function of the input, the other ingredients, locations and open parameters.
        curvature: the derivative of the factor in the input, by the same arguments; None where it is zero everywhere.
        surrogate: the function whose derivative the factor is, of the input, locations and open parameters; None where there is none.
        levels: the values that the factor takes (of a noisy one: what multiplies ``u``), if they are few and the input alone decides.
        mask: what takes these values, as a function of the input.
        slopes: of the forward function.
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
        """Return the ingredients' tensors, in order.

        Args:
            x: the input.
            y: the output.
            key: of the noise, where the rule is noisy.
            learned: the forward function's learned parameters, ready to be broadcast.
        """
        return [self._made(name, x, y, key, learned) for name in self.ingredients]

    def _made(self, name: str, x: Tensor, y: Tensor, key: Any, learned: list[Tensor]) -> Tensor:
        if name in {"x", "y"}:
            return x if name == "x" else y
        if name == "through":
            return self.slopes.through[None](x, *learned)
        if name in OF_FORWARD:
            slope = cast("Code", self.slopes.true)(x, *learned)
            return slope if name == "slope" else _dealt(slope, key)
        exact = torch.promote_types(x.dtype, torch.float32)
        if name == "unit":
            return _of_units(x).to(exact)
        return (counter_rng.uniform if name == "u" else counter_rng.normal)(key, x.shape).to(exact)


@cache
def gradient(spec: Spec, open_: tuple[str, ...] = ()) -> Gradient:
    """Return how the gradient passes a spec.

    Args:
        spec: with a rule.
        open_: names of the rule's parameters that are given when it runs, beside the learned ones.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> made = gradient(parse("relu/rect(-1, 2)"))
        >>> made.levels, made.code(torch.ones(3), torch.tensor([-1.5, 0.0, 2.0]))
        ((0.0, 1.0), tensor([0., 1., 1.]))
    """
    backward = cast("Backward", spec.backward)
    opened = _opened(backward, (*backward.learned, *open_))
    forms = _forms(spec, through="through" in backward.ingredients)
    names = (*(name for name, form in forms.items() if form == "location"), *backward.learned, *open_)
    is_linear, ingredients = backward.rule.is_linear, backward.ingredients
    arriving = [GRAD, *map(_symbol, ingredients)]
    others = [X, *(_symbol(name) for name in ingredients if name != "x")]
    factor = _placed(opened.factor, spec) if is_linear else None
    expression = _placed(opened.gradient, spec) if factor is None else times(GRAD, factor)
    levels = () if factor is None or names or not {*ingredients} <= {"x", "u"} else _levels(factor)
    return Gradient(
        spec=spec,
        open=(*backward.learned, *open_),
        ingredients=ingredients,
        forms=MappingProxyType(forms),
        fixed_locations=tuple(n for n in spec.numbers if n not in forms and coupling(spec.activation, n) == "location"),
        expression=expression,
        code=_code(expression, arriving, names),
        factor_expression=factor,
        factor=None if factor is None else _code(factor, others, names),
        curvature=None if factor is None else _curvature(_placed(derivative(opened.factor, X), spec), others, names),
        surrogate=None if opened.surrogate is None else _code(_placed(opened.surrogate, spec), [X], names),
        levels=levels,
        mask=None if factor is None or not levels else _code(factor.xreplace({U: sympy.Integer(1)}), [X], names),
        slopes=_slopes(spec.forward, ingredients, forms),
        is_linear=is_linear,
        is_noisy=not NOISE.isdisjoint(ingredients),
    )


def in_terms_of_the_input(made: Gradient) -> tuple[Expr, frozenset[str]]:
    """Return the gradient with output and slopes written as what they are of the input, and which ingredients are left.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> in_terms_of_the_input(gradient(parse("step/leaky_spike(0.5)")))
        (where(where(x > 0, 1, 0) > 0, grad, grad*0.5), frozenset({'x'}))
    """
    spec = made.spec.forward
    formula = spec.formula.xreplace({spec.activation.inputs[0]: X})
    known = {
        "y": lambda: formula,
        "slope": lambda: derivative(formula, X),
        "through": lambda: _through(formula, X),
    }
    given = {_symbol(name): known[name]() for name in made.ingredients if name in known}
    left = {name for name in made.ingredients if name not in known} | ({"x"} if given else set())
    return canonical(made.expression.xreplace(given)), frozenset(left)


class _Opened(Backward):
    """A backward with symbols for parameters that are given when it runs, be there a surrogate or not."""

    def __post_init__(self) -> None:
        """Ask for no surrogate: nothing is learned by these symbols alone."""


def _opened(backward: Backward, names: tuple[str, ...]) -> Backward:
    numbers = {name: v.initial if isinstance(v, Learned) else v for name, v in backward.assigned}
    given = tuple((name, Learned(number) if name in names else number or 0.0) for name, number in numbers.items())
    return _Opened(backward.rule, given, backward.scale, backward.of)


def _forms(spec: Spec, *, through: bool) -> dict[str, str]:
    forms: dict[str, str] = {}
    for name, value in spec.assigned:
        if isinstance(value, Learned):
            form = coupling(spec.activation, name)
            forms[name] = "through" if through and form == "own" else form
    return forms


def _placed(expression: Expr, spec: Spec) -> Expr:
    """Return the expression with the input measured from where the function is centred."""
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


def _curvature(bent: Expr, inputs: Sequence[sympy.Symbol], parameters: Sequence[str]) -> Code | None:
    rest = sorted(bent.free_symbols - {X}, key=str)
    is_flat = not np.any(numeric(bent, [X], rest)(GRID, *(np.float64(0.7) for _ in rest)))
    return None if is_flat else _code(bent, inputs, parameters)


def _levels(factor: Expr) -> tuple[float, ...]:
    if U in factor.free_symbols and not _is_multiple(factor):
        return ()
    values = [piece.expression for piece in segments(factor.xreplace({U: sympy.Integer(1)}), X)]
    if any(value.has(X) for value in values):
        return ()
    found = np.unique([float(value) for value in values])
    return tuple(map(float, found)) if len(found) <= MOST_LEVELS else ()


def _slopes(spec: Spec, ingredients: tuple[str, ...], forms: Mapping[str, str]) -> Slopes:
    if spec.activation.expression is None or OF_FORWARD.isdisjoint(ingredients):
        return Slopes()
    x = spec.activation.inputs[0]
    asked = [None, *(name for name, form in forms.items() if form == "through")] if "through" in ingredients else []
    return Slopes(
        true=_slope(spec, x, through=False),
        through={name: _slope(spec, _symbol(name) if name else x, through=True) for name in asked},
    )


def _slope(spec: Spec, symbol: sympy.Symbol, *, through: bool) -> Code:
    record = spec.activation
    numbers = {_symbol(n): sympy.Float(v, 17) for n, v in spec.assigned if not isinstance(v, Learned)}
    formula = canonical(record.formula.xreplace(numbers))
    slope = _through(formula, symbol) if through else derivative(formula, symbol)
    return _code(slope, record.inputs, [n for n, v in spec.assigned if isinstance(v, Learned)])


def _through(formula: Expr, symbol: sympy.Symbol) -> Expr:
    """Return the derivative of a formula that rounds, as if it did not; the values of the rounding stay as they are."""
    marked = {node: sympy.Dummy(real=True) for node in formula.atoms(rounded)}
    outer = formula.xreplace(marked)
    slope = derivative(outer, symbol)
    for node, mark in marked.items():
        slope += derivative(outer, mark) * derivative(node.args[0], symbol)
    return canonical(slope.xreplace({mark: node for node, mark in marked.items()}))


def _is_multiple(factor: Expr) -> bool:
    """Tell whether a factor is ``u`` times a function of the input."""
    f = numeric(factor, [X], [U])
    none, one, two = (f(GRID, np.float64(value)) for value in (0.0, 1.0, 2.0))
    return not np.any(none) and bool(np.array_equal(two, 2 * one))


def _of_units(x: Tensor) -> Tensor:
    key = torch.tensor(counter_rng.FIXED_KEY, dtype=torch.int32, device=x.device)
    return counter_rng.uniform(key, x.shape[1:] if x.dim() > 1 else x.shape).expand(x.shape)


def _dealt(slope: Tensor, key: Tensor) -> Tensor:
    return slope.reshape(-1)[counter_rng.permutation(key, slope.numel())].reshape(slope.shape)


def _symbol(name: str) -> Any:
    return sympy.Symbol(name, real=True)
