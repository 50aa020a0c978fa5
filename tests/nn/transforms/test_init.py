"""init_: gains in execution order, paired draws, and the variance that they preserve."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # the name everybody uses
from torch import nn
from torch.nn.utils import prune

from actlab.errors import SiteError
from actlab.functions.analysis.facts import gain
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.init import init_

X = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mlp(spec: str, depth: int = 3, width: int = 64) -> nn.Sequential:
    layers = [part for _ in range(depth) for part in (nn.Linear(64 if not _ else width, width), layer(spec))]
    return nn.Sequential(*layers, nn.Linear(width, 4))


class Backwards(nn.Module):
    """Layers registered in another order than they run; one never runs, one runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 2)
        self.idle = nn.Linear(3, 3)
        self.middle = nn.Linear(8, 8)
        self.first = nn.Conv1d(1, 8, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x[:, None])).mean(-1)
        for _ in range(2):
            x = F.elu(self.middle(x), 0.5)
        return self.last(x).softmax(-1)


def test_gains_are_those_of_the_activation_that_ran_last():
    drawn = init_(Backwards(), X)

    assert [path for path, _ in drawn] == ["first.weight", "middle.weight", "last.weight"]
    assert [value for _, value in drawn] == [1.0, gain("tanh"), gain("elu(0.5)")]


def test_the_deviation_is_gain_over_root_of_fan_in():
    model = mlp("relu", width=512)

    init_(model, X)

    for index, (value, fan_in) in {0: (1.0, 64), 2: (2**0.5, 512), 4: (2**0.5, 512)}.items():
        weight = model[index].weight
        tolerance = 5 / (2 * weight.numel()) ** 0.5  # five standard errors of a deviation
        assert abs(weight.std().item() * fan_in**0.5 / value - 1) < tolerance


def test_two_activations_get_the_same_draws_up_to_a_factor():
    one, two = mlp("relu"), mlp("tanh")

    init_(one, X, generator(3))
    init_(two, X, generator(3))

    assert torch.equal(one[0].weight, two[0].weight)
    for index in (2, 4, 6):
        assert torch.allclose(one[index].weight / gain("relu"), two[index].weight / gain("tanh"), rtol=1e-6)


def test_another_seed_gives_other_weights_and_the_same_seed_the_same():
    weights = []
    for seed in (1, 1, 2):
        model = mlp("gelu")
        init_(model, X, generator(seed))
        weights.append(model[0].weight)

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_biases_are_set_and_layers_that_do_not_run_stay():
    model = Backwards()
    idle = model.idle.weight.clone()

    init_(model, X, bias=0.1)

    assert all(torch.equal(m.bias, torch.full_like(m.bias, 0.1)) for m in (model.first, model.middle, model.last))
    assert torch.equal(model.idle.weight, idle)


@pytest.mark.parametrize("spec", ["relu", "gelu", "tanh", "elu", "selu"])
def test_the_signal_keeps_its_scale_through_ten_layers(spec):
    model = mlp(spec, depth=10, width=512).double()

    init_(model, X.double())

    with torch.no_grad():
        signal = model[:-1](X.double())
    # E f(z)^2 gain^2 = 1 at every layer; at width 512 the product of ten factors stays within a factor of two for these seeds
    assert 0.5 < (signal.pow(2).mean() * gain(spec) ** 2).item() < 2


def test_the_global_generator_is_not_touched():
    model = mlp("relu")
    state = torch.get_rng_state()

    init_(model, X)

    assert torch.equal(state, torch.get_rng_state())


def test_gated_layers_have_a_gain_too():
    model = nn.Sequential(nn.Linear(64, 32), layer("swiglu"), nn.Linear(16, 1))

    assert init_(model, X) == [("0.weight", 1.0), ("2.weight", gain("swiglu"))]


def test_a_weight_that_is_computed_is_refused_before_anything_changes():
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(8, 1)))
    weight = model[0].weight.clone()

    with pytest.raises(SiteError, match="weight of 2 is computed from other parameters"):
        init_(model, X)

    assert torch.equal(model[0].weight, weight)


def test_a_function_without_a_gain_is_refused():
    with pytest.raises(SiteError, match="no finite gain"):
        init_(nn.Sequential(nn.Linear(64, 8), nn.Hardshrink(1e6), nn.Linear(8, 1)), X)


# ------------------------------------------------------------------------------------- functions of vectors


