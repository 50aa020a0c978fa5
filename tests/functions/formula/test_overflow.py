"""Formulas that overflow where the function is finite: values far out, and what is left as it is."""

from __future__ import annotations

from math import exp as e_to
from math import log as ln

import numpy as np
import pytest
import sympy

from actlab.functions.activation import get
from actlab.functions.formula import derivative, exp, expm1, hypot, log, log1p, maximum, sqrt
from actlab.functions.formula.evaluate import numeric, stabilize

X = sympy.Symbol("x", real=True)
MU = sympy.Symbol("mu", real=True)


@pytest.mark.parametrize(
    ("formula", "at", "want"),
    [
        (sqrt(X**2 + 4), 1e200, 1e200),
        (sqrt((3 * X) ** 2 + MU**2), -1e200, 3e200),
        (X / sqrt(1 + 100 * X**2), 1e154, 0.1),
        (log1p(X**2), -1e200, 400 * ln(10)),
        (log1p(MU * X), 1.7e308, ln(1.7) + 308 * ln(10) + ln(2)),
        (log1p(100 * maximum(X, 0)), 1.7e308, ln(1.7) + 310 * ln(10)),
        (exp(X) / 10, 711.0, e_to(701) / 10 * e_to(10)),
        ((expm1(X) - expm1(-X)) / 6, 711.0, e_to(700) / 6 * e_to(11)),
    ],
)
def test_the_value_is_finite_where_a_part_overflows(formula, at, want):
    got = numeric(formula, [X], [MU])(np.array([at]), np.array([2.0]))

    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize(
    "formula",
    [sqrt(1 + MU * X**2), sqrt(X**2 - 1), 1 / sqrt(1 + X**2), log1p(X), log1p(X / 2), exp(X), exp(-(X**2)) / 2],
)
def test_what_cannot_overflow_or_has_an_unknown_sign_stays(formula):
    assert stabilize(formula, [X]) == formula


def test_the_derivative_of_the_root_is_that_of_the_formula():
    points = np.array([-3.0, 0.5, 1e10])

    got = numeric(derivative(hypot(X, 2), X), [X])(points)

    np.testing.assert_allclose(got, points / np.sqrt(points**2 + 4), rtol=1e-12)


def test_a_power_by_exp_and_log_has_a_finite_slope_at_subnormal_numbers():
    slope = numeric(derivative(exp(3 * log(X)), X), [X])

    assert slope(np.array([5e-324])) == pytest.approx(0, abs=1e-50)
    np.testing.assert_allclose(slope(np.array([2.0])), 12.0)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("squareplus", "where(x > 0, x/2 + sqrt(b + x**2)/2, b/(2*(-x + sqrt(b + x**2))))"),
        ("seagull", "log1p(x**2)"),
        ("ternary", "where(x > threshold_value, 1, where(x < -threshold_value, -1, 0))"),
    ],
)
def test_the_catalogue_keeps_the_formula_of_the_paper(name, formula):
    assert str(get(name).formula) == formula
