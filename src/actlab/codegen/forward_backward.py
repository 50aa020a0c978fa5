"""Symbolic expressions of an activation's forward and backward pass, for CPU and GPU kernels.

Example:
    >>> from actlab.functions.grammar import parse
    >>> both = passes(parse("elu(alpha=learned)"))
    >>> both.learned, both.value
    (('alpha',), where(x > 0, x, alpha*expm1(minimum(x, 0))))
    >>> both.gradients[1]
    where(x > 0, 0, grad*expm1(minimum(x, 0)))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sympy

from actlab.errors import SpecError
from actlab.functions.activation import Learned
from actlab.functions.formula import Expr, canonical, derivative, where
from actlab.functions.formula.evaluate import stabilize
from actlab.functions.formula.stabilize import propagate_nan
from actlab.functions.formula.strength_reduction import reduce_strength
from actlab.functions.rule import GRAD
from actlab.functions.spec import Spec

__all__ = ["GRAD", "Passes", "forward_value", "passes", "stabilized", "times"]


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Expressions of the forward and the backward pass.

    Attributes:
        inputs: symbols of the inputs.
        learned: names of the learned parameters, in the order of the record.
        value: the formula, with numbers substituted for the other parameters.
        gradients: the gradient of the output, :data:`GRAD`, times the derivative in each input, then in each learned parameter.
    """

    inputs: tuple[sympy.Symbol, ...]
    learned: tuple[str, ...]
    value: Expr
    gradients: tuple[Expr, ...]

    @property
    def arguments(self) -> tuple[sympy.Symbol, ...]:
        """The inputs' symbols, then the learned parameters'."""
        return (*self.inputs, *(sympy.Symbol(name, real=True) for name in self.learned))


@cache
def passes(spec: Spec) -> Passes:
    """Return the expressions of both passes, with the right limits at infinite inputs.

    Raises:
        TypeError: the activation is tensor code, not a formula.
        SpecError: the spec has a gradient rule, which these passes do not apply.
    """
    if spec.backward is not None:
        raise SpecError(
            f"A kernel of {spec.forward} would lose the gradient rule of {spec}; layer({str(spec)!r}) keeps it."
        )
    record = spec.activation
    learned = tuple(name for name, value in spec.assigned if isinstance(value, Learned))
    formula = _with_numbers(spec)
    symbols = [*record.inputs, *(sympy.Symbol(name, real=True) for name in learned)]
    slopes = [stabilize(canonical(derivative(formula, symbol)), record.inputs) for symbol in symbols]
    return Passes(
        inputs=record.inputs,
        learned=learned,
        value=forward_value(spec),
        gradients=tuple(times(GRAD, slope) for slope in reduce_strength(slopes, record.inputs)),
    )


@cache
def forward_value(spec: Spec) -> Expr:
    """Return the expression of the forward pass alone, for targets that have no gradient.

    Raises:
        TypeError: the activation is tensor code, not a formula.
    """
    return stabilized(_with_numbers(spec), spec.activation.inputs)


def stabilized(formula: Expr, inputs: Sequence[sympy.Symbol]) -> Expr:
    """Return a formula in the form in which code computes it: finite or at its limit everywhere, with few transcendental calls.

    Args:
        formula: over the primitives.
        inputs: its inputs; other symbols are learned parameters.
    """
    return reduce_strength([stabilize(propagate_nan(formula, inputs), inputs)], inputs)[0]


def _with_numbers(spec: Spec) -> Expr:
    numbers = {sympy.Symbol(n, real=True): sympy.Float(v, 17) for n, v in spec.assigned if not isinstance(v, Learned)}
    return canonical(spec.activation.formula.xreplace(numbers))


def times(grad: sympy.Symbol, slope: Expr) -> Expr:
    """Return the product; no multiplication in branches where the slope is 0 or 1, so that 0 times infinity is 0, as in torch."""
    if isinstance(slope, where) and any(branch in {0, 1, -1} for branch in slope.args[1:]):
        condition, a, b = slope.args
        return where(condition, times(grad, a), times(grad, b))
    return sympy.Mul(grad, slope, evaluate=False) if slope not in {0, 1} else grad * slope