class HandWrittenAttention(nn.Module):
    """One head; the softmax weights the values, and the last layer takes their means."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Linear(64, 3 * 64)
        self.out = nn.Linear(64, 64)

    def forward(self, x):
        q, k, v = self.maps(x[None]).chunk(3, -1)
        return self.out(torch.softmax(q @ k.transpose(-2, -1) / 8, -1) @ v)


def gain_behind(*parts: nn.Module, example: torch.Tensor = X) -> float:
    return init_(nn.Sequential(*parts), example)[-1][1]


@pytest.mark.parametrize("spec", ["softmax", "maxout(k=4)", "crelu", "squash", "kwta", "spherical_softmax"])
def test_a_vector_function_counts_with_the_gain_at_the_width_it_ran_with(spec):
    activation = layer(spec)
    behind = gain_behind(nn.Linear(64, 48), activation, nn.Linear(activation.spec.width(48), 5))

    assert behind == gain(spec, width=48)
    assert behind != gain(spec, width=96) or spec in {
        "maxout(k=4)",
        "crelu",
    }  # which do not depend on it, up to sampling


def test_the_width_is_that_of_the_dimension_the_function_works_along():
    images = torch.randn(2, 3, 8, 8, generator=generator())
    behind = gain_behind(nn.Conv2d(3, 20, 1), nn.Softmax2d(), nn.Conv2d(20, 5, 1), example=images)

    assert behind == gain("softmax", width=20)


def test_attention_counts_with_the_gain_at_its_tokens():
    tokens = torch.randn(2, 7, 32, generator=generator())
    behind = gain_behind(nn.Linear(32, 32), layer("hydra_attention"), nn.Linear(32, 4), example=tokens)

    assert behind == gain("hydra_attention", width=32, tokens=7)


def test_dropout_and_reshaping_do_not_come_between():
    behind = gain_behind(nn.Linear(64, 48), nn.Softmax(-1), nn.Dropout(0.5), nn.Unflatten(1, (4, 12)), nn.Linear(12, 5))

    assert behind == gain("softmax", width=48)


def test_behind_a_norm_or_a_weighted_mean_the_gain_is_one():
    assert gain_behind(nn.Linear(64, 48), nn.Softmax(-1), nn.LayerNorm(48), nn.Linear(48, 5)) == 1.0
    assert [value for _, value in init_(HandWrittenAttention(), X)] == [1.0, 1.0]


# --------------------------------------------------------------------------------- transposed and functional layers


class Modulated(nn.Module):
    """Applies its weight by a function of torch, after a computation on it or not."""

    def __init__(self, apply, shape, bias=None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        if bias:
            self.bias = nn.Parameter(torch.ones(bias))
        self.apply_weight = apply

    def forward(self, x):
        return self.apply_weight(x, self)


# fmt: off
FUNCTIONS = {  # call, shape of the weight, input, products that are summed into an output
    "linear": (lambda x, m: F.linear(x, m.weight, m.bias), (64, 48), (2, 48), 48),
    "conv1d": (lambda x, m: F.conv1d(x, m.weight, m.bias), (64, 8, 5), (2, 8, 9), 40),
    "conv2d, groups": (lambda x, m: F.conv2d(x, m.weight, m.bias, groups=2), (64, 8, 3, 3), (2, 16, 5, 5), 72),
    "conv_transpose1d": (lambda x, m: F.conv_transpose1d(x, m.weight, m.bias, 3), (16, 64, 6), (2, 16, 4), 32),
    "conv_transpose2d": (lambda x, m: F.conv_transpose2d(x, m.weight, m.bias, stride=(2, 1)), (16, 64, 4, 3), (2, 16, 4, 4), 96),
    "conv_transpose2d, groups": (lambda x, m: F.conv_transpose2d(x, m.weight, m.bias, 2, groups=4), (64, 16, 4, 4), (2, 64, 3, 3), 64),
}
MODULES = {
    "ConvTranspose1d": (nn.ConvTranspose1d(32, 64, 6, 3), (2, 32, 5), 64),
    "ConvTranspose2d": (nn.ConvTranspose2d(32, 64, 4, 2, 1), (2, 32, 5, 5), 128),
    "ConvTranspose3d": (nn.ConvTranspose3d(32, 64, 2, 2), (2, 32, 3, 3, 3), 32),
    "groups": (nn.ConvTranspose2d(32, 64, 4, 2, groups=4), (2, 32, 5, 5), 32),
}
# fmt: on


@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_with_a_parameter_as_weight_are_drawn(name):
    call, shape, size, fan_in = FUNCTIONS[name]
    net = nn.Sequential(nn.ReLU(), Modulated(call, shape, bias=64))

    drawn = init_(net, torch.randn(size), bias=0.5)

    assert drawn == [("1.weight", pytest.approx(2**0.5))]
    assert drawn.left_out == {}
    assert float(net[1].weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
    assert net[1].bias.tolist() == [0.5] * 64


@pytest.mark.parametrize("name", MODULES)
def test_transposed_convolutions_are_drawn(name):
    layer, size, fan_in = MODULES[name]
    net = nn.Sequential(nn.Tanh(), layer)

    drawn = init_(net, torch.randn(size))

    assert [path for path, _ in drawn] == ["1.weight"]
    assert float(layer.weight.detach().std()) == pytest.approx(drawn[0][1] / fan_in**0.5, rel=0.1)
    x = torch.randn(8, size[1], *[16] * (len(size) - 2))
    inner = (slice(None), slice(None), *[slice(8, -8)] * (len(size) - 2))
    assert float(layer(x)[inner].detach().square().mean()) == pytest.approx(drawn[0][1] ** 2, rel=0.1)  # unit inputs


def test_what_is_left_out_is_told():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scaled = Modulated(lambda x, m: F.linear(x, m.weight * 0.5), (4, 4))
            self.product = Modulated(lambda x, m: x @ m.weight, (4, 4))
            self.embedding = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 4)

        def forward(self, x):
            return F.linear(self.head(self.product(self.scaled(x))), self.embedding.weight)

    net = Net()

    drawn = init_(net, torch.randn(2, 4))

    assert list(drawn) == [("head.weight", 1.0)]
    assert {path: reason.split(",")[0] for path, reason in drawn.left_out.items()} == {
        "scaled.weight": "the weight of this linear is computed from other values",
        "product.weight": "it is a factor of matmul",
        "embedding.weight": "it is the weight of an embedding as well",
    }
    assert "scaled.weight left out: the weight" in repr(drawn)
    assert torch.equal(net.product.weight, torch.ones(4, 4))


@pytest.mark.parametrize(
    "make", [nn.utils.spectral_norm, lambda layer: prune.random_unstructured(layer, "weight", amount=0.5)]
)
def test_weights_that_older_functions_compute_are_refused(make):
    net = nn.Sequential(make(nn.ConvTranspose1d(3, 4, 2)), nn.ReLU(), nn.Conv1d(4, 2, 1))
    before = net[2].weight.clone()

    with pytest.raises(SiteError, match="weight of 0 is computed"):
        init_(net, torch.randn(2, 3, 5))

    assert torch.equal(net[2].weight, before)


def test_an_activation_on_integers_sets_no_gain():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.linear = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(self.embedding(F.relu(x)))

    assert init_(Net(), torch.arange(6)) == [("linear.weight", 1.0)]


class Attention(nn.Module):
    """Attention in torch's module and in its kernel, each in front of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.MultiheadAttention(8, 2, batch_first=True)
        self.query, self.inner, self.outer = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        x = self.inner(self.both(x, x, x)[0])
        return self.outer(F.scaled_dot_product_attention(self.query(x), x, x))


def test_layers_behind_attention_have_a_gain_of_one():
    drawn = init_(Attention(), torch.randn(2, 5, 8))

    assert list(drawn) == [("inner.weight", 1.0), ("query.weight", 1.0), ("outer.weight", 1.0)]


def test_a_head_tied_to_the_embedding_keeps_its_weight():
    net = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 7))
    net[3].weight = net[0].weight
    before = net[0].weight.clone()

    drawn = init_(net, torch.arange(3))

    assert list(drawn) == [("1.weight", 1.0)]
    assert drawn.left_out == {"0.weight": "it is the weight of an embedding as well"}
    assert torch.equal(net[0].weight, before)


def test_complex_weights_have_both_parts_and_the_same_scale():
    net = nn.Sequential(nn.Linear(64, 512, dtype=torch.complex64))

    init_(net, torch.randn(2, 64, dtype=torch.complex64))

    parts = torch.view_as_real(net[0].weight).square().mean((0, 1)) * 64
    assert torch.allclose(parts, torch.full((2,), 0.5), rtol=0.05)
