"""Axis of the metric in integer arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from actlab.evaluate.axes.int8 import INT8
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.rounding import integer_net
from actlab.export.integer.quantize import quantize
from actlab.export.net.read import read_net
from actlab.tasks import Data, Split, Task


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.one(x), self.two(x)


def task(direction: str = "max") -> Task:
    def metric(output: torch.Tensor, target: torch.Tensor) -> float:
        return float((output - target).abs().mean()) * (-1 if direction == "max" else 1)

    return Task(
        name="sums",
        model=lambda _: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1)),
        data=splits,
        loss=nn.functional.mse_loss,
        metric=metric,
        metric_name="error",
        direction=direction,
        learning_rate=0.01,
        batch_size=16,
        epochs=1,
    )  # type: ignore[arg-type]


def splits(seed: int) -> Data:
    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(seed))
    y = x.sum(1, keepdim=True)
    return Data(
        **{name: Split(x=x[part], y=y[part]) for name, part in (("train", slice(80)), ("test", slice(80, None)))}
    )


def trained(direction: str = "max") -> EvaluationData:
    torch.manual_seed(0)
    model, data = task().model(0), splits(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(data.train.x), data.train.y).backward()
        optimizer.step()
    return EvaluationData(task(direction), model.eval(), data)


def test_the_metric_is_the_tasks_own_of_the_integer_net_on_the_test_split() -> None:
    data = trained()
    found = run_axis(INT8.of_task(data.task), data.model, data)["numbers"]
    train, test = data.splits.train.x, data.splits.test
    whole = quantize(read_net(data.model, train), train.numpy())
    expected = -np.abs(whole.numbers(test.x.numpy())[0].astype(np.float32) - test.y.numpy()).mean()
    assert found["metric"] == pytest.approx(expected, rel=1e-6)
    exact = (data.model(test.x).detach() - test.y).abs().mean()
    assert found["unchanged"] == pytest.approx(-float(exact), rel=1e-6)
    assert found["lost"] == pytest.approx(found["unchanged"] - found["metric"])


@pytest.mark.parametrize("direction", ["max", "min"])
def test_what_is_lost_is_positive_where_integers_are_worse_in_either_direction(direction: str, monkeypatch) -> None:
    real = integer_net.calibration_inputs  # planted fault: ranges a hundred times too small, so that codes saturate
    monkeypatch.setattr(integer_net, "calibration_inputs", lambda data: 0.01 * real(data))
    data = trained(direction)
    found = run_axis(INT8.of_task(data.task), data.model, data)["numbers"]
    assert found["lost"] > 0.5
    assert INT8.columns["lost"].direction == "min"
    assert INT8.of_task(data.task).columns["metric"].direction == direction


def test_a_model_of_two_outputs_has_a_reason_in_place_of_numbers() -> None:
    model = _Twice()
    result = run_axis(INT8, model, EvaluationData(task(), model.eval(), splits(0)))
    assert result["numbers"] == {}
    assert "the model gives 2 tensors" in result["undefined"]["metric"]
