"""Functions of users that return a formula, or something else."""

from __future__ import annotations

import contextlib
import math

import pytest
import sympy
import torch

from actlab.errors import FormulaError
from actlab.functions.activation import activation, forget
from actlab.functions.formula import Eq, Ne, sin, where
from actlab.functions.rule import rule
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
        (lambda x: where(Eq(x, 1), 2 * x, x), lambda x: x == 1),
        (lambda x: where(Ne(x, 1), 2 * x, x), lambda x: x != 1),
        (lambda x: where(Eq(x, 1) | (x < 0), 2 * x, x), lambda x: (x == 1) | (x < 0)),
    ],
    ids=["and", "or", "three", "or of and", "not", "xor", "sympy", "equal", "not equal", "equal or less"],
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
        (lambda x: where(x == 0, 1, sin(x) / x), r"== is answered by Python.*Write where\(Eq\(x, 0\), a, b\)"),
        (lambda x: where(x != 0, sin(x) / x, 1), r"!= is answered by Python.*Write where\(Ne\(x, 0\), a, b\)"),
        (lambda x: where((x == 0) | (x > 1), 1, x), r"== is answered by Python.*Eq\(x, 0\)"),
        (lambda x: where(abs(x) == 1, 1, x), r"== is answered by Python.*Eq\(x, 0\)"),
        (lambda x: 0 if x in {1, 2} or x in (1, 2) else x, r"== is answered by Python.*Eq\(x, 0\)"),
        (lambda x: 0 if 0 == x else x, r"== is answered by Python.*Eq\(x, 0\)"),  # noqa: SIM300 # as a user writes
    ],
)
def test_what_is_no_formula_is_told_with_a_hint(function, message):
    with pytest.raises(FormulaError, match=message):
        register(function)


def test_parameters_of_a_formula_are_not_compared_with_two_equals_signs():
    with pytest.raises(FormulaError, match="== is answered by Python"):
        register(lambda x, k=1.0: x if k == 1 else k * x)


def test_constants_are_compared_in_formulas_as_always():
    mode = "double"
    register(lambda x: 2 * x if mode == "double" and len([x]) == 1 else x)

    assert sympy.Symbol("x") == sympy.Symbol("x")  # SymPy is as before


def test_a_formula_that_raises_leaves_comparisons_of_sympy_as_they_were():
    with pytest.raises(FormulaError):
        register(lambda x: where(x == 0, 1, x))

    x = sympy.Symbol("x")
    assert (x == sympy.Symbol("x"), x + 1 == 1 + x, x != 0) == (True, True, True)


def test_a_rule_that_returns_no_formula_is_told_with_the_same_hint():
    for function, message in (
        (lambda x: where(x == 0, 1, 0), "== is answered"),
        (lambda x: 1 if x > 0 else 0, "where"),
    ):
        function.__name__, function.__doc__ = "own_rule", "A rule of a test."
        with pytest.raises(FormulaError, match=message):
            rule(paper="a test")(function)
