"""Scalar to gated blocks: equal parameters, the right layers widened, unsuitable blocks refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F  # the usual name, which the paths must show
from torch import nn

from actlab.errors import SiteError
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 3 * 64).reshape(3, 64)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model: nn.Module) -> dict:
    return {
        path: (module.in_features, module.out_features)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }


def mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers[:-2]).eval()


class Functional(nn.Module):
    """Two blocks in a row written with calls, with a residual around each, and a loop over the second."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(64, 256), nn.Linear(256, 64)
        self.rise, self.fall = nn.Linear(64, 128, bias=False), nn.Linear(128, 64, bias=False)

    def forward(self, x):
        x = x + self.down(F.gelu(self.up(x)))
        for _ in range(2):
            x = x + self.fall(self.rise(x).relu_())
        return x


@pytest.mark.parametrize(
    ("model", "share"),
    [(mlp(64, 128, 10), 0.01), (mlp(64, 128, 128, 96, 10), 0.01), (mlp(64, 512, 10), 0.005), (Functional(), 0.01)],
    ids=["one block", "blocks in a row", "wide", "functional"],
)
def test_the_number_of_parameters_stays(model, share):
    before = parameters(model)

    swap_(model, "swiglu", X)

    assert abs(parameters(model) - before) <= share * before


def test_the_width_is_the_nearest_there_is():
    model = mlp(64, 128, 10)
    before = parameters(model)

    swap_(model, "swiglu", X)

    def count(width: int) -> int:
        return 64 * 2 * width + 2 * width + width * 10 + 10

    (width,) = {shapes(model)["3"][0]}
    assert min(range(1, 129), key=lambda width: abs(count(width) - before)) == width
    assert parameters(model) == count(width)


def test_producers_make_value_and_gate_and_consumers_take_half():
    model = mlp(64, 128, 128, 10)

    changes = swap_(model, "swiglu", X)

    assert shapes(model) == {"0": (64, 168), "3": (84, 168), "6": (84, 10)}
    assert [change.path for change in changes] == ["1", "4"]
    assert [(change.path, change.old, change.new) for change in changes.widened] == [
        ("0", "Linear(64, 128)", "Linear(64, 168)"),
        ("3", "Linear(128, 128)", "Linear(84, 168)"),
        ("6", "Linear(128, 10)", "Linear(84, 10)"),
    ]


def test_the_gated_model_equals_the_one_written_by_hand():
    model = Functional()

    swap_(model, {"gelu": "geglu", "relu": "swiglu"}, X)

    def gated(h, function):
        value, gate = h.chunk(2, dim=-1)
        return value * function(gate)

    expected = X + model.down(gated(model.up(X), F.gelu))
    for _ in range(2):
        expected = expected + model.fall(gated(model.rise(expected), F.silu))
    assert torch.allclose(model(X), expected, atol=1e-6)
    assert shapes(model)["rise"][1] == 2 * shapes(model)["fall"][0]


def test_the_feed_forward_block_of_a_transformer_becomes_gated():
    model = nn.TransformerEncoderLayer(32, 2, 128, batch_first=True).eval()
    before = parameters(model)
    x = torch.linspace(-1, 1, 2 * 5 * 32).reshape(2, 5, 32)

    swap_(model, {"activation": "geglu"}, x)

    assert abs(parameters(model) - before) <= 0.01 * before
    assert model.linear1.out_features == 2 * model.linear2.in_features
    with torch.no_grad():
        assert model(x).shape == x.shape


def test_undo_brings_the_old_layers_and_outputs_back():
    model = mlp(64, 128, 128, 10)
    output, keys, linears = model(X), list(model.state_dict()), [model[0], model[3], model[6]]

    changes = swap_(model, "bilinear", X)
    assert not torch.equal(model(X), output)
    changes.undo()

    assert torch.equal(model(X), output)
    assert list(model.state_dict()) == keys
    assert [model[0], model[3], model[6]] == linears


def test_new_weights_are_drawn_as_torch_does_from_the_generator():
    one, two, three = mlp(64, 512, 10), mlp(64, 512, 10), mlp(64, 512, 10)
    state = torch.get_rng_state()

    for model, seed in ((one, 0), (two, 0), (three, 1)):
        swap_(model, "swiglu", X, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, three[0].weight)
    assert torch.equal(state, torch.get_rng_state())
    bound = 64**-0.5  # nn.Linear draws uniformly from +-1/sqrt(fan_in): deviation bound/sqrt(3)
    assert one[0].weight.abs().max() <= bound
    assert abs(one[0].weight.std().item() / (bound / 3**0.5) - 1) < 0.02  # 44,000 draws: 5 standard errors are 0.011


