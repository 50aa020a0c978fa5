"""Wrong activations, each with the conformance check that must catch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch

from actlab.functions import formula
from actlab.functions.activation import Claims, Dim, Flag, Positive
from actlab.functions.formula import absolute, exp, log, sigmoid, tanh, where

PAPER = "test_elementwise_values_agree_with_their_paper_to_float64"
PAPER_OF_GATED = "test_gated_values_agree_with_their_paper_to_float64"
MEAN = "test_evaluation_takes_the_mean_or_the_mean_noise"
CAUSAL = "test_causal_forms_do_not_see_later_tokens"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A wrong function.

    Attributes:
        function: as in the catalogue; its name says what is wrong.
        options: options of the decorator.
        truth: the entry with whose definition it is compared, if any.
        caught_by: name of the check that must catch it.
        says: part of the message, so that nothing is caught for another reason.
    """

    function: Callable[..., Any]
    caught_by: str
    says: str
    truth: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


# -------------------------------------------------------------------------------------- wrong definitions


def wrong_sign_below_zero(x):
    """ELU that rises to the left."""
    return where(x > 0, x, 1 - exp(x))


def misprinted_constant(x):
    """GELU's tanh form with 0.7979946 in place of 0.7978846."""
    return x * sigmoid(2 * 0.7979946 * (x + 0.044715 * x**3))


def constant_cut_after_eight_digits(x):
    """SELU with 1.67326319."""
    return 1.0507009873554805 * where(x > 0, x, 1.67326319 * (exp(x) - 1))


def cancelling_tail(x):
    """Softplus, whose literal form is 0 below -37 in float64."""
    return log(1 + exp(x))


def swapped_gate(gate, value):
    """SwiGLU whose value goes through the sigmoid."""
    return gate * value * sigmoid(value)


def evaluation_is_not_the_mean(x, lower=0.125, upper=0.3333333333333333, *, training=False):
    """RReLU that takes the lower slope in evaluation."""
    slope = lower + (upper - lower) * torch.rand_like(x) if training else lower
    return torch.where(x >= 0, x, slope * x)


# -------------------------------------------------------------------------------------------- wrong tails


def softmax_without_a_shift(x, dim: Dim = -1):
    """Overflows at 710."""
    return x.exp() / x.exp().sum(dim, keepdim=True)


def hidden_nan(x):
    """ReLU that turns NaN into 0."""
    return where(x > 0, x, 0)


def no_limit(x):
    """Twice ReLU, NaN at minus infinity."""
    return x + absolute(x)


# ------------------------------------------------------------------------------------------- wrong claims


def wrong_lower_bound(x):
    """SiLU, claimed to be bounded by -0.2."""
    return x * sigmoid(x)


def not_monotone(x):
    """SiLU, claimed to be monotone."""
    return x * sigmoid(x)


def kink_said_to_be_smooth(x):
    """Leaky ReLU, claimed to be smooth."""
    return where(x > 0, x, x / 100)


def not_equivariant(x, dim: Dim = -1):
    """Depends on the order, claimed to be equivariant."""
    return x.cumsum(dim).softmax(dim)


# ------------------------------------------------------------------------------- wrong slopes and parameters


class wrongly_derived(formula.Primitive):  # noqa: N801 a primitive, as in the catalogue
    """The hyperbolic tangent with 1 - tanh as its slope."""

    spelling = formula.tanh.spelling

    @classmethod
    def slope(cls, x):
        return (1 - cls(x),)


del formula.PRIMITIVES["wrongly_derived"]  # not a primitive of the package


def wrong_slope(x):
    """Uses the primitive above."""
    return wrongly_derived(x)


def ignored_parameter(x, alpha=1.0):
    """Does not use its parameter."""
    return tanh(x) + 0 * alpha


def detached_parameter(x, alpha: Positive = 1.0, dim: Dim = -1):
    """Detaches its parameter."""
    return (torch.as_tensor(alpha).detach() * x).softmax(dim) + 0 * alpha


def detached_normaliser(x, dim: Dim = -1):
    """Softmax whose sum is a constant to autograd."""
    raised = (x - x.amax(dim, keepdim=True).detach()).exp()
    return raised / raised.sum(dim, keepdim=True).detach()


def lost_precision(x, dim: Dim = -1):
    """Computes in float32 for every dtype."""
    return x.float().softmax(dim).to(x.dtype)


# ------------------------------------------------------------------------------------------- wrong behavior in torch


def wrong_native(x):
    """Declares a function of torch that differs."""
    return where(x > 1 / 2, x - 1 / 2, where(x < -1 / 2, x + 1 / 2, 0))


def native_loses_the_dtype(x):
    """Declares a torch function that returns float32."""
    return x * sigmoid(x)


def changes_its_input(x, dim: Dim = -1):
    """Subtracts the mean in place."""
    return x.sub_(x.detach().mean(dim, keepdim=True)) if not x.requires_grad else x - x.mean(dim, keepdim=True)


def wrong_width(x, dim: Dim = -1):
    """Declares half the width."""
    return x.softmax(dim)


