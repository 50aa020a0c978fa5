"""Second derivatives of layers: double backward against finite differences of the first derivative, for every entry."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import actlab
from actlab.functions.activation import names

STEP = 1e-6
# In both signs, away from the kinks at whole numbers and halves; the values of gates are other numbers.
POINTS = torch.tensor(
    [-7.3, -3.21, -1.87, -0.83, -0.31, -0.023, 0.017, 0.36, 0.77, 1.63, 2.81, 3.39, 5.7, 9.1], dtype=torch.float64
)
VALUES = torch.linspace(-1.3, 1.7, len(POINTS), dtype=torch.float64)
ENTRIES = [*names("elementwise"), *names("gated")]
# Linear: torch's own Identity raises as well when its gradient, which depends on nothing, is differentiated.
LINEAR = {"identity"}
PIECEWISE_LINEAR = [
    "plu", "tlu", "hardshrink", "threshold", "hardtanh", "shrink", "pwlu", "arelu", "s_shaped_relu", "step", "sign", "ternary", "relu6",
]  # fmt: skip


def slope(layer: torch.nn.Module, x: Tensor, *, again: bool = False) -> Tensor:
    """Return the derivative in the gate, or in the only input, of each element."""
    inputs = (x, VALUES.clone().requires_grad_()) if layer.spec.activation.kind == "gated" else (x,)
    return torch.autograd.grad(layer(*inputs).sum(), x, create_graph=again)[0]


def assert_second_derivative(name: str, *, fast: bool) -> None:
    layer = actlab.layer(name, fast=fast, dtype=torch.float64)
    if fast:
        layer.set_fast(always=True)
    x = POINTS.clone().requires_grad_()
    below, above, at = (slope(layer, (POINTS + h).requires_grad_()) for h in (-STEP, STEP, 0.0))

    unused = layer.spec.activation.kind == "gated"  # the slope of one linear in the gate depends on the value alone
    (second,) = torch.autograd.grad(slope(layer, x, again=True).sum(), x, materialize_grads=unused)

    smooth = (below - at).abs() + (above - at).abs() < 1e-2 * (1 + at.abs())  # no kink or jump within a step
    want = (above - below) / (2 * STEP)
    torch.testing.assert_close(second[smooth], want[smooth], rtol=1e-5, atol=1e-5 * float(1 + at.abs().max()))
    assert smooth.sum() > len(POINTS) // 2


@pytest.mark.parametrize("name", sorted({*ENTRIES} - LINEAR))
def test_double_backward_of_torch_code_is_the_second_derivative(name):
    assert_second_derivative(name, fast=False)


@pytest.mark.parametrize("name", [*PIECEWISE_LINEAR, "mish", "swiglu", "squareplus"])
def test_double_backward_of_a_fast_layer_is_the_second_derivative(name):
    assert_second_derivative(name, fast=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*ENTRIES} - LINEAR))
def test_double_backward_of_every_fast_layer_is_the_second_derivative(name):
    assert_second_derivative(name, fast=True)


@pytest.mark.parametrize("name", ["plu", "tlu", "shrink", "pwlu", "step"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_a_gradient_penalty_on_a_piecewise_linear_function_has_a_gradient_of_zero(name, shape):
    x = torch.full(shape, 0.3, requires_grad=True)

    (first,) = torch.autograd.grad(actlab.layer(name)(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)

    assert torch.equal(second, torch.zeros(shape))


def test_code_that_can_be_differentiated_twice_keeps_no_input():
    x = torch.randn(1000, requires_grad=True)
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        actlab.layer("two_sided_softshrink")(x)

    assert max(kept) <= 1000  # conditions, a byte each


@pytest.mark.parametrize(
    "spec",
    [
        "step/rect(-0.5, 0.5)",
        "sign/ste",
        "relu/rect(-1, 2)",
        "relu/leaky_spike(0.5)",
        "step_at/rect(-0.5, 0.5)",
        "hardtanh/constant(0.5)",
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_second_derivative_of_a_rule_with_a_constant_or_a_window_is_zero(spec, dtype):
    x = torch.tensor([-2.0, -0.3, 0.4, 3.0], dtype=dtype, requires_grad=True)

    (first,) = torch.autograd.grad(actlab.layer(spec, dtype=dtype)(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)

    assert torch.equal(second, torch.zeros(4, dtype=dtype))


@pytest.mark.parametrize("name", ["plu", "hardshrink", "leaky_relu", "two_sided_softshrink", "hardtanh"])
def test_the_second_derivative_of_a_slim_layer_that_saves_bits_is_zero(name):
    model = torch.nn.Sequential(actlab.layer(name))
    actlab.slim_(model)
    x = torch.tensor([-2.0, -0.3, 0.4, 3.0], requires_grad=True)

    (first,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)

    assert torch.equal(second, torch.zeros(4))


@pytest.mark.parametrize("spec", ["step/sigmoid", "sign/triangle", "relu/arctan"])
def test_a_surrogate_has_its_second_derivative_on_a_transposed_input_too(spec):
    layer, rows = actlab.layer(spec), torch.linspace(-1, 1, 12).reshape(3, 4)
    seconds = []
    for x in (rows.clone(), rows.t().contiguous().t()):
        x.requires_grad_()
        (first,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), x)[0])

    assert torch.equal(*seconds)
    assert seconds[0].any()
