"""Borrowed derivatives, quantizer gradients, and control rules that keep only sign or magnitude."""

import sympy

from actlab.functions.formula import sign
from actlab.functions.rule import rule


@rule(arxiv="2505.22074", aliases=("d", "derivative"))
def grad_(other):
    """The derivative of another activation, named in parentheses: ``relu/grad(silu)``."""
    return other


@rule(arxiv="1606.06160")
def through(through):
    """The derivative with rounding taken as the identity: the straight-through estimator of quantisers, with their bounds and steps."""
    return through


@rule(arxiv="2104.00903")
def ewgs(grad, x, y, through, delta=0.1):
    """Element-wise gradient scaling: more gradient towards the side of the level on which the input lies."""
    return grad * through * (1 + delta * sign(grad) * (x - y))


@rule(arxiv="1802.04434")
def sign_only(grad):
    """The sign of the gradient alone: direction by unit, no magnitude."""
    return sign(grad)


@rule(arxiv="1411.0247", aliases=("random", "feedback_alignment"))
def fixed_random(unit):
    """A random factor in (0, 1) that stays the same for a unit, as feedback alignment does with weights."""
    return unit


@rule(paper="a control: same magnitudes, no relation to the input")
def shuffled(shuffled):
    """The values of the true derivative, permuted over the elements at random in every call."""
    return shuffled


@rule(paper="a control: the mean of full jamming without its noise", aliases=("control",))
def half(x):
    """Half of the gradient: what full jamming is on average."""
    return sympy.Rational(1, 2)
