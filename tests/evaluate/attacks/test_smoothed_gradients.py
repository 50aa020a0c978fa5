"""Gradients through smoothed activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab import layer
from actlab.evaluate.attacks.smoothed_gradients import smoothed_gradients


class OwnStep(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).float()


class OwnStaircase(nn.Module):
    """Steps that no table knows."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.1).float() + 0.5 * (x > 0.3).float() - (x < -0.2).float()


class Written(nn.Module):
    """Functions that are called, in an attribute and by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.act = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3), torch.tanh

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sign(self.first(x))
        x = self.act(100 * self.second(x))
        found: Tensor = self.third(functional.relu(torch.round(x)))
        return found


def net(act: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), act, nn.Dropout(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    "model",
    [
        net(layer("step")),
        net(layer("sign/rect(-0.1, 0.1)")),
        net(OwnStep()),
        net(OwnStaircase()),
        net(nn.Tanh()),
        net(nn.PReLU(8)),
        net(nn.ReLU(inplace=True)),
        Written(),
    ],
    ids=lambda model: type(model[2]).__name__ if isinstance(model, nn.Sequential) else "written",
)
def test_outputs_stay_gradients_are_there_and_the_model_is_restored(model: nn.Module) -> None:
    torch.manual_seed(0)
    for weight in model.parameters():
        nn.init.normal_(weight)
    model.eval()
    x = torch.randn(32, 4)
    before, structure = model(x).detach(), str(model)
    with smoothed_gradients(model, x) as smoothing:
        leaf = x.clone().requires_grad_()
        output = model(leaf)
        (gradient,) = torch.autograd.grad(output[:, 0].sum(), leaf)
    assert torch.equal(output, before)
    assert float((gradient != 0).any(1).double().mean()) > 0.8
    assert smoothing.sites
    assert str(model) == structure
    assert torch.equal(model(x), before)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_saturated_unit_gets_a_gradient_where_float32_has_none() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh()).eval()
    with torch.no_grad():
        next(model.parameters()).fill_(1000.0)
    x = torch.linspace(-1, 1, 20)[:, None].requires_grad_()
    (plain,) = torch.autograd.grad(model(x).sum(), x)
    with smoothed_gradients(model, x.detach()):
        (smooth,) = torch.autograd.grad(model(x).sum(), x)
    assert int((plain != 0).sum()) == 0
    assert int((smooth != 0).sum()) >= 10


def test_softmax_at_the_output_is_left_out_on_request_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Softmax(1)).eval()
    x = torch.randn(5, 2)
    with smoothed_gradients(model, x) as smoothing:
        assert smoothing.outputs == ()
    with smoothed_gradients(model, x, drop_outputs=True) as smoothing:
        assert torch.equal(model(x), model[0](x))
        assert smoothing.outputs == ("1",)
    assert torch.equal(model(x), model[0](x).softmax(1))


def test_what_cannot_be_smoothed_is_named() -> None:
    model = nn.LSTM(4, 3).eval()
    with smoothed_gradients(model, torch.randn(5, 4)) as smoothing:
        pass
    assert smoothing.sites == ()
    assert dict(smoothing.skipped)[":tanh"].startswith("torch computes it inside")
