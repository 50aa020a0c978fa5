"""Binary layers: outputs against torch on the signs, gradients of latent weights, and sites of the model."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from actlab.errors import LayerError, SiteError
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear, custom_gradient_layers
from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import find
from actlab.nn.transforms.binarize import binarise_
from actlab.nn.transforms.init import init_

X = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))


def seeded(make, *arguments, **options):
    torch.manual_seed(3)
    return make(*arguments, **options)


def signs_of(weight):
    return torch.from_numpy(np.where(weight.detach().numpy() >= 0, 1.0, -1.0).astype(np.float32))


@pytest.mark.parametrize("scale", [None, "mean"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_binary_linear_is_a_linear_of_signs_times_the_mean_size(scale, bias):
    made = seeded(BinaryLinear, 12, 7, bias, scale=scale)
    made.weight.data[0, 0] = 0.0  # its sign is 1

    sums = functional.linear(X, signs_of(made.weight))
    sums = sums * made.weight.abs().mean(1) if scale else sums

    assert torch.equal(made(X), sums + made.bias if bias else sums)


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"padding": "same"}, {"padding": (1, 2), "stride": 2, "groups": 2}]
)
@pytest.mark.parametrize("scale", [None, "mean"])
def test_a_binary_convolution_is_a_convolution_of_signs(options, scale):
    made = seeded(BinaryConv2d, 4, 6, 3, bias=True, scale=scale, **options)
    x = torch.randint(-3, 4, (2, 4, 9, 8)).float()

    rest = {"stride": 1, "padding": 0, "groups": 1} | options
    sums = functional.conv2d(x, signs_of(made.weight), None, **rest)
    sums = sums * made.weight.abs().mean((1, 2, 3)).view(-1, 1, 1) if scale else sums

    torch.testing.assert_close(made(x), sums + made.bias.view(-1, 1, 1), rtol=1e-6, atol=1e-5)


def test_edges_hold_the_pad_value():
    made = BinaryConv2d(1, 1, 3, padding=1, pad_value=-1.0)
    made.weight.data.fill_(0.5)

    assert made(torch.ones(1, 1, 3, 3))[0, 0].tolist() == [[-1.0, 3.0, -1.0], [3.0, 9.0, 3.0], [-1.0, 3.0, -1.0]]


@pytest.mark.parametrize(("rule", "window"), [("clipped", 1.0), ("clipped(c=1.25)", 1.25), ("constant", float("inf"))])
def test_the_gradient_of_a_latent_weight_is_that_of_its_sign_inside_the_window(rule, window):
    made = BinaryLinear(12, 3, weights=f"sign/{rule}")
    made.weight.data.copy_(torch.linspace(-2, 2, 36).view(3, 12))
    grad = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))

    made(X).backward(grad)

    assert torch.equal(made.weight.grad, grad.T @ X * (made.weight.detach().abs() <= window))


def test_the_scale_carries_no_gradient():
    made, plain = seeded(BinaryLinear, 12, 3, scale="mean"), seeded(BinaryLinear, 12, 3)

    made(X).sum().backward()
    plain(X).sum().backward()

    torch.testing.assert_close(made.weight.grad, plain.weight.grad * made.magnitude()[:, None])


def test_in_the_first_stage_the_weights_are_float():
    made = seeded(BinaryLinear, 12, 3, scale="mean")
    made.is_binary = False

    assert torch.equal(made(X), functional.linear(X, made.weight))
    assert "still float" in repr(made)


def test_a_weight_rule_that_is_no_sign_or_learns_is_refused():
    for weights in ("step/rect", "sign", "sign/clipped(c=learned)", "relu"):
        with pytest.raises(LayerError, match="Weights are binarised by the sign with a rule of fixed parameters"):
            BinaryLinear(2, 2, weights=weights)
    with pytest.raises(LayerError, match="scale is None or 'mean'"):
        BinaryLinear(2, 2, scale="max")


def test_the_binariser_is_no_site_and_the_init_takes_the_activation_before():
    net = nn.Sequential(nn.Linear(12, 8), layer("relu"), BinaryLinear(8, 4), layer("sign/clipped"), nn.Linear(4, 2))

    assert [site.path for site in find(net, X)] == ["1", "3"]
    assert init_(net, X) == [("0.weight", 1.0), ("2.weight", pytest.approx(2**0.5)), ("4.weight", pytest.approx(1.0))]


def test_it_survives_copies_pickles_devices_and_checkpoints():
    made = seeded(BinaryLinear, 12, 3, weights="sign/ede", scale="mean")
    made.binariser.set_rule_parameter("t", 2.0)

    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other(X), made(X))
        assert other.binariser.rule_parameters == {"t": 2.0}
    held = io.BytesIO()
    torch.save(made.state_dict(), held)
    held.seek(0)
    fresh = BinaryLinear(12, 3, weights="sign/ede", scale="mean")
    fresh.load_state_dict(torch.load(held, weights_only=True))
    assert torch.equal(fresh(X), made(X))
    assert next(made.double().to("meta").binariser.buffers()).device.type == "meta"


@pytest.mark.slow  # six seconds of compilation
def test_it_compiles_to_one_graph():
    made = seeded(BinaryLinear, 12, 3)
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")

    compiled(X).sum().backward()
    grad, made.weight.grad = made.weight.grad, None
    made(X).sum().backward()

    assert torch.equal(grad, made.weight.grad)


def test_binarise_replaces_all_but_the_ends_and_keeps_the_parameters():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.Linear(8, 2),
    )
    weights = list(net.parameters())

    assert binarise_(net, torch.zeros(1, 1, 6, 6), scale="mean") == ["2", "5"]
    assert all(a is b for a, b in zip(net.parameters(), weights, strict=True))
    assert net(torch.zeros(1, 1, 6, 6)).shape == (1, 2)
    assert binarise_(net, torch.zeros(1, 1, 6, 6), keep_ends=False) == ["0", "6"]


def test_binarise_says_why_nothing_is_left():
    with pytest.raises(SiteError, match="the first and the last of which stay float"):
        binarise_(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), torch.zeros(1, 2))
    with pytest.raises(SiteError, match="padding_mode='reflect'"):
        binarise_(
            nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")),
            torch.zeros(1, 1, 4, 4),
            keep_ends=False,
        )
    with pytest.raises(SiteError, match="The model is the layer itself"):
        binarise_(nn.Linear(2, 2), torch.zeros(1, 2), keep_ends=False)


def test_layers_with_a_rule_are_found_wherever_they_are_each_once():
    shared = layer("step/rect")
    net = nn.ModuleDict(
        {"a": nn.Sequential(shared, nn.Linear(2, 2)), "b": nn.Sequential(shared, BinaryLinear(2, 2)), "c": nn.ReLU()}
    )

    assert [path for path, _ in custom_gradient_layers(net)] == ["a.0", "b.1.binariser"]
