"""Staged binarization: float weights first, binary later, also after resuming from a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear
from actlab.nn.training.staged_binarization import StagedBinarization


def test_weights_become_binary_after_the_steps_asked_for():
    net = nn.Sequential(BinaryConv2d(1, 2, 1), nn.Flatten(), BinaryLinear(2, 2))
    stages = StagedBinarization(net, float_until=2)
    seen = []
    for _ in range(4):
        seen.append([net[0].is_binary, net[2].is_binary])
        stages.step()

    assert seen == [[False] * 2, [False] * 2, [True] * 2, [True] * 2]
    assert net[2].used_weight().abs().unique().tolist() == [1.0]
    assert StagedBinarization(net, float_until=0).weights_are_binary


def test_going_on_sets_the_layers():
    going = StagedBinarization(BinaryLinear(2, 2), float_until=3)
    for _ in range(3):
        going.step()
    net = BinaryLinear(2, 2)
    resumed = StagedBinarization(net, float_until=50)
    assert torch.equal(net.used_weight(), net.weight)

    resumed.load_state_dict(going.state_dict())

    assert net.is_binary
    assert resumed.float_until == 3


def test_what_makes_no_sense_is_refused():
    with pytest.raises(LayerError, match="no binary layer"):
        StagedBinarization(nn.Linear(2, 2), float_until=1)
    for wrong in (-1, 1.5, True):
        with pytest.raises(LayerError, match="whole number of steps from 0 up"):
            StagedBinarization(BinaryLinear(2, 2), float_until=wrong)
    with pytest.raises(LayerError, match="Not the state of a staged binarization"):
        StagedBinarization(BinaryLinear(2, 2), float_until=1).load_state_dict({"done": 1})
