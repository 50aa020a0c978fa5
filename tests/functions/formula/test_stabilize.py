"""Rewrites that keep formulas finite in their tails."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from tests.functions.formula.test_formula import in_torch

from actlab.functions import formula
from actlab.functions.formula import derivative, exp, expm1, sigmoid, softplus, tanh, where
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.stabilize import guard_branches

X = sympy.Symbol("x", real=True)


def test_a_branch_never_sees_inputs_of_the_other_region():
    x = torch.tensor([-1.0, 1e4, 3e38], requires_grad=True)

    in_torch(where(X > 0, X, expm1(X)))(x).sum().backward()

    assert x.grad[1:].tolist() == [1.0, 1.0]


def test_without_the_guard_the_gradient_is_nan():
    x = torch.tensor([1e4], requires_grad=True)

    torch.where(x > 0, x, torch.expm1(x)).sum().backward()

    assert torch.isnan(x.grad).all()


def test_a_polynomial_branch_is_left_alone_unless_it_can_overflow():
    assert guard_branches(where(X > 0, X, X / 4)) == where(X > 0, X, X / 4)
    assert guard_branches(where(X > 0, X, X**3)) != where(X > 0, X, X**3)


@pytest.mark.parametrize(
    ("expression", "at_minus_infinity", "at_infinity"),
    [
        (X * sigmoid(X), 0.0, np.inf),
        (X * sigmoid(-X), -np.inf, 0.0),
        (X / (1 + formula.absolute(X)), -1.0, 1.0),
        (X * exp(-(X**2)), 0.0, 0.0),
        (X**2 * sigmoid(X), 0.0, np.inf),
        (X * tanh(exp(X)), 0.0, np.inf),
        (derivative(X * tanh(softplus(X)), X), 0.0, 1.0),
        (derivative(X * tanh(exp(X)), X), 0.0, 1.0),
    ],
    ids=str,
)
def test_a_product_takes_its_limit_at_the_infinities(expression, at_minus_infinity, at_infinity):
    ends = [-np.inf, np.inf]

    assert numeric(expression, [X])(np.array(ends)).tolist() == [at_minus_infinity, at_infinity]
    for dtype in (torch.float32, torch.float64):
        assert in_torch(expression)(torch.tensor(ends, dtype=dtype)).tolist() == [at_minus_infinity, at_infinity]


def test_an_exponential_inside_a_saturating_function_has_gradient_zero_in_its_tail():
    x = torch.tensor([50.0, 100.0, 1e4], requires_grad=True)

    in_torch(tanh(exp(X)))(x).sum().backward()

    assert x.grad.tolist() == [0.0, 0.0, 0.0]
