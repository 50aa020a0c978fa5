"""Functions of complex numbers agree with their papers, computed by Python's cmath."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from actlab.errors import SiteError
from actlab.functions.activation import names
from actlab.functions.analysis.facts import gain
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.swap import swap_

POINTS = [complex(a, b) for a in (-2.0, -0.3, 0.0, 1e-9, 0.7, 3.0) for b in (-1.5, -1e-7, 0.0, 0.4, 2.0)]


def _moved_modulus(z, bias):
    r, phase = cmath.polar(z)
    return cmath.rect(max(r + bias, 0.0), phase) if r else 0


DEFINITIONS = {
    "modrelu(-0.5)": lambda z: _moved_modulus(z, -0.5),
    "modrelu": lambda z: z,
    "zrelu": lambda z: z if 0 <= cmath.phase(z) <= math.pi / 2 else 0,
    "complex_relu": lambda z: complex(max(z.real, 0.0), max(z.imag, 0.0)),
    "cardioid": lambda z: (1 + math.cos(cmath.phase(z))) * z / 2,
    "complex_gabor": lambda z: cmath.exp(10j * z - abs(40 * z) ** 2),
    "complex_gabor(3, 0.5)": lambda z: cmath.exp(3j * z - abs(0.5 * z) ** 2),
}


def test_every_function_of_complex_numbers_has_a_definition():
    assert {spec.partition("(")[0] for spec in DEFINITIONS} == set(names("complex"))


@pytest.mark.parametrize("spec", DEFINITIONS)
def test_values_agree_with_the_paper(spec):
    got = layer(spec, dtype=torch.float64)(torch.tensor(POINTS, dtype=torch.complex128)).detach()

    torch.testing.assert_close(
        got, torch.tensor([DEFINITIONS[spec](z) for z in POINTS], dtype=torch.complex128), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("spec", ["modrelu(bias=learned(-0.7))", "cardioid", "complex_gabor(3, 0.5)", "complex_relu"])
def test_gradients_agree_with_finite_differences(spec):
    module = layer(spec, dtype=torch.float64)
    z = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.complex128).requires_grad_()

    assert torch.autograd.gradcheck(lambda z, *_: module(z), (z, *module.parameters()))


@pytest.mark.parametrize("spec", ["cardioid", "complex_relu", "zrelu"])
def test_on_the_positive_and_negative_axis_they_are_the_rectifier(spec):
    x = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)

    assert torch.equal(layer(spec)(x + 0j).real, x.relu())


def test_modrelu_and_the_cardioid_keep_the_phase():
    z = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.complex128)

    for spec in ("modrelu(0.3)", "cardioid"):
        torch.testing.assert_close(layer(spec)(z).angle(), z.angle())


def test_a_bias_per_channel_acts_on_dimension_one():
    module = layer("modrelu(bias=learned_per_channel)", channels=2, dtype=torch.float64)
    with torch.no_grad():
        module.bias.copy_(torch.tensor([-5.0, 1.0]))
    got = module(torch.full((3, 2, 4), 3 + 4j, dtype=torch.complex128))

    torch.testing.assert_close(got.abs(), torch.tensor([0.0, 6.0], dtype=torch.float64).view(1, 2, 1).expand(3, 2, 4))


def test_the_gain_is_that_of_complex_normal_inputs():
    assert gain("complex_relu") == pytest.approx(2**0.5, rel=2e-3)  # half of the energy, as for ReLU
    assert gain("zrelu") == pytest.approx(2, rel=4e-3)  # a quarter of the plane
    assert gain("cardioid") == pytest.approx((3 / 8) ** -0.5, rel=2e-3)  # the mean of ((1 + cos t) / 2)^2


def test_sites_of_real_numbers_do_not_take_them():
    with pytest.raises(SiteError, match="modrelu computes on complex numbers"):
        swap_(torch.nn.Sequential(torch.nn.ReLU()), "modrelu")
