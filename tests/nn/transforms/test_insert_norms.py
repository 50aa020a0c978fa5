"""Norms before binary activations: where they are inserted, and which activations are binary."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.layers.binary import binary_values
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.insert_norms import insert_norms_


def test_binary_are_the_steps_and_signs_of_the_catalogue():
    from actlab.functions.activation import get, names

    family = [name for name in names() if get(name).family == "quantised"]
    assert [name for name in family if binary_values(name)] == ["rsign", "sign", "step"]
    assert binary_values("rsign(alpha=0.5)/clipped") == (-1.0, 1.0)


class Block(nn.Module):
    def __init__(self, normed: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.norm = nn.BatchNorm2d(6) if normed else nn.Identity()
        self.act = layer("sign/clipped")

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))


def test_a_norm_stands_before_every_bare_activation_and_no_other():
    net = nn.Sequential(
        Block(normed=False),
        nn.Conv2d(6, 2, 1),
        Block(normed=True),
        nn.ReLU(),
        nn.Flatten(),
        layer("step/rect"),
        nn.LayerNorm(24),
        layer("step/rect"),
    )
    x = torch.randn(3, 2, 6, 6)

    assert insert_norms_(net, x) == ["0.act", "5"]

    assert isinstance(net[0].act[0], nn.BatchNorm2d)
    assert isinstance(net[5][0], nn.BatchNorm1d)
    assert (net[0].act[0].num_features, net[5][0].num_features) == (6, 24)
    assert net(x).shape == (3, 24)
    assert insert_norms_(net, x) == []


def test_the_norm_works_on_the_input_of_the_activation():
    net = nn.Sequential(nn.Linear(4, 8), layer("step/rect"))
    x = torch.randn(64, 4) + 5
    bare = net[0](x)

    insert_norms_(net, x, momentum=1.0, affine=False)

    torch.testing.assert_close(
        net[1][0](net[0](x)), (bare - bare.mean(0)) / bare.var(0, unbiased=False).add(1e-5).sqrt()
    )


def test_an_activation_in_two_widths_is_refused_and_nothing_changed():
    shared = layer("step/rect")
    net = nn.Sequential(nn.Linear(4, 8), shared, nn.Linear(8, 2), shared)
    with pytest.raises(SiteError, match="2 dimensions with 2 channels, 2 dimensions with 8 channels"):
        insert_norms_(net, torch.zeros(2, 4))
    assert net[1] is shared
    with pytest.raises(SiteError, match="the activation itself"):
        insert_norms_(shared, torch.zeros(2, 4))
    with pytest.raises(SiteError, match="1 dimensions with 0 channels"):
        insert_norms_(nn.Sequential(shared), torch.zeros(4))


def test_looking_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 8), layer("step/rect")).train()
    before = net[0].running_mean.clone()
    insert_norms_(net, torch.ones(2, 4))
    assert torch.equal(net[0].running_mean, before)
    assert net.training
    assert net[2].training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