def needs_contiguous_memory(x, dim: Dim = -1):
    """Calls view."""
    return x.view(-1, x.shape[-1]).softmax(-1).view(x.shape)


def looks_at_the_data(x, dim: Dim = -1):
    """Branches in Python on a value."""
    return x.softmax(dim) if x.sum() > 0 else x.relu().softmax(dim)


def leaves_torch(x, dim: Dim = -1):
    """Converts to NumPy."""
    return x * float(x.detach().numpy().shape[dim])


def sees_the_future(query, key, value, causal: Flag = 0):
    """Causal attention without its mask."""
    return (query @ key.transpose(-2, -1)).softmax(-1) @ value


VECTOR = {"kind": "vector"}
FAULTS = [
    Fault(function=wrong_sign_below_zero, truth="elu", caught_by=PAPER, says="(-60.0, 1.0, mpf"),
    Fault(function=misprinted_constant, truth="gelu_tanh", caught_by=PAPER, says="(-20.0, -3.1"),
    Fault(function=constant_cut_after_eight_digits, truth="selu", caught_by=PAPER, says="(-60.0, -1.758"),
    Fault(function=cancelling_tail, truth="softplus", caught_by=PAPER, says="(-60.0, 0.0, mpf"),
    Fault(
        function=swapped_gate, truth="swiglu", caught_by=PAPER_OF_GATED, says="(-9.0, -3.0)", options={"kind": "gated"}
    ),
    Fault(
        function=evaluation_is_not_the_mean,
        truth="rrelu",
        caught_by=MEAN,
        says="assert -0.25",
        options={"kind": "stochastic"},
    ),
    Fault(
        function=softmax_without_a_shift,
        caught_by="tails_are_right_in_every_dtype",
        says="overflows float64 at finite inputs",
        options=VECTOR,
    ),
    Fault(
        function=hidden_nan, truth="relu", caught_by="tails_are_right_in_every_dtype", says="hides NaN: it gives [0.0"
    ),
    Fault(function=no_limit, caught_by="tails_are_right_in_every_dtype", says="has no limit: [nan"),
    Fault(
        function=wrong_lower_bound,
        truth="silu",
        caught_by="claims_hold",
        says="lower is claimed to be -0.2, measured -0.278",
        options={"claims": Claims(lower=-0.2)},
    ),
    Fault(
        function=not_monotone,
        truth="silu",
        caught_by="claims_hold",
        says="monotone is claimed to be True, measured False",
        options={"claims": Claims(monotone=True)},
    ),
    Fault(
        function=kink_said_to_be_smooth,
        truth="leaky_relu",
        caught_by="claims_hold",
        says="smoothness is claimed to be inf, measured 0.0",
        options={"claims": Claims(smoothness=inf)},
    ),
    Fault(
        function=not_equivariant,
        caught_by="claims_hold",
        says="equivariant is claimed to be True",
        options=VECTOR | {"claims": Claims(equivariant=True)},
    ),
    Fault(function=wrong_slope, truth="tanh", caught_by="derivative_agrees_with_finite_differences", says="not close"),
    Fault(
        function=ignored_parameter,
        truth="tanh",
        caught_by="gradients_of_learned_parameters_are_right",
        says="does not depend on alpha",
    ),
    Fault(
        function=detached_parameter,
        caught_by="gradients_of_learned_parameters_are_right",
        says="Jacobian mismatch",
        options=VECTOR,
    ),
    Fault(
        function=detached_normaliser,
        caught_by="gradients_of_learned_parameters_are_right",
        says="Jacobian mismatch",
        options=VECTOR,
    ),
    Fault(
        function=lost_precision,
        caught_by="gradients_of_learned_parameters_are_right",
        says="Jacobian mismatch",
        options=VECTOR,
    ),
    Fault(
        function=wrong_native,
        truth="softshrink",
        caught_by="formula_agrees_with_the_native",
        says="not close",
        options={"torch": "torch.nn.functional.hardshrink"},
    ),
    Fault(
        function=native_loses_the_dtype,
        truth="silu",
        caught_by="autocast_keeps_the_dtype",
        says="makes torch.float32 of bfloat16",
        options={"torch": "torch.nn.functional.silu(x.float())"},
    ),
    Fault(function=changes_its_input, caught_by="any_shape_is_taken", says="changes its input", options=VECTOR),
    Fault(
        function=wrong_width,
        caught_by="any_shape_is_taken",
        says="makes (0, 4) of (0, 4), not (0, 2)",
        options=VECTOR | {"width": "n/2"},
    ),
    Fault(
        function=needs_contiguous_memory,
        caught_by="any_shape_is_taken",
        says="view size is not compatible",
        options=VECTOR,
    ),
    Fault(
        function=looks_at_the_data, caught_by="compiles_to_one_graph", says="Data-dependent branching", options=VECTOR
    ),
    Fault(
        function=leaves_torch,
        caught_by="meta_tensors_give_shapes",
        says="convert meta device type tensor to numpy",
        options=VECTOR,
    ),
    Fault(function=sees_the_future, caught_by=CAUSAL, says="not close", options=VECTOR),
]
