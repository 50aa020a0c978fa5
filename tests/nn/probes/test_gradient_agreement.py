"""Agreement of gradients, compared with hand-written ones and a straight-through step."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from actlab.errors import SiteError
from actlab.nn.probes.gradient_agreement import Flips, agreement, flipped, gradient_agreement


class Step(torch.autograd.Function):
    """A sign whose slope is 1 within a window."""

    @staticmethod
    def forward(ctx, x, window):
        ctx.save_for_backward(x)
        ctx.window = window
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() < ctx.window).to(x.dtype), None


class Binary(nn.Module):
    def __init__(self, window):
        super().__init__()
        self.window = window

    def forward(self, x):
        return Step.apply(x, self.window)


def net(window=math.inf):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), Binary(window), nn.Linear(8, 8), Binary(window), nn.Linear(8, 2))


def test_a_gradient_agrees_with_itself_and_disagrees_with_its_negative():
    g = torch.randn(5, 3)
    same, opposite = agreement(g, 2 * g), agreement(-g, g)

    assert (same.cosine, same.signs, same.ratio) == (pytest.approx(1.0), 1.0, pytest.approx(0.5))
    assert (opposite.cosine, opposite.signs) == (pytest.approx(-1.0), 0.0)
    assert same.unit_signs.tolist() == [1.0, 1.0, 1.0]


def test_units_are_columns_of_the_given_dimension():
    reference = torch.ones(2, 3, 4)
    used = torch.ones(2, 3, 4)
    used[:, 1] = -1
    used[:, 2] = 0
    found = agreement(used, reference, dim=1)

    assert found.unit_signs.tolist() == [1.0, 0.0, 0.0]
    assert found.zero_units == pytest.approx(1 / 3)
    assert found.zero_reference == 0.0
    assert found.cosine == pytest.approx(cosine_similarity(used.flatten(), reference.flatten(), dim=0).item(), abs=1e-6)


def test_zero_gradients_have_no_direction():
    found = agreement(torch.zeros(2, 2), torch.ones(2, 2))
    assert math.isnan(found.cosine)
    assert (found.ratio, found.zero_units, found.signs) == (0.0, 1.0, 0.0)


def test_half_precision_neither_overflows_nor_vanishes():
    for size in (6e4, 6e-8):
        g = torch.full((4, 4), size, dtype=torch.float16)
        assert agreement(g, g).cosine == pytest.approx(1.0)


def test_two_backward_passes_of_one_net_are_compared_site_by_site():
    used, reference = net(0.3), net()
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    found = gradient_agreement(used, reference, x, lambda y: y.square().sum())

    sums, by_hand = {}, {}
    for name, model in (("used", used), ("reference", reference)):
        first = model[0](x)
        second = model[2](model[1](first))
        loss = model[4](model[3](second)).square().sum()
        sums[name] = torch.autograd.grad(loss, [first, second])
    by_hand = [cosine_similarity(a.flatten(), b.flatten(), dim=0).item() for a, b in zip(*sums.values(), strict=True)]

    assert [one.path for one in found] == ["1", "3"]
    assert [one.cosine for one in found] == [pytest.approx(value, abs=1e-5) for value in by_hand]
    assert 0 < found[0].cosine < found[1].cosine < 1
    assert found[1].signs == pytest.approx((sums["used"][1] != 0).double().mean().item(), abs=1e-6)


def test_models_of_different_paths_are_refused():
    with pytest.raises(SiteError, match="nothing can be compared"):
        gradient_agreement(net(), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)), torch.ones(2, 4), torch.sum)
    with pytest.raises(SiteError, match="cannot be compared"):
        agreement(torch.ones(2), torch.ones(3))


def test_flips_are_counted_between_calls():
    model, x = net(), torch.randn(32, 4, generator=torch.Generator().manual_seed(2))
    flips = Flips(model, x)
    before = copy.deepcopy(model)

    assert flips.count() == {}
    assert flips.count() == {"1": 0.0, "3": 0.0}
    with torch.no_grad():
        model[0].weight.add_(0.2 * torch.randn(8, 4))
    found = flips.count()
    assert found["1"] == flipped(before[:2](x), model[:2](x)) > 0
    assert found["3"] == flipped(before[:4](x), model[:4](x))
    assert Flips(model, x, sites=["3"]).count() == {}
