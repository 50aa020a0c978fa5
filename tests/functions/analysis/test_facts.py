"""Facts against closed forms and published numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from tests.functions.references import REFERENCES

from actlab.errors import SpecError
from actlab.functions.activation import names
from actlab.functions.analysis.facts import facts, gain, violated_claims

# Gains as published or in closed form; torch's own table where it has one (except SELU, for which the authors ask for 1, torch says 0.75).
GAINS = {
    "relu": math.sqrt(2),
    "leaky_relu(0.2)": math.sqrt(2 / (1 + 0.2**2)),
    "identity": 1.0,
    "selu": 1.0,
    "squared_relu": math.sqrt(2 / 3),
    "sine": math.sqrt(2 / (1 - math.exp(-2))),
    "erf": 1 / math.sqrt(2 / math.pi * math.asin(2 / 3)),
    "gelu": 1.5335,
    "tanh": 1.5925,
    "sigmoid": 1.8462,
    "bilinear": 1.0,
    "reglu": math.sqrt(2),
    "star_relu(0.8944, -0.4472)": 1.0,
}
CHI = {"relu": 1.0, "selu": 1.0716, "gelu": 1.0720, "tanh": 1.1778, "sigmoid": 0.1528}


@pytest.mark.parametrize(("spec", "expected"), GAINS.items())
def test_the_gain_is_the_closed_form_or_the_published_number(spec, expected):
    assert gain(spec) == pytest.approx(expected, rel=5e-5)


@pytest.mark.parametrize(("spec", "expected"), CHI.items())
def test_chi_at_that_gain_is_the_published_number(spec, expected):
    assert facts(spec).chi == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("name", ["gelu", "mish", "elu", "hardswish", "snake", "threshold"])
def test_the_second_moment_agrees_with_adaptive_quadrature_of_the_reference(name):
    def integrand(z):
        return float(REFERENCES[name](z)) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    edges = [-9, -3, -1, 0, 1, 3, 9]  # the references' breakpoints
    exact = sum(quad(integrand, a, b, epsabs=1e-9)[0] for a, b in itertools.pairwise(edges))

    assert facts(name).second_moment == pytest.approx(exact, abs=1e-7)


def test_the_gain_agrees_with_a_simulation_of_a_million_draws():
    z = np.random.default_rng(0).standard_normal(1_000_000)

    assert gain("silu") == pytest.approx(1 / math.sqrt(np.mean((z / (1 + np.exp(-z))) ** 2)), rel=5e-3)


@pytest.mark.parametrize(
    ("spec", "lower", "upper", "monotone", "smoothness"),
    [
        ("relu", 0, math.inf, True, 0),
        ("elu(alpha=2)", -2, math.inf, True, 0),
        ("elu", -1, math.inf, True, 1),
        ("celu(alpha=2)", -2, math.inf, True, 1),
        ("leaky_relu(-0.5)", 0, math.inf, False, 0),
        ("threshold(1, 1)", 1, math.inf, True, 0),
        ("threshold", 0, math.inf, True, -1),
        ("sine", -1, 1, False, math.inf),
        ("softsign", -1, 1, True, 1),
        ("squared_relu", 0, math.inf, True, 1),
    ],
)
def test_range_monotonicity_and_smoothness_are_measured_at_the_given_parameters(
    spec, lower, upper, monotone, smoothness
):
    measured = facts(spec)

    assert (lower, upper) == pytest.approx((measured.lower, measured.upper), abs=1e-7)
    assert (monotone, smoothness) == (measured.monotone, measured.smoothness)


def test_a_contradicted_claim_is_named_with_both_numbers():
    assert violated_claims("elu(alpha=2)")[0].startswith("elu(alpha=2): lower is claimed to be -1.0, measured -2")


@pytest.mark.parametrize("name", names("elementwise"))
def test_every_default_agrees_with_its_claims(name):
    assert violated_claims(name) == []


def test_a_vector_function_has_no_gain_and_says_why():
    with pytest.raises(SpecError, match="depends on the number of elements"):
        gain("softmax")


def test_facts_of_a_gated_function_are_refused_with_the_reason():
    with pytest.raises(SpecError, match="measured for elementwise functions only"):
        facts("swiglu")


def test_the_gain_of_a_random_slope_is_that_of_its_second_moment():
    lower, upper = 1 / 8, 1 / 3
    slope_squared = (upper**3 - lower**3) / (3 * (upper - lower))

    assert gain("rrelu") == pytest.approx(1 / math.sqrt((1 + slope_squared) / 2), rel=3e-3)


@pytest.mark.parametrize(
    ("spec", "lower", "upper", "slope_bound"),
    [
        ("tent(delta=3)", 0, 3, 1),  # the peak lies at a kink
        ("plu(alpha=-1, c=2)", -math.inf, math.inf, 1),
        ("hat", 0, 1, 1),
        ("relu_n(n=2.5)", 0, 2.5, 1),
        ("shifted_relu(delta=0.05)", -0.05, math.inf, 1),
        ("squish", -0.5, math.inf, math.inf),  # the slope grows with the input
        ("signed_sqrt", -math.inf, math.inf, math.inf),  # the slope is infinite at zero
        ("hyperbolicshrink(lambd=2)", -math.inf, math.inf, math.inf),  # ... and at the threshold
        ("symexp", -math.inf, math.inf, math.inf),
    ],
)
def test_extrema_at_kinks_and_infinite_slopes_are_found(spec, lower, upper, slope_bound):
    measured = facts(spec)

    assert (measured.lower, measured.upper) == pytest.approx((lower, upper), abs=1e-9)
    assert measured.slope_bound == pytest.approx(slope_bound, abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "smoothness"),
    [
        ("signed_sqrt", 0),  # continuous; both sides of the slope agree, but it has no limit
        ("exproot", 0),
        ("power23_clip", 0),
        ("m_arcsinh", 1),  # the second derivative diverges at zero
        ("hyperbolicshrink(lambd=2)", 0),
        ("plan_sigmoid", -1),  # a jump of 1/256
        ("sine_relu", -1),
        ("repu(p=2)", 1),
        ("repu(p=3)", 2),
        ("minsin", 2),
        ("laplace_cdf", 1),
        ("softplus_plus(k=3)", math.inf),  # two branches of one smooth function
        ("smelu(beta=0.5)", 1),
    ],
)
def test_smoothness_counts_the_derivatives_that_have_a_limit_at_every_kink(spec, smoothness):
    assert facts(spec).smoothness == smoothness


@pytest.mark.parametrize("spec", ["exponential", "symexp", "hyper_sinh"])
def test_a_function_that_overflows_on_the_grid_is_still_monotone(spec):
    assert facts(spec).monotone


def test_a_fall_of_a_two_hundred_and_fifty_sixth_is_no_rounding():
    assert not facts("plan_sigmoid").monotone
