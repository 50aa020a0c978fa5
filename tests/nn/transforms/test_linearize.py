"""Lines instead of activations: what they compute, where they are possible, and undo."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.nn.nets import Mixed
from torch import nn

import actlab
from actlab.errors import LayerError, SiteError
from actlab.nn.probes.affine_fit import Line
from actlab.nn.transforms.linearize import Affine, input_of


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2))


def data(n=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(32, 3, generator=generator) for _ in range(n)]


def test_the_model_computes_the_lines_and_undo_gives_it_back_to_the_bit():
    net, x = mlp(), data()[0]
    before, weights, modules = net(x), copy.deepcopy(net.state_dict()), list(net)
    changes = actlab.linearise_(net, ["1", "3"], data())

    hidden = net[0](x) * net[1].slope + net[1].shift
    hidden = net[2](hidden) * net[3].slope + net[3].shift
    torch.testing.assert_close(net(x), net[4](hidden))
    assert [str(c.new) for c in changes] == ["line", "line"]
    assert actlab.find(net) == []

    changes.undo()
    assert torch.equal(net(x), before)
    assert same(net.state_dict(), weights)
    assert all(a is b for a, b in zip(net, modules, strict=True))


def test_each_site_is_fitted_behind_those_that_are_lines_already():
    first, both = mlp(), mlp()
    actlab.linearise_(first, ["1"], data())
    actlab.linearise_(both, ["1", "3"], data())

    with torch.no_grad():
        x = first[2](first[1](first[0](torch.cat(data())))).double()
    y = F.gelu(x)
    slope = ((x - x.mean(0)) * (y - y.mean(0))).sum(0) / ((x - x.mean(0)) ** 2).sum(0)
    torch.testing.assert_close(both[3].slope.double(), slope, rtol=1e-4, atol=1e-5)  # float32 activations


def test_calls_attributes_and_modules_are_replaced_and_nothing_else_changes():
    torch.manual_seed(0)
    net, x = Mixed(), torch.randn(6, 1, 6, 6)
    weights, state, training = copy.deepcopy(net.state_dict()), torch.get_rng_state(), net.training
    cls, before = type(net), net.eval()(x)
    net.train(training)
    changes = actlab.linearise_(net, ["*"], [x])
    assert {change.path for change in changes} == {"forward:F.gelu@1", "block.relu", "act"}

    changes.undo()
    assert torch.equal(net.eval()(x), before)
    assert same(net.state_dict(), weights)
    assert type(net) is cls
    assert torch.equal(torch.get_rng_state(), state)


class Overwriting(nn.Module):
    """Uses a tensor after a module has overwritten it; a line in its place would have no effect."""

    def __init__(self):
        super().__init__()
        self.a, self.relu, self.b = nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)

    def forward(self, x):
        x = self.a(x)
        self.relu(x)
        return self.b(x)


def test_a_site_that_overwrites_a_value_used_later_is_refused():
    with pytest.raises(SiteError, match="overwrites its input"):
        actlab.linearise_(Overwriting(), ["relu"], data())


def test_what_is_no_function_of_one_number_is_refused_with_the_reason():
    net = nn.Sequential(nn.Linear(3, 8), nn.GLU(), nn.Linear(4, 2))

    with pytest.raises(SiteError, match="halves the last dimension"):
        actlab.linearise_(net, ["1"], data())


@pytest.mark.parametrize(
    ("sites", "batches", "words"),
    [(["1"], [], "gave no batch"), (["7"], None, "No site matches '7'"), (["1"], ["text"], "A batch is a str")],
)
def test_wrong_use_is_refused_and_the_model_is_as_it_was(sites, batches, words):
    net = mlp()
    with pytest.raises(SiteError, match=words):
        actlab.linearise_(net, sites, data() if batches is None else batches)
    assert isinstance(net[1], nn.ReLU)


def test_lines_follow_the_dtype_of_the_net_and_travel_with_its_weights(tmp_path):
    net = mlp().double()
    actlab.linearise_(net, ["1"], [x.double() for x in data()])
    assert net[1].slope.dtype == torch.float64
    torch.save(net.state_dict(), tmp_path / "net.pt")

    other = mlp().double()
    actlab.linearise_(other, ["1"], [torch.zeros(2, 3).double() + 1])
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    x = data()[0].double()
    assert torch.equal(other(x), net(x))


def test_lines_keep_the_dtype_of_half_precision():
    line = Line(slope=torch.ones(2), shift=torch.zeros(2), mean=torch.zeros(2), dim=-1, r2=1.0, elements=1)
    assert Affine(line)(torch.ones(3, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_lines_for_other_channels_are_an_error():
    line = Line(slope=torch.ones(4), shift=torch.zeros(4), mean=torch.zeros(4), dim=-3, r2=1.0, elements=1)
    with pytest.raises(LayerError, match="4 channels in dimension -3"):
        Affine(line)(torch.ones(2, 3, 5, 5))


def test_a_linearised_net_trains():
    net = mlp()
    actlab.linearise_(net, ["1"], data())
    net(data()[0]).sum().backward()
    assert net[0].weight.grad.abs().sum() > 0


def test_the_input_of_a_batch():
    x = torch.zeros(1)
    assert input_of(x) is x
    assert input_of((x, 1)) is x
    assert input_of({"a": x}) == {"a": x}
