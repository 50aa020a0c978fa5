"""Layers read from models: what is folded, what is refused, and outputs equal to torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.export.net.zoo import ZOO, build, net_of
from torch import nn
from torch.utils._pytree import tree_leaves

import actlab
from actlab.errors import ExportError
from actlab.export.net.layers import Activation, Conv, Dense, Pool, Scale
from actlab.export.net.read import read_net


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def check(model, *inputs, tolerance=1e-5):
    """Compare the net with the model, and return it."""
    net = read_net(model.eval(), inputs)
    with torch.no_grad():
        wanted = tree_leaves(model(*(each.clone() for each in inputs)))
    for want, got in zip(wanted, net.run([each.numpy() for each in inputs]), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=tolerance, atol=tolerance)
    return net


@pytest.mark.parametrize("name", ZOO)
def test_a_net_computes_what_the_model_computes(name):
    model, inputs = build(name)
    with torch.no_grad():
        wanted = tree_leaves(model(*inputs))
    for want, got in zip(wanted, net_of(name).run([each.numpy() for each in inputs]), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-5, atol=1e-5)


def test_norms_are_folded_dropout_is_gone_and_constants_are_float32():
    net = net_of("ds_cnn")
    assert "Scale" not in kinds(net)
    assert [type(layer) for layer in net.layers[:2]] == [Conv, Activation]
    assert {layer.weight.dtype for layer in net.layers if isinstance(layer, (Conv, Dense))} == {np.dtype(np.float32)}


def test_a_norm_without_a_layer_before_it_is_a_scale_of_each_channel():
    net = check(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)), torch.randn(2, 3, 4, 4))
    assert kinds(net) == ["Scale", "Activation", "Scale"]
    assert isinstance(net.layers[0], Scale)
    assert (len(net.layers[0].scale.values), net.layers[0].scale.inner) == (3, 16)


def test_a_norm_is_not_folded_into_a_layer_that_something_else_reads():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.line, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

        def forward(self, x):
            h = self.line(x)
            return h + self.norm(h)

    assert "Scale" in kinds(check(Both(), torch.randn(2, 4)))


def test_a_norm_over_tokens_is_not_folded_into_the_weights_of_features():
    norm = nn.BatchNorm1d(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    net = check(nn.Sequential(nn.Linear(4, 5), norm), torch.randn(2, 3, 4))
    assert kinds(net) == ["Dense", "Scale"]


def test_gated_functions_read_the_halves_in_place():
    net = net_of("gated")
    splits = [
        (str(layer.spec), layer.split)
        for layer in net.layers
        if isinstance(layer, Activation)
        if layer.split is not None
    ]
    assert splits == [("geglu", 0), ("glu", 0)]
    assert "Slice" not in kinds(net)


def test_functions_of_torch_are_read_with_their_numbers():
    class Functions(nn.Module):
        def forward(self, x):
            bounded = x.clamp(min=-0.5), x.clamp(max=0.3), F.hardtanh(x, -2, 1), x.clamp(-0.5, 0.5)
            return F.leaky_relu(x, 0.3), F.softplus(x, 2.0), *bounded, F.selu(x), F.gelu(x, approximate="tanh")

    net = check(Functions(), torch.randn(3, 5))
    assert sorted(
        str(layer.spec)
        for layer in net.layers
        if isinstance(layer, Activation) and layer.spec.activation.name in {"leaky_relu", "softplus"}
    ) == ["leaky_relu(negative_slope=0.3)", "softplus(beta=2)"]
    assert str(net.layers[-1].spec) == "gelu_tanh"


def test_stochastic_activations_are_their_mean():
    model = nn.Sequential(nn.Linear(3, 3), nn.RReLU(), actlab.layer("rrelu"), actlab.layer("softmax"))
    assert kinds(check(model, torch.randn(2, 3))) == ["Dense", "Activation", "Activation", "Softmax"]
    assert "forward" not in vars(model[2])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.relu_(x) + 1,
        lambda x: F.relu_(x[:, :2] * 1.0) + x[:, 2:],
        lambda x: x + F.relu(x * 2.0, inplace=True),
        lambda x: (1 - x) / 2 - 3 * x,
        lambda x: torch.stack([x, x.neg()], 1).flatten(1),
        lambda x: F.pad(x.unsqueeze(1), (-1, 2)).squeeze(1),
        lambda x: torch.split(x, [1, 3], 1)[1],
        lambda x: x,
        lambda x: (x, x.reshape(-1, 2, 2)),
    ],
)  # fmt: skip
def test_arithmetic_and_shapes(function):
    check(Called(function), torch.randn(3, 4))


def test_an_operator_in_place_on_a_view_changes_the_whole_tensor():
    def halves(x):
        y = x + 1
        y[:, :2].relu_()
        return y * 2

    check(Called(halves), torch.randn(3, 4))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("ceil", [True, False])
def test_means_of_padded_and_cut_windows_divide_as_torch_does(counted, ceil):
    pool = nn.AvgPool2d((3, 2), stride=2, padding=(1, 1), ceil_mode=ceil, count_include_pad=counted)
    net = check(pool, torch.randn(2, 2, 6, 5))
    assert isinstance(net.layers[0], Pool)


def test_all_that_is_no_layer_is_refused_at_once_by_name_place_and_reason():
    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.norm = nn.GRU(4, 4, batch_first=True), nn.LayerNorm(4)
            self.up = nn.ConvTranspose1d(4, 4, 3)

        def forward(self, x):
            y = self.norm(self.recurrent(x)[0])
            return self.up(x), y @ y.transpose(1, 2), x.mean(), torch.cumsum(x, 1), F.dropout(x, training=True)

    with pytest.raises(ExportError) as refused:
        read_net(Outside(), torch.randn(2, 4, 4), target="c99")
    text = str(refused.value)
    assert text.startswith("Outside cannot be exported to c99, and nothing was written. There are")
    parts = ["aten.gru.input in recurrent", "aten.layer_norm in norm", "aten.conv_transpose1d in up", "its shape () "]
    for part in [*parts, "random numbers", "aten.cumsum in the model (tests/export/net/test_read.py:"]:
        assert part in text, text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x.argmax(1) + 1, "index of an argmax"),
        (lambda x: x.permute(0, 2, 1), "moves dimensions"),
        (lambda x: F.max_pool1d(x.double(), 2).float(), "float64"),
        (lambda x: x.flatten(), "does not begin with the batch"),
        (lambda x: x - x.mean(0), "batch"),
        (lambda x: F.adaptive_avg_pool1d(x, 3), "windows of different sizes"),
        (lambda x: F.pad(x, (1, 1), mode="reflect"), "'reflect'"),
    ],
)  # fmt: skip
def test_what_one_example_alone_cannot_give_is_refused(function, reason):
    with pytest.raises(ExportError, match=reason):
        read_net(Called(function), torch.randn(2, 3, 4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_inputs_of_another_dtype_are_refused(dtype):
    with pytest.raises(ExportError, match=r"a net takes float32: model.float\(\)"):
        read_net(Called(lambda x: x + 1), torch.zeros(2, 3).to(dtype))


def test_inputs_that_never_meet_and_one_that_nobody_reads_are_allowed():
    class Apart(nn.Module):
        def forward(self, a, b, unread):  # noqa: ARG002 read by nobody
            return a * 2, F.relu(b)

    net = check(Apart(), torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 1))
    assert net.inputs == ("a", "b", "unread")


def test_a_net_keeps_its_weights_when_the_model_is_trained_on():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    net = read_net(model, torch.ones(2, 3))
    before = net.run(np.ones((1, 3), np.float32))[0]
    with torch.no_grad():
        model[0].weight.mul_(2)
        model[0].bias.add_(1)
    np.testing.assert_array_equal(net.run(np.ones((1, 3), np.float32))[0], before)
