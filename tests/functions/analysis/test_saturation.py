"""Saturated tails of functions, against inverse functions known in closed form."""

from __future__ import annotations

import math

import pytest

from actlab.errors import SpecError
from actlab.functions.analysis.saturation import tails


@pytest.mark.parametrize(
    ("spec", "left", "right"),
    [
        ("tanh", -math.atanh(math.sqrt(0.99)), math.atanh(math.sqrt(0.99))),  # 1 - tanh^2 = 0.01
        ("sigmoid", -2 * math.atanh(math.sqrt(0.99)), 2 * math.atanh(math.sqrt(0.99))),
        ("softsign", -9.0, 9.0),  # 1 / (1 + x)^2 = 0.01
        ("relu6", 0.0, 6.0),
        ("hardtanh", -1.0, 1.0),
        ("relu", 0.0, math.inf),
        ("elu", math.log(0.01), math.inf),
        ("softplus", math.log(0.01 / 0.99), math.inf),
        ("leaky_relu", -math.inf, math.inf),
        ("identity", -math.inf, math.inf),
        ("sine", -math.inf, math.inf),
        ("hardshrink", -math.inf, math.inf),
    ],
)
def test_where_a_function_is_flat(spec, left, right):
    ends = tails(spec)
    assert ends.left == pytest.approx(left, abs=1e-6)
    assert ends.right == pytest.approx(right, abs=1e-6)
    assert ends.both == (math.isfinite(left) and math.isfinite(right))


def test_off_is_not_saturated_and_stuck_is():
    assert tails("relu").saturated == (-math.inf, math.inf)
    assert tails("gelu").saturated == (-math.inf, math.inf)
    assert tails("elu").saturated == (pytest.approx(math.log(0.01)), math.inf)
    assert tails("tanh").saturated == (tails("tanh").left, tails("tanh").right)


def test_parameters_move_the_ends():
    assert tails("hardtanh(min_val=-2, max_val=3)").right == pytest.approx(3.0)


def test_functions_of_several_inputs_are_refused():
    with pytest.raises(SpecError, match="gated"):
        tails("swiglu")
