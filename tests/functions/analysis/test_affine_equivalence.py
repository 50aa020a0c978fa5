"""Affine relations between functions, against textbook and planted constants, and near misses."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actlab.errors import SpecError
from actlab.functions.activation import activation, forget
from actlab.functions.analysis.affine_equivalence import relation, special_case
from actlab.functions.formula import sin, softplus, tanh

# function, other: a, b, c, d with function(x) = a other(b x) + c x + d, from textbooks
CLOSED = {
    ("sigmoid", "tanh"): (0.5, 0.5, 0, 0.5),
    ("softplus", "logsigmoid"): (-1, 1, 1, 0),
    ("tanhshrink", "tanh"): (-1, 1, 1, 0),
    ("relu", "abs"): (0.5, 1, 0.5, 0),
    ("leaky_relu(0.2)", "relu"): (0.8, 1, 0.2, 0),
    ("hardtanh", "hardsigmoid"): (2, 3, 0, -1),
    ("softshrink", "hardtanh"): (-0.5, 2, 1, 0),
    ("normal_cdf", "erf"): (0.5, 1 / math.sqrt(2), 0, 0.5),
    ("lisht", "silu"): (1, 2, -1, 0),
    ("mu_law", "symlog"): (1 / math.log(256), 255, 0, 0),
    ("squareplus", "bent_identity"): (2, 0.5, -0.5, 1),
    ("swish(beta=3)", "silu"): (1 / 3, 3, 0, 0),
}
DIFFERENT = [
    ("gelu", "silu"),
    ("tanh", "erf"),
    ("softsign", "arctan"),
    ("elu", "selu"),
    ("gelu", "gelu_tanh"),
    ("sign", "tanh"),
]


@pytest.mark.parametrize(("pair", "constants"), CLOSED.items(), ids=str)
def test_the_constants_are_those_of_the_textbook(pair, constants):
    match = relation(*pair)

    assert (match.a, match.b, match.c, match.d) == pytest.approx(constants, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("pair", DIFFERENT, ids=str)
def test_functions_that_only_look_alike_are_not_the_same(pair):
    assert relation(*pair) is None


def test_a_function_is_equal_to_itself():
    assert relation("mish", "mish").equal


def test_round_constants_come_back_as_written():
    match = relation("sigmoid", "tanh")

    assert (match.a, match.b, match.c, match.d) == (0.5, 0.5, 0.0, 0.5)


@example(a=0.5, b=1.0, c=0.00390625, d=2.0, turned=False)
@example(a=1.0, b=3.404800288952546, c=0.0, d=0.0, turned=False)  # within 1e-7 of a short decimal
@given(a=st.floats(0.05, 20), b=st.floats(0.1, 10), c=st.floats(-3, 3), d=st.floats(-3, 3), turned=st.booleans())
def test_constants_that_were_planted_are_found(a, b, c, d, turned):
    a = -a if turned else a

    @activation(paper="a test")
    def planted(x):
        """A bent curve, stretched, with a line beside it."""
        return a * softplus(b * x) ** 2 * tanh(b * x) + c * x + d

    @activation(paper="a test")
    def bent(x):
        """The curve."""
        return softplus(x) ** 2 * tanh(x)

    try:
        match = relation("planted", "bent")
    finally:
        forget("planted")
        forget("bent")
    assert (match.a, match.b, match.c, match.d) == pytest.approx((a, b, c, d), rel=1e-6, abs=1e-8)


def test_a_difference_of_a_billionth_is_a_difference():
    @activation(paper="a test")
    def almost_tanh(x):
        """The hyperbolic tangent and a billionth of a wave."""
        return tanh(x) + 1e-9 * sin(3 * x)

    try:
        assert relation("almost_tanh", "tanh") is None
        assert relation("tanh", "almost_tanh") is None
    finally:
        forget("almost_tanh")


@pytest.mark.parametrize(
    ("function", "other", "case"),
    [
        ("quick_gelu", "swish", "swish(beta=1.702)"),
        ("silu", "swish", "swish"),
        ("relu", "leaky_relu", "leaky_relu(negative_slope=0)"),
        ("abs", "leaky_relu", "leaky_relu(negative_slope=-1)"),
        ("elu", "celu", "celu"),
        ("relu6", "relu_n", "relu_n(n=6)"),
    ],
)
def test_a_special_case_is_found_as_it_stands(function, other, case):
    match = special_case(function, other)

    assert match.equal
    assert match.other.partition("(")[0] == other
    assert relation(function, case).equal


def test_selu_is_a_scaled_elu_and_is_found_only_if_scaling_counts():
    match = special_case("selu", "elu")

    assert match.other == "elu(alpha=1.6732632423543772)"
    assert match.a == pytest.approx(1.0507009873554805, rel=1e-12)
    assert special_case("selu", "elu", scaled=False) is None


def test_a_limit_at_the_edge_of_the_parameters_is_no_special_case():
    assert special_case("relu", "celu") is None  # alpha above 0: relu is only approached
    assert special_case("relu", "swish") is None


def test_what_is_not_elementwise_is_refused():
    with pytest.raises(SpecError, match="swiglu is a gated function"):
        relation("swiglu", "silu")
    with pytest.raises(SpecError, match="softmax is a vector function"):
        special_case("gelu", "softmax")
