"""Torch's own functions with the gradient of the formula: second derivatives, half precision, forward mode, compiled code."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import actlab


def made(spec, how):
    layer = actlab.layer(spec, native=how != "composed", fast=how == "kernel")
    if how == "kernel":
        layer.set_fast(always=True)
    return layer


@pytest.mark.parametrize("how", ["native", "composed", "kernel"])
@pytest.mark.parametrize(
    "spec", ["hardsigmoid", "hardtanh", "hardswish", "relu6", "hardshrink", "softshrink", "threshold", "leaky_relu"]
)
def test_a_gradient_penalty_can_be_computed(spec, how):
    x = torch.tensor([-4.0, -0.7, 0.2, 0.8, 4.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(made(spec, how)(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), x)

    if spec == "hardswish":  # x (x + 3) / 6 inside
        torch.testing.assert_close(second, 2 * slope.detach() * torch.tensor([0, 1, 1, 1, 0]) / 3)
    else:
        assert second.tolist() == [0.0] * 5


@pytest.mark.parametrize("how", ["native", "kernel"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("spec", ["tanh", "sigmoid", "glu"])
def test_saturated_units_have_the_exact_gradient_in_half_precision(spec, dtype, how):
    numbers = torch.tensor([-8.0, -4.0, 0.5, 3.0, 4.0, 6.0], dtype=dtype)
    x = torch.cat([torch.ones_like(numbers), numbers]) if spec == "glu" else numbers
    exact = x.double().requires_grad_()
    {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "glu": nn.functional.glu}[spec](exact).sum().backward()

    leaf = x.clone().requires_grad_()
    made(spec, how)(leaf).sum().backward()

    torch.testing.assert_close(
        leaf.grad.double(), exact.grad, rtol=torch.finfo(dtype).eps, atol=torch.finfo(dtype).smallest_normal
    )


@pytest.mark.parametrize("spec", ["prelu", "prelu(weight=learned_per_channel)"])
def test_forward_and_reverse_mode_of_prelu_agree_at_zero(spec):
    layer, x = actlab.layer(spec, channels=3), torch.zeros(2, 3)
    _, tangent = torch.func.jvp(layer, (x,), (torch.ones_like(x),))
    leaf = x.clone().requires_grad_()
    layer(leaf).sum().backward()

    assert tangent.tolist() == leaf.grad.tolist() == [[0.25] * 3] * 2


def test_a_learned_number_beyond_float16_becomes_its_largest_number():
    layer = actlab.layer("smu").half()
    x = torch.randn(8, generator=torch.Generator().manual_seed(0)).half().requires_grad_()
    layer(x).sum().backward()

    assert layer.mu.item() == 65504
    assert x.grad.isfinite().all()
    assert actlab.layer("swish(beta=learned(-1e5))", dtype=torch.float16).beta.item() == -65504
    layer.load_state_dict(actlab.layer("smu").state_dict())
    assert layer.mu.isfinite().all()
    layer.reset_parameters()
    assert layer.mu.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["elu", "selu", "celu", "serf", "softplus", "xielu"])
def test_compiled_layers_keep_small_numbers(spec):
    x = torch.tensor([-1e-8, -1e-6, -1e-4, 1e-8, -20.0])
    torch._dynamo.reset()

    got = torch.compile(actlab.layer(spec))(x)

    want = actlab.layer(spec, dtype=torch.float64)(x.double())
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kernel_of_tanh_gelu_has_a_gradient_where_torchs_is_nan(dtype):
    """Torch 2.13.0: NaN from 3e19 on, see findings/torch_gelu_tanh_gradient_nan.sh."""
    x = torch.tensor([torch.finfo(dtype).min, -1e20, 1e20, torch.finfo(dtype).max], dtype=dtype, requires_grad=True)
    made("gelu_tanh", "kernel")(x).sum().backward()

    torch.testing.assert_close(x.grad, torch.tensor([0, 0, 1, 1], dtype=dtype))
