"""MixedLayer: each slice equals its own activation, in one call, with every gradient."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import actlab
from actlab.codegen.cpu.grouped_kernel import GroupedKernel
from actlab.errors import LayerError
from actlab.nn.layers import mixed as module
from actlab.nn.layers.mixed import mixed

SPECS = ["relu", "mish", "swish(beta=learned)", "tanh", "elu(alpha=learned(0.5))", "gelu"]
SHAPES = {  # shape, dim
    "stacked models": ((6, 5, 7), 0),
    "channels of images": ((2, 12, 9, 11), 1),
    "heads of few features": ((50, 3, 12), -1),
    "one row": ((600,), 0),
    "nothing": ((0, 6), 1),
}


@pytest.fixture
def through_kernels(monkeypatch):
    monkeypatch.setattr(module, "_MIN_ELEMENTS", 1)
    ran = []
    forward = GroupedKernel.forward
    monkeypatch.setattr(GroupedKernel, "forward", lambda self, *tensors: ran.append(1) or forward(self, *tensors))
    return ran


def separately(layer, x):
    parts = x.chunk(len(layer.acts), dim=layer.dim)
    return torch.cat([act(part) for act, part in zip(layer.acts, parts, strict=True)], dim=layer.dim)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("case", SHAPES)
def test_slices_and_gradients_are_those_of_each_activation(through_kernels, case, dtype):
    shape, dim = SHAPES[case]
    layer = mixed(SPECS, dim=dim).to(torch.float64 if dtype == torch.float64 else torch.float32)
    x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = []
    for function in (layer, lambda z: separately(layer, z)):
        leaf = x.clone().requires_grad_()
        layer.zero_grad()
        y = function(leaf)
        y.float().square().sum().backward()
        found.append([y.detach(), leaf.grad, *(p.grad.clone() for p in layer.parameters())])

    assert bool(through_kernels) == (x.numel() > 0)
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 2**-6}[
        dtype
    ]  # sums of hundreds of products
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_a_wrong_function_on_one_slice_would_show(through_kernels):
    right, wrong = mixed(["relu", "tanh"], dim=0), mixed(["relu", "silu"], dim=0)
    x = torch.linspace(-2, 2, 8)

    assert torch.equal(right(x)[:4], wrong(x)[:4])
    assert not torch.allclose(right(x)[4:], wrong(x)[4:])


def test_threads_change_nothing(through_kernels, monkeypatch):
    from actlab.codegen.cpu import grouped_kernel

    layer, x = mixed(SPECS, dim=0), torch.randn(6, 4000)
    alone = layer(x)
    monkeypatch.setattr(grouped_kernel, "SHARE", 1000)
    monkeypatch.setattr(grouped_kernel.torch, "get_num_threads", lambda: 3)

    assert torch.equal(layer(x), alone)


def test_gradients_can_be_differentiated_again(through_kernels):
    layer = mixed(["mish", "swish(beta=learned)"], dim=-1).double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradgradcheck(layer, (x,))
    (first,) = torch.autograd.grad(layer(x).square().sum(), layer.acts[1].beta, create_graph=True)
    (second,) = torch.autograd.grad(first, layer.acts[1].beta)
    assert second.abs() > 0


def test_it_compiles_in_one_graph(through_kernels):
    layer, x = mixed(SPECS), torch.randn(4, 12)

    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), separately(layer, x))


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_it_travels(through_kernels, travel):
    layer, x = mixed(SPECS), torch.randn(4, 12)
    layer(x)

    assert torch.equal(travel(layer)(x), layer(x))


def test_small_inputs_take_torch():
    layer, x = mixed(SPECS), torch.randn(1, 6)

    assert torch.equal(layer(x), separately(layer, x))


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], "at least one"),
        (["relu", "softmax"], "softmax.* cannot be one of several"),
        (["relu", "swiglu"], "swiglu cannot be one of several"),
        (["prelu(weight=learned_per_channel)"], "without parameters per channel"),
    ],
)
def test_what_cannot_be_mixed_is_refused(specs, message):
    with pytest.raises(LayerError, match=message):
        mixed(specs)


def test_a_dimension_that_cannot_be_shared_is_refused():
    with pytest.raises(LayerError, match=r"divide dimension 1 into equal parts; got an input of shape \(2, 7\)"):
        mixed(["relu", "tanh"])(torch.zeros(2, 7))
    with pytest.raises(LayerError, match="dimension 1"):
        mixed(["relu"])(torch.zeros(2))
    with pytest.raises(LayerError, match="floating"):
        actlab.mixed(["relu"])(torch.zeros(2, 2, dtype=torch.int64))
