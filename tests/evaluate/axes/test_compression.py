"""Axis of compression."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import kurtosis
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from actlab.evaluate.axes.compression import COMPRESSION
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.rounding.changed_layers import changed_weights, pruned
from actlab.evaluate.rounding.layer_inputs import layer_inputs
from actlab.evaluate.rounding.zero_gradients import zero_gradients
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy, load_data


def trained(activation: nn.Module | None = None) -> tuple[nn.Module, EvaluationData]:
    """Return a net that tells four corners of a square apart, trained for a moment."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), activation or nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4))
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(1200, 2, generator=draws)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(x[:600]), y[:600]).backward()
        optimizer.step()
    optimizer.zero_grad()
    task = Task(
        name="given", model=lambda _: model, data=lambda _: None, loss=functional.cross_entropy, metric=accuracy
    )
    split = Split(x=x[600:], y=y[600:])
    return model.eval(), EvaluationData(task, model, Data(train=Split(x=x[:600], y=y[:600]), test=split))


def measured(activation: nn.Module | None = None) -> dict[str, Any]:
    model, data = trained(activation)
    return run_axis(COMPRESSION.of_task(data.task), model, data)


def test_eight_bits_keep_the_metric_and_four_keep_less() -> None:
    numbers = measured()["numbers"]
    assert numbers["unchanged"] > 0.95
    for name in ("int8_per_tensor", "int8_per_channel", "fp8_e4m3"):
        assert numbers[name] == pytest.approx(numbers["unchanged"], abs=0.02)
    assert numbers["mxfp4_weights"] <= numbers["unchanged"]


def test_an_outlier_in_one_channel_is_survived_by_channel_scales_only() -> None:
    """Scaling a unit up and its outgoing weights down changes no output, and takes the digits of all other weights."""
    model, data = trained()
    with torch.no_grad():
        model[0].weight[0] *= 3000
        model[0].bias[0] *= 3000
        model[2].weight[:, 0] /= 3000
    numbers = run_axis(COMPRESSION, model, data)["numbers"]
    assert numbers["int8_per_tensor"] < numbers["unchanged"] - 0.1
    with changed_weights(model, lambda weight: weight), torch.no_grad():
        assert numbers["unchanged"] == pytest.approx(data.metric(data.predict(data.inputs)))


def test_pruning_is_that_of_torch_over_all_layers() -> None:
    model, _ = trained()
    change = pruned(model, 0.6)
    found = [change(layer.weight.detach()) for layer in (model[0], model[2], model[4])]
    prune.global_unstructured(
        [(model[n], "weight") for n in (0, 2, 4)], pruning_method=prune.L1Unstructured, amount=0.6
    )
    for own, layer in zip(found, (model[0], model[2], model[4]), strict=True):
        assert torch.equal(own == 0, layer.weight == 0)


def test_distributions_are_those_of_scipy() -> None:
    model, data = trained(nn.GELU())
    x = data.train[0]
    hidden = model[:2](x).detach().double().flatten().numpy()
    seen = layer_inputs(model, x)["2"]
    assert seen.kurtosis == pytest.approx(kurtosis(hidden, fisher=False), rel=1e-6)
    assert (seen.low, seen.high) == (pytest.approx(hidden.min()), pytest.approx(hidden.max()))
    assert layer_inputs(model, x)["4"].zeros == pytest.approx(float((model[:4](x) == 0).double().mean()))


def test_saturated_functions_lose_their_gradient_in_bfloat16() -> None:
    """The gradient of tanh is zero from 3.47 on, and of a sigmoid gate from 6.25 on, in torch 2.13.0; that of GELU never is."""
    x = torch.linspace(-8, 8, 161)[:, None]

    def shares(activation: nn.Module) -> list[float]:
        net = nn.Sequential(nn.Linear(1, 1, bias=False), activation)
        nn.init.ones_(net[0].weight)
        found = (zero_gradients(net, lambda model: model(x).sum(), dtype=dtype) for dtype in (None, torch.bfloat16))
        return [one["1"] for one in found]

    assert shares(nn.Tanh())[0] == 0
    assert shares(nn.Tanh())[1] == pytest.approx(2 * (8 - 3.47) / 16, abs=0.02)
    assert shares(nn.Sigmoid())[1] == pytest.approx((8 - 6.25) / 16, abs=0.02)
    assert shares(nn.ReLU())[0] == pytest.approx(0.5, abs=0.02)


def test_the_model_and_its_gradients_are_as_before() -> None:
    model, data = trained()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run_axis(COMPRESSION, model, data)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_sparsity_is_the_share_of_zeros_that_relu_makes() -> None:
    assert measured(nn.Tanh())["numbers"]["sparsity"] < measured(nn.ReLU())["numbers"]["sparsity"]


def test_a_model_without_layers_has_nothing_to_round() -> None:
    class Identity(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    _, data = trained()
    data.model = Identity()
    assert "no linear or convolutional layer" in run_axis(COMPRESSION, Identity(), data)["undefined"]["sparsity"]


def test_a_convolution_net_is_measured() -> None:
    task = resolve("digits:cnn")
    torch.manual_seed(0)
    model = task.model(0).eval()
    data = EvaluationData(task, model, load_data(task, 0))
    numbers = run_axis(COMPRESSION.of_task(task), model, data)["numbers"]
    assert set(numbers) == set(COMPRESSION.columns)


def test_weights_that_no_format_reaches_are_named() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.cell(x)[0][:, -1])
            return out

    torch.manual_seed(0)
    model, split = Recurrent().eval(), Split(x=torch.randn(40, 5, 4), y=torch.randint(3, (40,)))
    task = Task(name="t", model=lambda _: model, data=lambda _: None, loss=functional.cross_entropy, metric=accuracy)
    data = EvaluationData(task, model, Data(train=split, validation=None, test=split))
    notes = run_axis(COMPRESSION, model, data)["notes"]
    assert notes == [
        "94% of the weights, those of LSTM, are neither rounded nor pruned, as they are in no linear or convolutional layer."
    ]
    own, given = trained()
    assert run_axis(COMPRESSION, own, given)["notes"] == []
