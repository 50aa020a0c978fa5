"""Float32 accuracy of textbook formulas, against known overflow points and hand-written programs."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from actlab.bench.float32_accuracy import inaccurate_regions
from actlab.errors import SpecError
from actlab.functions.activation import activation, forget, names
from actlab.functions.formula import exp, log

OVERFLOW = math.log(np.finfo(np.float32).max)  # 88.72: largest input with a finite exponential


def _found(spec, part, *, finite):
    return [region for region in inaccurate_regions(spec) if region.part == part and region.finite == finite]


def test_softplus_overflows_where_the_exponential_does():
    (value,) = _found("softplus", "value", finite=False)

    assert value.low == pytest.approx(OVERFLOW, abs=0.1)
    assert (value.high, value.error, value.truth) == (math.inf, math.inf, pytest.approx(1e4))
    assert value.here < 1e-6


def test_the_branch_not_taken_makes_the_gradient_of_elu_nan():
    (gradient,) = _found("elu", "gradient", finite=False)

    x = torch.tensor([gradient.low, gradient.low - 0.2], requires_grad=True)
    torch.where(x > 0, x, torch.exp(x) - 1).sum().backward()
    assert x.grad.isnan().tolist() == [True, False]
    assert gradient.here < 1e-6
    assert _found("elu", "value", finite=False) == []


def test_gelu_by_erf_keeps_no_digit_below_minus_five_and_a_half():
    (value,) = _found("gelu", "value", finite=True)

    x = np.float32(-6)
    naive = x * np.float32(0.5) * (1 + torch.erf(torch.tensor(x / np.float32(math.sqrt(2)))).item())
    truth = float(-6 * mpmath.ncdf(-6))
    assert value.low < -6 < value.high
    assert abs(naive - truth) / abs(truth) > 0.01
    assert value.here < 1e-5


def test_the_hole_of_sinc_is_a_point():
    holes = [region for region in inaccurate_regions("sinc") if not region.finite]

    assert {(region.part, region.low, region.high, region.truth) for region in holes} >= {("value", 0.0, 0.0, 1.0)}
    assert all(region.here < 1e-6 for region in holes)


def test_a_product_of_an_overflow_and_a_small_number_is_finite_here():
    regions = [region for region in inaccurate_regions("hyper_sinh") if not region.finite]

    assert any(88.7 < region.low < 91 for region in regions)
    assert all(region.here < 1e-4 for region in regions)


@pytest.mark.parametrize("spec", ["relu", "leaky_relu", "hardtanh", "identity", "step", "square", "sigmoid", "sine"])
def test_functions_without_traps_have_none(spec):
    assert [region for region in inaccurate_regions(spec) if not region.finite] == []
    assert _found(spec, "value", finite=True) == []


def test_a_formula_that_its_author_wrote_carelessly_is_wrong_here_too():
    @activation(paper="a test")
    def careless(x):
        """Softplus without its primitive."""
        return log(1 + exp(x))

    try:
        regions = [region for region in inaccurate_regions("careless") if region.part == "value" and not region.finite]
    finally:
        forget("careless")
    (region,) = regions  # up to where the float64 reference overflows as well
    assert (region.low, region.here) == (pytest.approx(OVERFLOW, abs=0.1), math.inf)
    assert region.high == pytest.approx(math.log(np.finfo(np.float64).max), abs=25)


def test_the_values_of_a_spec_count():
    (steep,) = _found("elu(alpha=1e18)", "value", finite=True)

    assert steep.low < 0


@pytest.mark.parametrize("name", names("elementwise")[::9])
def test_here_nothing_is_infinite_that_a_float32_could_hold(name):
    assert [region for region in inaccurate_regions(name) if region.here == math.inf] == []


def test_only_elementwise_functions_have_traps():
    with pytest.raises(SpecError, match="swiglu is a gated function"):
        inaccurate_regions("swiglu")
