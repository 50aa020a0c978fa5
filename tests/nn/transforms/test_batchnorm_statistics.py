"""Recomputed BatchNorm statistics equal torch's cumulative ones, and nothing else changes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from actlab.errors import SiteError
from actlab.nn.transforms.batchnorm_statistics import recalibrate_


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3))


def batches(count=5):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 2, 9, 9, generator=generator) * (1 + index) + index for index in range(count)]


def test_the_statistics_are_torchs_cumulative_ones_to_the_bit():
    ours, theirs = net(), net()

    assert recalibrate_(ours, batches()) == ["1", "4"]
    update_bn(batches(), theirs)

    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def test_dropout_does_not_disturb_the_statistics():
    plain = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    dropped = nn.Sequential(nn.Dropout(0.5), *copy.deepcopy(plain)).train()
    data = [torch.randn(8, 4, generator=torch.Generator().manual_seed(2))]

    recalibrate_(plain, data)
    recalibrate_(dropped, data)
    update_bn(data, other := copy.deepcopy(dropped))

    assert torch.equal(plain[1].running_mean, dropped[2].running_mean)
    assert not torch.equal(plain[1].running_mean, other[2].running_mean), "torch's own has the dropout in it"


def test_flags_momentum_weights_and_gradients_stay():
    model = net().train()
    model[2].eval()
    model[4].momentum = 0.3
    weights = [p.detach().clone() for p in model.parameters()]

    assert recalibrate_(model, batches(), batches=2) == ["1", "4"]

    assert [m.training for m in model] == [True, True, False, True, True]
    assert (model[1].momentum, model[4].momentum) == (0.1, 0.3)
    assert int(model[4].num_batches_tracked) == 2
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(weights, model.parameters(), strict=True))


def test_a_norm_that_is_frozen_in_a_model_in_training_is_left():
    model, reference = net().train(), net().train()
    model[1].eval()

    assert recalibrate_(model, batches()) == ["4"]
    assert torch.equal(model[1].running_mean, reference[1].running_mean)
    assert not torch.equal(model[4].running_mean, reference[4].running_mean)

    assert recalibrate_(model.eval(), batches()) == ["1", "4"], "in eval mode nothing tells that it is frozen"


def test_a_model_without_norms_is_not_run():
    class Fails(nn.Module):
        def forward(self, x):
            raise AssertionError(x)

    assert recalibrate_(Fails(), [torch.zeros(1)]) == []
    untracked = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), Fails())
    assert recalibrate_(untracked, [torch.zeros(2, 2)]) == []


def test_without_a_batch_the_statistics_stay_as_they_were():
    model = net()
    model[1].running_mean.fill_(7.0)

    with pytest.raises(SiteError, match="no batch"):
        recalibrate_(model, iter([]))
    assert torch.equal(model[1].running_mean, torch.full((4,), 7.0))


def test_a_model_that_raises_gets_its_flags_back():
    model = net()

    with pytest.raises(SiteError, match="raised on"):
        recalibrate_(model, [torch.zeros(1, 7, 9, 9)])
    assert model[1].momentum == 0.1
    assert all(module.training for module in model.modules())
