"""Dormant units, gradient noise, sharpness and fresh tasks, against closed forms and autograd."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axes.dynamics import DYNAMICS, PLASTICITY
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.dynamics.dormant_units import unit_shares
from actlab.evaluate.dynamics.fresh_tasks import TASKS, reordered
from actlab.evaluate.dynamics.gradient_noise import gradient_noise
from actlab.evaluate.dynamics.sharpness import sharpness
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_dormant_units_are_found_where_no_unit_is_inactive() -> None:
    """A count of dead units misses units of GELU that contribute nothing, since they are never exactly zero."""
    net = nn.Sequential(nn.Linear(3, 10), nn.GELU(), nn.Linear(10, 4), nn.Tanh())
    torch.manual_seed(0)
    with torch.no_grad():
        net[0].weight.normal_()
        net[0].weight[:3] *= 1e-3
        net[0].bias[:3] = 1e-3
        net[2].weight.normal_()
    shares = unit_shares(net, torch.randn(500, 3, generator=drawn()))
    assert shares is not None
    assert shares.by_site == {"1": pytest.approx(0.3), "3": 0.0}
    assert shares.dormant == pytest.approx(3 / 14)
    assert shares.inactive == 0.0


def test_channels_are_the_units_of_a_convolution() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    with torch.no_grad():
        net[0].bias[0] = -1e6
    shares = unit_shares(net, torch.randn(8, 1, 6, 6, generator=drawn()))
    assert shares is not None
    assert shares.units == 4
    assert shares.dormant >= shares.inactive >= 0.25


def test_a_model_without_units_has_no_shares() -> None:
    assert unit_shares(nn.Linear(2, 2), torch.zeros(3, 2)) is None


def test_the_noise_scale_of_a_linear_model_is_that_of_its_draws() -> None:
    """The gradient of mean(w x) is mean(x), so that the covariance and the mean of single gradients are those of x."""
    net = nn.Linear(3, 1, bias=False).double()
    mean, deviation, size = torch.tensor([1.0, -2.0, 0.5]).double(), 2.0, 16
    batches = [
        mean + deviation * torch.randn(size, 3, generator=drawn(seed), dtype=torch.float64) for seed in range(3000)
    ]
    found = gradient_noise(net, batches, size, lambda model, x: model(x).mean())
    assert found.variance == pytest.approx(3 * deviation**2, rel=0.05)
    assert found.squared_length == pytest.approx(float(mean.square().sum()), rel=0.02)
    assert found.scale == pytest.approx(12 / 5.25, rel=0.05)


def test_gradients_that_cancel_have_an_infinite_scale() -> None:
    net = nn.Linear(1, 1, bias=False)
    batches = [torch.full((2, 1), value) for value in (1.0, -1.0)]
    assert gradient_noise(net, batches, 2, lambda model, x: model(x).mean()).scale == float("inf")


def test_the_sharpness_is_the_largest_eigenvalue_of_the_hessian() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(20, 3, generator=drawn(), dtype=torch.float64), torch.randint(2, (20,), generator=drawn())
    names = [name for name, _ in net.named_parameters()]
    shapes = [weight.shape for weight in net.parameters()]

    def of_flat(flat: Tensor) -> Tensor:
        parts = flat.split([shape.numel() for shape in shapes])
        weights = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return functional.cross_entropy(torch.func.functional_call(net, weights, x), y)

    flat = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    values = torch.linalg.eigvalsh(torch.func.hessian(of_flat)(flat))
    wanted = values[values.abs().argmax()]
    found = sharpness(net, lambda model: functional.cross_entropy(model(x), y), generator=drawn(), steps=500)
    assert found == pytest.approx(float(wanted), rel=0.02)
    assert all(weight.grad is None for weight in net.parameters())


def test_a_loss_that_is_linear_in_the_weights_has_no_sharpness() -> None:
    assert sharpness(nn.Linear(2, 1), lambda net: net(torch.ones(3, 2)).sum(), generator=drawn()) == 0.0


def setting(activation: nn.Module, n: int = 400, **settings: Any) -> EvaluationData:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), activation, nn.Linear(16, 3)).eval()
    x = torch.randn(n, 8, generator=drawn())
    split = Split(x=x, y=(x[:, :3] ** 2).argmax(1))
    given = {
        "loss": functional.cross_entropy,
        "metric": accuracy,
        "learning_rate": 1e-2,
        "batch_size": 20,
        "epochs": 10,
    }
    task = Task(name="given", model=lambda _: model, data=lambda _: None, **{**given, **settings})
    return EvaluationData(task, model, Data(train=split, test=split))


def test_the_axis_gives_all_numbers_and_leaves_the_model() -> None:
    data = setting(nn.ReLU())
    before = {name: value.clone() for name, value in data.model.state_dict().items()}
    found = run_axis(DYNAMICS, data.model, data)
    assert set(found["numbers"]) == {"dormant", "inactive", "gradient_noise", "sharpness"}
    assert all(torch.equal(value, before[name]) for name, value in data.model.state_dict().items())


def test_a_function_without_a_second_derivative_has_no_sharpness_and_all_else() -> None:
    """F.hardsigmoid has none in torch 2.13.0."""
    data = setting(nn.Hardsigmoid())
    found = run_axis(DYNAMICS, data.model, data)
    assert "hardsigmoid" in found["undefined"]["sharpness"]
    assert "dormant" in found["numbers"]


def test_plasticity_is_measured_on_fresh_tasks_and_the_model_is_as_before() -> None:
    data = setting(nn.ReLU())
    before = {name: value.clone() for name, value in data.model.state_dict().items()}
    found = run_axis(PLASTICITY, data.model, data)
    losses = found["curves"]["fresh_tasks"]["y"]
    assert len(losses) == TASKS
    assert found["numbers"]["loss_growth"] == pytest.approx(losses[-1] - losses[0])
    assert not data.model.training
    assert all(torch.equal(value, before[name]) for name, value in data.model.state_dict().items())
    assert found["numbers"] == run_axis(PLASTICITY, data.model, data)["numbers"]


def test_a_model_that_cannot_learn_any_more_has_a_larger_loss_on_the_last_task() -> None:
    """A planted loss of plasticity: units that die at once, because the rate is far too large."""
    healthy, dying = setting(nn.ReLU()), setting(nn.ReLU(), learning_rate=3.0)
    growth = [run_axis(PLASTICITY, data.model, data)["numbers"]["dormant_after"] for data in (healthy, dying)]
    assert growth[1] > growth[0] + 0.3


def test_fresh_tasks_need_tensors() -> None:
    data = setting(nn.ReLU())
    data.splits = dataclasses.replace(data.splits, train=object())  # type: ignore[arg-type]
    assert "two tensors" in run_axis(PLASTICITY, data.model, data)["undefined"]["loss_growth"]


def test_reordered_tokens_are_renamed_one_to_one() -> None:
    tokens = torch.tensor([[0, 1, 2], [2, 2, 0]])
    found = reordered(tokens, drawn())
    assert len({(int(old), int(new)) for old, new in zip(tokens.flatten(), found.flatten(), strict=True)}) == 3


def test_attention_has_a_sharpness() -> None:
    """The faster kernels of attention have no second derivative in torch 2.13.0."""
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(4, 2, 16, batch_first=True).eval()
    x = torch.randn(8, 6, 4)
    found = sharpness(model, lambda net: net(x).square().mean(), generator=torch.Generator().manual_seed(0))
    assert found > 0