def test_new_layers_keep_dtype_and_training_flag():
    model = mlp(64, 128, 10).double()

    swap_(model, "swiglu", X.double())

    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert not any(module.training for module in model.modules())


def test_part_of_a_model_can_become_gated():
    model = mlp(64, 128, 128, 128, 10)

    swap_(model, {"1": "swiglu", "*": "gelu"}, X)

    assert shapes(model)["6"] == (128, 128)
    assert [str(model[index].spec) for index in (1, 4, 7)] == ["swiglu", "gelu", "gelu"]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x):
        h = F.relu(self.one(x))
        return self.two(h) + h


class Peeks(Residual):
    def forward(self, x):
        h = self.one(x)
        return self.two(F.relu(h)) + h


class Reused(Residual):
    def forward(self, x):
        return self.two(self.two(F.relu(self.one(x))))


class Twice(Residual):
    def forward(self, x):
        return self.two(F.relu(self.one(x))) + self.one(-x)


class Tied(Residual):
    def __init__(self):
        super().__init__()
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(F.relu(self.one(x)))


class Special(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("model", "x", "reason"),
    [
        (
            nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)),
            X,
            "another operation is in between",
        ),
        (nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 1)), X, "goes into layer_norm"),
        (
            nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 62, 1)),
            X[:, None],
            r"it comes from 0 \(Conv1d\)",
        ),
        (Residual(), X, r"goes into two \(Linear\) and add"),
        (Peeks(), X, r"one \(Linear\) also feeds add"),
        (Reused(), X, r"two \(Linear\) also takes something else"),
        (Twice(), X, r"one \(Linear\) also feeds something else"),
        (Tied(), X, "shares its weights"),
        (nn.Sequential(nn.Linear(64, 8), nn.ReLU(), Special(8, 1)), X, "special Linear"),
    ],
    ids=["batch norm", "layer norm", "convolution", "residual", "peek", "reused", "twice", "tied", "special"],
)
def test_what_is_no_plain_block_is_refused_with_the_reason(model, x, reason):
    before = repr(model)

    with pytest.raises(SiteError, match=rf"{reason}.*Use a scalar function here"):
        swap_(model, "swiglu", x)

    assert repr(model) == before


def test_a_block_that_does_not_fit_takes_its_neighbour_along_only_where_they_share_a_layer():
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)

        def forward(self, x):
            h = F.gelu(self.a(x))
            h = F.relu(self.b(h))
            return self.d(F.silu(self.c(h))) + h

    model = Chain()
    changes = swap_(model, "swiglu", X)

    assert [change.old for change in changes] == ["gelu", "silu"]
    assert [skip.site.name for skip in changes.skipped] == ["relu"]
    assert shapes(model)["b"][1] == 32


def test_a_gated_swap_needs_a_run():
    with pytest.raises(SiteError, match="needs the layers around it widened; pass example_inputs"):
        swap_(mlp(64, 8, 1), "swiglu")


def test_gated_to_gated_keeps_the_widths_and_gated_to_scalar_is_refused():
    model = nn.Sequential(nn.Linear(64, 8), nn.GLU(), nn.Linear(4, 1))

    swap_(model, "swiglu", X)
    assert str(model[1].spec) == "swiglu"
    assert shapes(model) == {"0": (64, 8), "2": (4, 1)}
    with pytest.raises(SiteError, match="swiglu halves the last dimension and relu does not"):
        swap_(model, "relu", X)


def test_a_gate_along_another_dimension_is_refused():
    model = nn.Sequential(nn.Conv1d(1, 4, 3), nn.GLU(dim=1), nn.Flatten(), nn.Linear(2 * 62, 1))

    with pytest.raises(SiteError, match="gates along dimension 1"):
        swap_(model, "swiglu", X[:, None])


def test_a_gated_model_trains_and_compiles():
    model = Functional()
    swap_(model, "swiglu", X)

    compiled = torch.compile(model, fullgraph=True, backend="eager")
    compiled(X).sum().backward()

    assert torch.equal(compiled(X), model(X))
    assert all(parameter.grad is not None for parameter in model.parameters())
