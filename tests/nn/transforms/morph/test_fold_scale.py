"""Folding a scale into the weights behind an activation, only where it is exact."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actlab.nn.sites.find import survey
from actlab.nn.transforms.morph.fold_scale import fold_scale_, foldable_layers

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def paths(model, x, site=0, function=None):
    whole = survey(model, x)
    entry = whole.entries[site]
    found = foldable_layers(model, function or entry.slot.owner, entry, whole, x)
    names = {id(module): path for path, module in model.named_modules()}
    return [names[id(module)] for module in found]


def convnet(*between):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *between, nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))


@pytest.mark.parametrize(
    "between",
    [[], [nn.MaxPool2d(2)], [nn.AvgPool2d(2)], [nn.Dropout(0.5)], [nn.AdaptiveAvgPool2d(4), nn.Dropout2d()]],
    ids=["nothing", "max", "mean", "dropout", "two"],
)
def test_a_factor_passes_what_is_homogeneous(between):
    model = convnet(*between)

    assert paths(model, IMAGES) == [str(2 + len(between))]


@pytest.mark.parametrize(
    "between", [[nn.BatchNorm2d(4)], [nn.Tanh()], [nn.GroupNorm(2, 4)]], ids=["a norm", "an activation", "group norm"]
)
def test_a_factor_does_not_pass_what_is_not(between):
    assert paths(convnet(*between), IMAGES) == []


def test_folding_equals_scaling_in_float64():
    model = convnet(nn.MaxPool2d(2)).double().eval()
    x = IMAGES.double()
    handle = model[1].register_forward_hook(lambda *passed: 1.37 * passed[-1])
    expected = model(x).detach()
    handle.remove()

    fold_scale_([model[3]], 1.37)

    assert torch.allclose(model(x).detach(), expected, rtol=0, atol=1e-14 * float(expected.abs().max()))


class Net(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way = way
        self.one, self.act, self.two, self.three = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        h = self.act(self.one(x))
        if self.way == "residual":
            return self.two(h) + h
        if self.way == "both":
            return self.two(h) + self.three(h)
        if self.way == "twice":
            return self.two(self.two(h))
        if self.way == "shifted":
            return self.two(h + 1)
        if self.way == "unused":
            return self.two(x) + 0 * self.three(h)
        if self.way == "weights":
            return self.two(h) + self.two.weight.sum()
        return F.linear(h, self.two.weight)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("residual", []),
        ("both", ["two", "three"]),
        ("twice", []),
        ("shifted", []),
        ("unused", []),
        ("weights", []),
        ("functional", []),
    ],
)
def test_every_use_of_the_output_and_of_the_weights_counts(way, expected):
    torch.manual_seed(0)
    assert paths(Net(way), torch.randn(3, 4)) == expected


def test_tied_and_frozen_weights_are_left_alone():
    torch.manual_seed(0)
    tied, frozen = Net("both"), Net("both")
    tied.three.weight = tied.one.weight
    frozen.two.weight.requires_grad_(False)

    assert paths(tied, torch.randn(3, 4)) == []
    assert paths(frozen, torch.randn(3, 4)) == []


def test_trying_leaves_the_model_as_it_was():
    model = convnet(nn.MaxPool2d(2)).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}

    paths(model, IMAGES)

    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())


def test_a_dead_site_absorbs_no_scale():
    model = convnet()
    nn.init.constant_(model[0].bias, -100.0)

    assert paths(model, IMAGES) == []
