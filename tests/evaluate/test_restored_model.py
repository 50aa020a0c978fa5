"""Restoration of a model after an axis."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.evaluate.restored_model import restored


def net() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    model[2].eval()
    return model


def test_modes_gradients_weights_and_buffers_are_as_before() -> None:
    model = net()
    model(torch.randn(8, 3)).sum().backward()
    gradients = {name: (weight.grad, weight.grad.clone()) for name, weight in model.named_parameters()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with restored(model):
        assert not any(module.training for module in model.modules())
        model.train()
        model(torch.randn(8, 3)).square().sum().backward()
        with torch.no_grad():
            model[0].weight.mul_(2)
        model[3].weight = nn.Parameter(torch.zeros(2, 4))
        model[1].register_buffer("extra", torch.zeros(1))
        model[0].weight.requires_grad_(False)
    assert [module.training for module in model.modules()] == modes
    for name, weight in model.named_parameters():
        assert weight.grad is gradients[name][0]
        assert torch.equal(weight.grad, gradients[name][1])
        assert weight.requires_grad
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_the_model_is_restored_when_the_block_raises() -> None:
    model = net().train()

    def change_and_raise() -> None:
        with restored(model):
            model[0].weight.data.zero_()
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        change_and_raise()
    assert model.training
    assert model[0].weight.abs().sum() > 0


def test_an_optimizer_goes_on_with_the_same_tensors() -> None:
    model = net()
    before = [id(weight) for weight in model.parameters()]
    with restored(model):
        model[0].weight = nn.Parameter(torch.zeros(4, 3))
    assert [id(weight) for weight in model.parameters()] == before
