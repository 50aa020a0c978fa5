"""Parameters per channel along any dimension, against the same layer on a moved input."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from actlab.errors import LayerError
from actlab.nn.layers.layer import layer

SHAPES = {
    -1: [(4,), (3, 4), (2, 3, 4), (2, 3, 5, 4), (0, 3, 4)],
    -2: [(4, 3), (2, 4, 3), (2, 5, 4, 3)],
    -3: [(4, 3, 5), (2, 4, 3, 5)],
}
SPECS = ["prelu(weight=learned_per_channel)", "elu(alpha=learned_per_channel)", "swish(beta=learned_per_channel)"]


def moved(module, x, dim):
    """Compute with the channels in dimension 1."""
    first = x.movedim(dim, 0).reshape(1, 4, -1)
    y = module(first).reshape(x.movedim(dim, 0).shape)
    return y.movedim(0, dim)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("dim", SHAPES)
@pytest.mark.parametrize("spec", SPECS)
def test_values_and_gradients_are_those_along_dimension_1(spec, dim, fast):
    plain, along = layer(spec, channels=4), layer(spec, channels=4, channel_dim=dim, fast=fast)
    with torch.no_grad():
        for one, other in zip(plain.parameters(), along.parameters(), strict=True):
            other.copy_(one.copy_(torch.linspace(0.1, 1.2, 4)))
    for shape in SHAPES[dim]:
        x = torch.randn(shape, requires_grad=True)

        torch.testing.assert_close(along(x), moved(plain, x, dim))
        inputs = torch.autograd.grad(along(x).sum(), [x, *along.parameters()])
        wanted = torch.autograd.grad(moved(plain, x, dim).sum(), [x, *plain.parameters()])
        torch.testing.assert_close(inputs, wanted)


def test_rules_work_along_the_dimension_too():
    spec = "prelu(weight=learned_per_channel)/ste"
    along, plain = layer(spec, channels=4, channel_dim=-1), layer(spec, channels=4)
    x = torch.randn(2, 3, 4, requires_grad=True)

    torch.testing.assert_close(along(x), plain(x.mT).mT)
    torch.testing.assert_close(torch.autograd.grad(along(x).sum(), x), torch.autograd.grad(plain(x.mT).sum(), x))


def test_it_survives_copies_and_says_its_dimension():
    module = layer(SPECS[0], channels=4, channel_dim=-1)
    x = torch.randn(2, 3, 4)

    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(x), module(x))
    assert "channel_dim=-1" in repr(module)
    layer(SPECS[0], channels=4).load_state_dict(module.state_dict())


def test_without_parameters_per_channel_the_dimension_changes_nothing():
    assert type(layer("prelu", channel_dim=-1)) is type(layer("prelu"))


def test_inputs_and_dimensions_that_do_not_fit_are_refused():
    with pytest.raises(LayerError, match="has 4 channels in dimension -2, got an input of shape \\(3,\\)"):
        layer(SPECS[0], channels=4, channel_dim=-2)(torch.randn(3))
    with pytest.raises(LayerError, match="has 4 channels in dimension -1, got an input of shape \\(2, 4, 5\\)"):
        layer(SPECS[0], channels=4, channel_dim=-1)(torch.randn(2, 4, 5))
    with pytest.raises(LayerError, match=r"channel_dim .*; got 2"):
        layer(SPECS[0], channels=4, channel_dim=2)
