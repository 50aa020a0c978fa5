"""Source, derivative, fused kernels and half precision of torch code."""

from __future__ import annotations

import pytest
import torch

from actlab.codegen import pytorch
from actlab.functions.activation import get, names
from actlab.functions.formula import cos, sin, sinc
from actlab.functions.grammar import parse


def test_numbers_are_folded_into_the_code_and_free_parameters_become_arguments():
    folded = pytorch.text(get("leaky_relu"), (("negative_slope", 0.25),))
    free = pytorch.text(get("leaky_relu"))

    assert "def leaky_relu(x):" in folded
    assert "0.25*x" in folded
    assert "def leaky_relu(x, negative_slope):" in free


@pytest.mark.parametrize("name", names("elementwise"))
def test_the_derivative_reading_has_the_limits_of_the_slope_at_the_infinities(name):
    parameters = tuple((p.name, p.default) for p in get(name).parameters)
    slope = pytorch.function(get(name), parameters, derivative=True)
    near, far = slope(torch.tensor([[-1e13, 1e13], [-1e14, 1e14]], dtype=torch.float64))

    got = slope(torch.tensor([-torch.inf, torch.inf], dtype=torch.float64))

    if get(name).formula.has(sin, cos, sinc) and not torch.allclose(near, far):  # a wave: no limit
        assert (got.isnan() | got.isfinite() | (got == far.sign() * torch.inf)).all()
        return
    grows = (far.abs() > 2) & (far.abs() > 2 * near.abs())
    torch.testing.assert_close(got, torch.where(grows, far.sign() * torch.inf, far), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["identity", "relu"])
def test_a_constant_slope_has_the_shape_of_the_input(name):
    assert pytorch.function(get(name), derivative=True)(torch.zeros(2, 3)).shape == (2, 3)


def test_half_precision_is_rounded_once():
    x = torch.linspace(-6, 6, 1001).bfloat16()
    once = pytorch.function(get("mish"))(x)
    thrice = x * torch.tanh(torch.nn.functional.softplus(x))

    exact = torch.nn.functional.mish(x.double())
    assert (once.double() - exact).abs().max() < (thrice.double() - exact).abs().max()
    assert torch.equal(once, pytorch.function(get("mish"))(x.float()).bfloat16())


def test_natives_take_the_specs_numbers():
    x = torch.randn(100, generator=torch.Generator().manual_seed(0))

    assert torch.equal(pytorch.native(parse("elu(alpha=0.5)"))(x), torch.nn.functional.elu(x, 0.5))
    assert torch.equal(pytorch.native(parse("hardtanh(-2, 3)"))(x), torch.nn.functional.hardtanh(x, -2, 3))
    assert torch.equal(pytorch.native(parse("gelu_tanh"))(x), torch.nn.functional.gelu(x, approximate="tanh"))


@pytest.mark.parametrize("spec", ["elu(alpha=learned)", "prelu(weight=0.1)", "telu", "softmax"])
def test_there_is_no_native_for_what_torch_cannot_do_fused(spec):
    assert pytorch.native(parse(spec)) is None


def test_tensor_code_has_no_source():
    with pytest.raises(TypeError, match="has no formula"):
        pytorch.text(get("rrelu"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mish", "elu", "tanhshrink", "swiglu", "snake"])
def test_inductor_compiles_the_formula_to_the_same_numbers(name):
    from actlab.testing.activation_checks import build_layer, sample

    x = sample(name, torch.float32)
    module = build_layer(name, native=False)
    torch.testing.assert_close(torch.compile(module, fullgraph=True)(x), module(x), rtol=1e-5, atol=1e-6)
