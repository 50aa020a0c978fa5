"""Symbolic forward and backward pass of a gradient rule, shared by CPU and GPU kernels."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeAlias

import sympy

from actlab.codegen.rule_gradient import Gradient, gradient, in_terms_of_the_input
from actlab.functions.formula import Expr
from actlab.functions.formula.evaluate import stabilize
from actlab.functions.formula.segments import segments
from actlab.functions.formula.stabilize import propagate_nan
from actlab.functions.formula.strength_reduction import reduce_strength
from actlab.functions.parameter import Learned
from actlab.functions.rule import GRAD
from actlab.functions.spec import Spec, X

__all__ = ["NORMAL", "SYMBOLS", "Keep", "RulePasses", "U", "rule_passes"]

Keep: TypeAlias = Literal["nothing", "bits", "input"]
U = sympy.Symbol("u", real=True)
NORMAL = sympy.Symbol("normal", real=True)
SYMBOLS = [GRAD, X, U, NORMAL]  # arguments of a gradient expression


class RulePasses:
    """The two passes of a spec with a rule, as expressions. Create them with :func:`rule_passes`.

    Attributes:
        gradient: the backward pass.
        ingredients: names of the inputs of the gradient, beside the gradient of the output.
        keep: what the backward pass needs of each element: nothing, one bit, or the input.
        x: symbol of the input.
        is_exact: whether the forward pass equals torch's values bit for bit, as it only selects the input or constants.
    """

    def __init__(self, rule_gradient: Gradient) -> None:
        self.gradient = rule_gradient
        self._expression, self.ingredients = in_terms_of_the_input(rule_gradient)
        self.keep: Keep = "nothing"
        if len(rule_gradient.levels) == 2:
            self.keep = "bits"
        elif "x" in self.ingredients and not rule_gradient.levels:
            self.keep = "input"
        self.x = rule_gradient.spec.activation.inputs[0]
        formula = rule_gradient.spec.forward.formula
        self.is_exact = all(p.expression == self.x or p.expression.is_number for p in segments(formula, self.x))

    @property
    def value(self) -> Expr:
        """The value of the forward pass, in :attr:`x`."""
        formula = propagate_nan(self.gradient.spec.forward.formula, [self.x])
        return reduce_strength([stabilize(formula, [self.x])], [self.x])[0]

    @property
    def mask(self) -> Expr:
        """The expression whose comparison with :attr:`middle` gives the bit of an element."""
        return stabilize(self.gradient.factor_expression.xreplace({U: sympy.Integer(1)}), [X])

    @property
    def middle(self) -> float:
        """The midpoint of the two levels of the factor."""
        return sum(self.gradient.levels) / 2

    @property
    def gradients(self) -> list[Expr]:
        """The gradient; where the factor has a few levels, one gradient per level, lowest first."""
        if not self.gradient.levels:
            return reduce_strength([stabilize(self._expression, [X])], [X])
        noise = U if "u" in self.ingredients else sympy.Integer(1)
        return [GRAD * sympy.Float(level, 17) * noise if level else sympy.Integer(0) for level in self.gradient.levels]


@cache
def rule_passes(spec: Spec) -> RulePasses | None:
    """Return the passes of a spec with a rule, or None if kernels do not support it.

    Not supported: learned parameters, rules that use both kinds of noise, noise fixed per unit, and factors of more than two levels.
    """
    backward, record = spec.backward, spec.activation
    if backward is None or record.expression is None:
        return None
    if any(isinstance(value, Learned) for _, value in (*spec.assigned, *backward.assigned)):
        return None
    passes = RulePasses(gradient(spec))
    if not passes.ingredients <= {"x", "u", "normal"} or passes.ingredients >= {"u", "normal"}:
        return None
    return None if len(passes.gradient.levels) > 2 else passes
