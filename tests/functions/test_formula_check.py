"""Functions of users that return a formula, or something else."""

from __future__ import annotations

import contextlib
import math

import pytest
import sympy
import torch

from actlab.errors import FormulaError
from actlab.functions.activation import activation, forget
from actlab.functions.formula import where
from actlab.nn.layers.layer import layer

X = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, math.nan])


def register(function):
    function.__name__, function.__doc__ = "own_formula", "A function of a test."
    return activation(paper="a test")(function)


@pytest.fixture(autouse=True)
def _forget():
    yield
    with contextlib.suppress(Exception):  # it may not have been registered
        forget("own_formula")


@pytest.mark.parametrize(
    ("formula", "condition"),
    [
        (lambda x: where((x > -1) & (x < 1), 2 * x, x), lambda x: (x > -1) & (x < 1)),
        (lambda x: where((x < -1) | (x > 1), 2 * x, x), lambda x: (x < -1) | (x > 1)),
        (lambda x: where((x > -1) & (x < 1) & (x > 0), 2 * x, x), lambda x: (x > -1) & (x < 1) & (x > 0)),
        (lambda x: where(((x > -1) & (x < 0)) | (x > 1), 2 * x, x), lambda x: ((x > -1) & (x < 0)) | (x > 1)),
        (lambda x: where(~((x > -1) & (x < 1)), 2 * x, x), lambda x: (x <= -1) | (x >= 1)),
        (lambda x: where((x > -1) ^ (x > 1), 2 * x, x), lambda x: (x > -1) ^ (x > 1)),
        (
            lambda x: where(sympy.Or(x > 1, sympy.And(x > -1, x < 0)), 2 * x, x),
            lambda x: (x > 1) | ((x > -1) & (x < 0)),
        ),
    ],
    ids=["and", "or", "three", "or of and", "not", "xor", "sympy"],
)
def test_conditions_of_several_comparisons_choose_as_torch_does(formula, condition):
    register(formula)
    for fast in (False, True):
        x = X.clone().requires_grad_()
        y = layer("own_formula", fast=fast)(x)
        y.sum().backward()

        assert torch.equal(y.detach().nan_to_num(9.0), torch.where(condition(X), 2 * X, X).nan_to_num(9.0))
        assert torch.equal(x.grad[:-1], torch.where(condition(X), 2.0, 1.0)[:-1])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x if x > 0 else 0, r"where\(x > 0, a, b\)"),  # noqa: FURB136 # as a user writes
        (lambda x: where((x > -1) and (x < 1), x, 0), r"\(x > -1\) & \(x < 1\)"),
        (lambda x: where(-1 < x < 1, x, 0), r"\(x > -1\) & \(x < 1\)"),
        (lambda x: max(x, 0), r"maximum\(a, b\)"),
        (lambda x: math.exp(x), "instead of those of math, numpy and torch"),  # noqa: PLW0108 # as a user writes
        (lambda x: torch.relu(x), "kind='vector'"),  # noqa: PLW0108 # as a user writes
        (lambda x: sympy.Piecewise((x, x > 0), (0, True)), r"uses Piecewise.*Write where\(condition, a, b\)"),
        (lambda x: sympy.Max(x, 0), r"uses Max.*Write maximum\(a, b\)"),
        (lambda x: sympy.floor(x), "uses floor, which no target can compute"),  # noqa: PLW0108 # as a user writes
        (lambda x: x > 1, r"returns the condition x > 1; a number follows from one with where\(x > 1, 1, 0\)"),
        (lambda x: where(x, x, 0), r"has where\(x, \.\.\.\); a condition compares"),
        (lambda x: None, "returns nothing; it must return its formula"),  # noqa: ARG005
        (lambda x: "x", "returns a str, which is no formula"),  # noqa: ARG005
        (lambda x: [x], "returns a list, which is no formula"),
        (lambda x: x.relu(), "raises AttributeError"),
    ],
)
def test_what_is_no_formula_is_told_with_a_hint(function, message):
    with pytest.raises(FormulaError, match=message):
        register(function)
