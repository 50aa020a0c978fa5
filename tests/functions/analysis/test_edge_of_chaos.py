"""Edge of chaos, self-normalization and born-dead nets, against closed forms, SciPy quadrature, and nets."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad

from actlab.errors import SpecError
from actlab.functions.analysis.edge_of_chaos import born_dead_bound, critical_point, map_norm, slope_moment
from actlab.nn.layers.layer import layer


def gaussian(function):
    return quad(lambda z: function(z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), -12, 12, limit=200)[0]


@pytest.mark.parametrize("q", [0.1, 1.0, 7.0])
def test_the_mean_squared_slope_is_that_of_another_quadrature(q):
    scale = math.sqrt(q)
    assert slope_moment("tanh", q) == pytest.approx(gaussian(lambda z: math.cosh(scale * z) ** -4), rel=1e-8)
    assert slope_moment("relu", q) == pytest.approx(0.5, rel=1e-12)
    # selu: scale^2 (1/2 + alpha^2 E e^(2 x) for x below 0), with E e^(2 s z) 1[z < 0] = e^(2 s^2) Phi(-2 s)
    below = 1.6732632423543772**2 * math.exp(2 * q) * 0.5 * math.erfc(2 * scale / math.sqrt(2))
    assert slope_moment("selu", q) == pytest.approx(1.0507009873554805**2 * (0.5 + below), rel=1e-8)


@pytest.mark.parametrize("spec", ["tanh", "elu", "gelu", "silu"])
def test_a_critical_point_keeps_the_variance_and_the_gradient(spec):
    point = critical_point(spec, 0.2)
    function = layer(spec)
    scale = math.sqrt(point.q)
    second = gaussian(lambda z: function(torch.tensor(scale * z, dtype=torch.float64)).item() ** 2)

    assert point.weight**2 * second + 0.2**2 == pytest.approx(point.q, rel=1e-7)
    assert point.weight**2 * slope_moment(spec, point.q) == pytest.approx(1.0, rel=1e-10)


def test_the_critical_point_of_gelu_repels_and_that_of_tanh_attracts():
    for spec, attracts in (("tanh", True), ("elu", True), ("gelu", False), ("silu", False)):
        point, function = critical_point(spec, 0.2), layer(spec)
        q, away = point.q * 1.05, []
        for _ in range(6):  # the length map itself, by another quadrature
            scale = math.sqrt(q)
            second = gaussian(lambda z, s=scale, f=function: f(torch.tensor(s * z, dtype=torch.float64)).item() ** 2)
            q = point.weight**2 * second + point.bias**2
            away.append(abs(q / point.q - 1))
        assert point.attracts == attracts == (away[-1] < 0.05)
        assert away[0] / 0.05 == pytest.approx(point.slope, rel=0.05)


def test_selu_contracts_as_its_paper_says():
    assert map_norm("selu") == pytest.approx(0.7877, abs=5e-5)  # Klambauer et al. 2017, section 2
    # of degree 1: the variance follows the input's, the mean its root
    variance, mean = 0.5 - 1 / (2 * math.pi), 1 / math.sqrt(2 * math.pi)
    assert map_norm("relu") == pytest.approx(math.hypot(variance, mean / 2), rel=1e-6)


def test_the_bound_of_born_dead_nets():
    assert born_dead_bound([2] * 9) == pytest.approx(1 - 0.75**9)
    assert born_dead_bound([2, 3]) == pytest.approx(1 - 0.75 * 0.875)


def test_functions_without_a_critical_point_are_refused():
    with pytest.raises(SpecError, match="no critical point"):
        critical_point("relu", 0.2)  # q = q + b^2 has no solution
    with pytest.raises(SpecError, match="gated"):
        critical_point("swiglu", 0.2)
