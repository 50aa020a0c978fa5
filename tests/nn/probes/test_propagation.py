"""Measured propagation, compared with autograd by hand and known closed forms."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # the usual name
from tests.nn.nets import Mixed, Residual
from torch import nn
from torch.nn.utils import parametrizations, prune

from actlab.errors import SiteError
from actlab.nn.probes.propagation import propagation
from actlab.nn.transforms.init import init_


def deep(function, *, layers=12, width=256, he=False, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(*(part for _ in range(layers) for part in (nn.Linear(width, width), function())))
    for module in net.modules():
        if he and isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return net


def inputs(width=256, rows=128):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(9))


def test_measured_gradients_are_those_of_autograd():
    net = deep(nn.Tanh, layers=3, width=16)
    found = propagation(net, inputs(16))
    sums, x = [], inputs(16)
    for linear, function in zip(net[::2], net[1::2], strict=True):
        sums.append(linear(x))
        x = function(sums[-1])
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    norms = [g.norm().item() for g in torch.autograd.grad((x * weight).sum(), sums)]

    assert [layer.path for layer in found.layers] == ["0", "2", "4"]
    for layer, norm, value in zip(found.layers, norms, sums, strict=True):
        assert layer.gradient == pytest.approx(norm / norms[-1], rel=1e-4)
        assert layer.q == pytest.approx(value.square().mean().item(), rel=1e-4)
    assert found.layers[0].chi == pytest.approx((norms[0] / norms[1]) ** 2, rel=1e-4)


def test_the_forecast_for_relu_is_the_known_one():
    found = propagation(deep(nn.ReLU), inputs())

    # torch's default weights have variance 1 / (3 fan_in), so chi = 1/3 * 1/2 whatever q is: 11 factors of 1/6
    assert found.decades_forecast == pytest.approx(11 / 2 * math.log10(1 / 6), abs=0.02)
    assert [layer.follows for layer in found.layers] == [False] + [True] * 11


@pytest.mark.parametrize("function", [nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.ELU])
def test_measured_and_closed_form_agree(function):
    found = [propagation(deep(function, seed=seed), inputs()) for seed in range(3)]
    measured = sum(one.decades for one in found) / 3
    forecast = sum(one.decades_forecast for one in found) / 3

    # of width 256 the mean of three ReLU nets has a standard error of 0.05 decades
    assert measured == pytest.approx(forecast, abs=0.15 if function is nn.ReLU else 0.03)
    for layer in found[0].layers:
        assert layer.q == pytest.approx(layer.q_forecast, rel=0.25)


def test_a_wrong_function_is_noticed():
    net = deep(nn.Tanh)
    honest = propagation(net, inputs()).decades
    assert abs(propagation(deep(nn.GELU), inputs()).decades_forecast - honest) > 1


def test_the_first_layer_that_loses_the_gradient_is_named():
    healthy = deep(nn.ReLU, he=True)
    assert propagation(healthy, inputs()).trouble is None

    vanishing = deep(nn.ReLU, he=True)
    with torch.no_grad():
        vanishing[12].weight.mul_(0.01)  # what goes back through it reaches the layer before, "10"
    trouble = propagation(vanishing, inputs()).trouble
    assert (trouble.kind, trouble.begins, trouble.reaches) == ("vanish", "10", "10")

    exploding = deep(nn.ReLU, he=True)
    with torch.no_grad():
        for index in (8, 10, 12):
            exploding[index].weight.mul_(3)
    trouble = propagation(exploding, inputs()).trouble
    assert (trouble.kind, trouble.begins) == ("explode", "10")
    assert trouble.decades == pytest.approx(3 * math.log10(3), abs=0.2)

    assert (
        propagation(deep(nn.ReLU), inputs()).trouble.begins == "20"
    )  # every layer does it: the last hidden one is the first


def test_the_closed_form_is_not_claimed_across_norms_and_sums():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), Residual(), Residual())
    found = propagation(net, torch.randn(8, 4, 10, 10))

    assert [layer.path for layer in found.layers] == ["0", "2.first", "2.second", "3.first", "3.second"]
    assert not any(layer.follows for layer in found.layers if layer.path.endswith("first") or layer.path == "0")
    broken = [layer for layer in found.layers if math.isnan(layer.chi_forecast)]
    assert len(broken) >= 2
    for layer in found.layers:
        if layer.path.endswith("first"):
            assert layer.q_forecast == pytest.approx(layer.q)  # behind a norm: measured


def test_convolutions_follow_the_closed_form_too():
    torch.manual_seed(0)
    parts = [nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular") for _ in range(5)]
    net = nn.Sequential(*(part for conv in parts for part in (conv, nn.SiLU())))
    found = propagation(net, torch.randn(4, 64, 8, 8))

    assert found.decades == pytest.approx(found.decades_forecast, abs=0.05)
    assert all(layer.follows for layer in found.layers[1:])


def test_a_model_without_such_layers_is_refused():
    with pytest.raises(SiteError, match="no activation behind a Linear"):
        propagation(nn.Sequential(nn.ReLU(), nn.Linear(3, 3)), torch.randn(2, 3))


def test_the_model_is_left_as_it_was():
    model = Mixed()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    propagation(model, torch.randn(4, 1, 6, 6))

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_layers_that_run_in_training_only_are_left_out():
    class Twofold(nn.Module):
        """A net whose second half is a part of the training only, as the discriminator of a GAN is."""

        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
            self.second = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

        def forward(self, x):
            image = self.first(x)
            return self.second(image) if self.training else image

    assert [layer.path for layer in propagation(Twofold(), inputs(4)).layers] == ["first.0"]


# ------------------------------------------------------------------------- computed weights, other layers


def spectral(layer):
    return parametrizations.spectral_norm(layer)


def masked(layer):
    return prune.random_unstructured(layer, "weight", amount=0.5)


def old_weight_norm(layer):
    with warnings.catch_warnings(action="ignore"):  # deprecated in favour of the parametrization
        return nn.utils.weight_norm(layer)


class OwnLinear(nn.Module):
    """A layer that applies its own weight by a function, scaled."""

    def __init__(self, width: int, apply) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) * (2 / width) ** 0.5)
        self.apply_weight = apply

    def forward(self, x):
        return self.apply_weight(x, self.weight)


# fmt: off
LAYERS = {
    "spectral norm": lambda: spectral(nn.Linear(64, 64)),
    "spectral norm, old": lambda: nn.utils.spectral_norm(nn.Linear(64, 64)),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(64, 64)),
    "weight norm, old": lambda: old_weight_norm(nn.Linear(64, 64)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(64, 64)),
    "pruned": lambda: masked(nn.Linear(64, 64)),
    "F.linear": lambda: OwnLinear(64, F.linear),
    "F.linear, scaled": lambda: OwnLinear(64, lambda x, w: F.linear(x, w * 1.5)),
    "a product": lambda: OwnLinear(64, lambda x, w: x @ w),
    "an einsum": lambda: OwnLinear(64, lambda x, w: torch.einsum("oi,bi->bo", w, x)),
    "F.conv1d": lambda: OwnLinear(64, lambda x, w: F.conv1d(x[:, :, None], w[:, :, None])[:, :, 0]),
    "F.conv_transpose1d": lambda: OwnLinear(64, lambda x, w: F.conv_transpose1d(x[:, :, None], w[:, :, None])[:, :, 0]),
}
# fmt: on


@pytest.mark.parametrize("name", LAYERS)
def test_weights_count_as_they_are_applied(name):
    torch.manual_seed(0)
    net = nn.Sequential(*(part for _ in range(5) for part in (LAYERS[name](), nn.ReLU())))
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.randn(256, 64)

    result = propagation(net, x)

    assert [layer.path for layer in result.layers] == ["0", "2", "4", "6", "8"]
    assert [layer.follows for layer in result.layers] == [False, True, True, True, True]
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    hidden = x
    for index, layer in enumerate(result.layers):
        hidden = net[2 * index](hidden)
        assert layer.q == pytest.approx(float(hidden.detach().square().mean()), rel=0.05)
        hidden = hidden.relu()
    assert result.layers[2].q_forecast == pytest.approx(result.layers[2].q, rel=0.4)
    assert result.decades_forecast == pytest.approx(result.decades, abs=0.35)


def test_transposed_convolutions_follow_the_closed_form():
    torch.manual_seed(0)
    sizes = [(4, 2, 1, 1), (3, 1, 1, 1), (2, 2, 0, 1), (4, 2, 1, 2), (1, 1, 0, 4)]
    layers = [nn.ConvTranspose1d(256, 256, k, s, p, groups=groups) for k, s, p, groups in sizes]
    net = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
    init_(net, torch.randn(2, 256, 9))

    result = propagation(net, torch.randn(16, 256, 9))

    assert [layer.units for layer in result.layers] == [256] * 5
    assert [layer.weight for layer in result.layers] == pytest.approx([1, *[2**0.5] * 4], rel=0.02)
    for layer in result.layers:
        assert layer.q_forecast == pytest.approx(layer.q, rel=0.35)  # at the border fewer products are summed
    assert result.decades_forecast == pytest.approx(result.decades, abs=0.15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_another_default_dtype_changes_nothing(dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))
    x = torch.randn(64, 16)
    want = propagation(net, x)

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        got = propagation(net, x)
    finally:
        torch.set_default_dtype(before)

    assert [layer.gradient for layer in got.layers] == pytest.approx([layer.gradient for layer in want.layers])


def test_a_default_device_changes_nothing():
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    x = torch.randn(64, 16)
    want = propagation(net, x)

    with torch.device("meta"):
        got = propagation(net, x)

    assert [layer.q for layer in got.layers] == [layer.q for layer in want.layers]


@dataclass
class Result:
    """What a policy returns."""

    mean: torch.Tensor
    parts: dict


class Policy(nn.Module):
    """Returns a dataclass, one part of which is complex."""

    def __init__(self):
        super().__init__()
        self.body = deep(nn.ELU, layers=3, width=16)

    def forward(self, x):
        x = self.body(x)
        return Result(mean=2 * x, parts={"phase": torch.complex(x, 3 * x)})


def test_outputs_in_dataclasses_and_complex_ones_have_a_gradient():
    result = propagation(Policy(), inputs(16))

    assert [layer.path for layer in result.layers] == ["body.0", "body.2", "body.4"]
    assert all(math.isfinite(layer.gradient) and layer.gradient > 0 for layer in result.layers)


def test_a_layer_behind_which_all_units_are_dead_is_left_out():
    net = deep(nn.ReLU, layers=3, width=16)
    side = nn.Linear(16, 16)
    nn.init.constant_(side.bias, -100.0)

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.side = net, side

        def forward(self, x):
            x = self.net(x)
            return x + F.relu(self.side(x))

    result = propagation(Sum(), inputs(16))

    assert [layer.path for layer in result.layers] == ["net.0", "net.2", "net.4"]
    assert result.layers[-1].gradient == 1.0
