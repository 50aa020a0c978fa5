"""Primitives against mpmath: values in every target, and derivatives."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import sympy
import torch

from actlab.codegen.pytorch import NAMES
from actlab.functions import formula
from actlab.functions.formula import PRIMITIVES, derivative, exp, maximum, minimum, softplus, tanh
from actlab.functions.formula.evaluate import numeric, stabilize
from actlab.functions.formula.printer import compile_source, function_source, print_expression

X = sympy.Symbol("x", real=True)
EXACT = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log1p": mp.log1p,
    "log": mp.log,
    "asinh": mp.asinh,
    "sinc": lambda x: mp.sin(x) / x,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "logsigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "erf": mp.erf,
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
    "sin": mp.sin,
    "cos": mp.cos,
    "atan": mp.atan,
    "absolute": abs,
    "sign": mp.sign,
    "rounded": mp.nint,
    "reciprocal": lambda x: 1 / x,
}
LEAST = {"log": 0, "log1p": -1}
POINTS = [-30.0, -5.25, -1.25, -0.01, 0.02, 0.75, 4.0, 30.0]


def in_torch(expression):
    return compile_source(function_source("f", [X], stabilize(expression, [X]), "torch"), "f", NAMES)


def test_every_scalar_primitive_has_an_exact_reference():
    assert set(EXACT) == {name for name, primitive in PRIMITIVES.items() if primitive.nargs == {1}} - {"tamed"}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_a_primitive_agrees_with_mpmath_in_every_target(name, target):
    points = [point for point in POINTS if point > LEAST.get(name, -math.inf)]
    expression = PRIMITIVES[name](X)
    got = (
        numeric(expression, [X])(np.array(points))
        if target == "numpy"
        else in_torch(expression)(torch.tensor(points, dtype=torch.float64)).numpy()
    )

    with mp.workdps(50):  # whatever another test file has set
        exact = [float(EXACT[name](mp.mpf(point))) for point in points]
    np.testing.assert_allclose(got, exact, rtol=1e-13, atol=1e-300)  # normal_cdf has condition x^2 = 900 at -30


@pytest.mark.parametrize("name", EXACT)
def test_a_primitive_derivative_agrees_with_mpmath_and_does_not_cancel(name):
    points = [point for point in POINTS if point > LEAST.get(name, -math.inf)]
    with mp.workdps(400):
        exact = [float(mp.diff(EXACT[name], mp.mpf(point))) for point in points]

    got = numeric(derivative(PRIMITIVES[name](X), X), [X])(np.array(points))
    np.testing.assert_allclose(got, exact, rtol=1e-13, atol=1e-280)


def test_autograd_of_sinc_does_not_cancel_near_zero():
    x = torch.tensor([1e-6, 1e-3, 0.05, 0.7], requires_grad=True)

    in_torch(formula.sinc(X))(x).sum().backward()

    exact = [float(mp.diff(EXACT["sinc"], mp.mpf(point))) for point in x.tolist()]
    np.testing.assert_allclose(x.grad.numpy(), exact, rtol=1e-6)  # torch.sinc's own gradient is 0 at 1e-6


def test_primitives_of_numbers_become_numbers_in_every_target():
    expression = formula.softplus(sympy.Float(0.5)) * X + maximum(sympy.Float(0.5), sympy.Float(0.2))

    assert in_torch(expression)(torch.tensor([2.0])).item() == pytest.approx(2 * math.log1p(math.exp(0.5)) + 0.5)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_is_spelled_in_every_target(name):
    assert {"torch", "numpy", "latex"} <= set(PRIMITIVES[name].spelling)


@pytest.mark.parametrize(("pair", "gradient"), [(maximum(X, 1), 0.0), (minimum(X, 1), 0.0), (maximum(X, 0), 1.0)])
def test_at_a_tie_the_constant_counts(pair, gradient):
    x = torch.tensor([1.0], requires_grad=True)

    in_torch(pair)(x).backward()

    assert x.grad.item() == gradient
    assert numeric(derivative(pair, X), [X])(np.array([1.0]))[0] == gradient


def test_nan_passes_through_maximum_minimum_and_absolute():
    for expression in (maximum(X, 0), minimum(X, 6), formula.absolute(X)):
        assert np.isnan(numeric(expression, [X])(np.array([np.nan]))[0])
        assert torch.isnan(in_torch(expression)(torch.tensor([torch.nan]))).all()


def test_sympy_functions_become_primitives():
    assert formula.canonical(abs(X) + sympy.exp(X) + sympy.tanh(X)) == formula.absolute(X) + exp(X) + tanh(X)


def test_shared_subexpressions_are_computed_once():
    text = function_source("f", [X], softplus(X) * tanh(softplus(X)) + softplus(X), "torch")

    assert text.count("log_sigmoid") == 1


def test_what_has_no_spelling_is_refused_with_advice():
    with pytest.raises(TypeError, match="Use the primitives of actlab"):
        print_expression(sympy.gamma(X), "torch")


def test_a_piece_with_a_condition_inside_can_be_compared():
    pieces = formula.where(X > 0, X, formula.log1p(-formula.where(X > 0, 0, X)))

    assert str(formula.maximum(pieces, -1) >= 1).startswith("maximum(")
    assert formula.derivative(formula.maximum(pieces, -1), X).subs(X, 2) == 1
