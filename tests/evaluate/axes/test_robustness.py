"""Axis of robustness, for metrics of either direction."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import ActlabError, UnknownNameError
from actlab.evaluate.axes.robustness import ROBUSTNESS, RobustnessSettings, robustness_axis
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.corruptions.by_kind import CORRUPTIONS
from actlab.evaluate.corruptions.corruption import Reference
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks import resolve
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy


def rmse(output: Tensor, target: Tensor) -> float:
    return float((output.flatten() - target.flatten()).square().mean().sqrt())


def data_of(model: nn.Module, x: Tensor, y: Any, **settings: Any) -> EvaluationData:
    part = Split(x=x, y=y)
    given: dict[str, Any] = {"loss": functional.cross_entropy, "metric": accuracy, **settings}
    task = Task(name="own", model=lambda _: model, data=lambda _: part, **given)
    return EvaluationData(task, model.eval(), Data(train=part, validation=None, test=part))


def regression(direction: str = "min", **settings: Any) -> EvaluationData:
    torch.manual_seed(0)
    made = torch.Generator().manual_seed(0)
    x = torch.randn((400, 5), generator=made)
    model = nn.Linear(5, 1)
    y = model(x).detach() + 0.1 * torch.randn((400, 1), generator=made)
    given = {"loss": functional.mse_loss, "metric": rmse, "direction": direction, **settings}
    return data_of(model, x, y, **given)


def test_the_area_is_the_mean_of_the_metric_over_severities_and_corruptions() -> None:
    data = regression()
    found = run_axis(ROBUSTNESS, data.model, data)
    severities, areas = [0, 0.2, 0.4, 0.6, 0.8, 1.0], []
    for name, corruption in CORRUPTIONS["table"].items():
        reference = Reference(data.train[0], "table")
        with torch.no_grad():
            values = [
                rmse(data.model(corruption(data.inputs, severity, reference, 0)), data.targets)
                for severity in severities
            ]
        assert found["curves"][name]["y"] == pytest.approx(values, abs=1e-6)
        areas.append(float(torch.trapezoid(torch.tensor(values).double(), torch.tensor(severities).double())))
    wanted = sum(areas) / len(areas)
    assert found["numbers"]["area"] == pytest.approx(wanted, abs=1e-6)
    assert found["numbers"]["kept"] == pytest.approx(found["record"]["metric"] / wanted, abs=1e-6)
    assert found["undefined"] == {}
    assert ROBUSTNESS.columns["area"].direction == "metric"


def test_a_model_that_looks_at_less_of_the_input_keeps_more() -> None:
    made = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (600,), generator=made)
    x = torch.randn((600, 1, 12, 12), generator=made) * 0.1
    x[y == 1] += 0.5

    class Mean(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

        def forward(self, x: Tensor) -> Tensor:
            mean = x[:, 0, : self.size, : self.size].mean((1, 2)) - 0.25
            return torch.stack((-mean, mean), dim=1)

    few, many = (run_axis(ROBUSTNESS, data.model, data) for data in (data_of(Mean(1), x, y), data_of(Mean(12), x, y)))
    for name in ("gaussian noise", "impulse noise"):
        assert many["record"]["areas"][name] > few["record"]["areas"][name] + 0.02
    assert many["numbers"]["area"] > few["numbers"]["area"]
    assert 0 < many["numbers"]["worst"] <= many["numbers"]["kept"] <= 1.001


def test_tokens_with_a_target_each_are_not_moved() -> None:
    class Next(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(12, 12)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.table(x).transpose(1, 2)
            return found

    made = torch.Generator().manual_seed(0)
    x = torch.randint(0, 12, (300, 9), generator=made)
    by_token = data_of(
        Next(), x, x.roll(-1, 1), metric=lambda output, target: float((output.argmax(1) == target).double().mean())
    )
    found = run_axis(ROBUSTNESS, by_token.model, by_token)
    assert sorted(found["curves"]) == ["repeated", "replaced"]
    assert "its own target" in found["undefined"]["dropped"]


def test_the_same_seed_gives_the_same_numbers_and_inputs_stay() -> None:
    data = regression()
    before = data.inputs.clone()
    first, second = (run_axis(ROBUSTNESS, data.model, data) for _ in range(2))
    assert first["curves"] == second["curves"]
    assert torch.equal(data.inputs, before)
    assert data.forward_examples == 400 + 2 * 400 * (1 + 5 * 6)


def test_a_task_that_predicts_by_itself_is_judged_as_it_predicts() -> None:
    data = regression(predict=lambda model, batch: (2 * model(batch[0]), 2 * batch[1]))
    plain = regression()
    found, other = (run_axis(ROBUSTNESS, each.model, each) for each in (data, plain))
    assert found["record"]["metric"] == pytest.approx(2 * other["record"]["metric"], rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "direction", "reason"),
    [
        (lambda *_: -1.0, "max", "is no positive size"),
        (lambda output, _: float("nan") if float(output.std()) > 0 else 0.0, "max", "no finite number under noise"),
    ],
)
def test_numbers_that_make_no_share_have_a_reason(metric: Any, direction: str, reason: str) -> None:
    data = regression(direction, metric=metric, metric_name="score")
    found = run_axis(ROBUSTNESS, data.model, data)
    assert "kept" not in found["numbers"]
    assert reason in found["undefined"]["kept"]


def test_a_result_made_of_losses_says_nothing_of_the_direction() -> None:
    data = regression(curve_metric=min, metric_name="least loss")
    assert "made of its training losses" in run_axis(ROBUSTNESS, data.model, data)["undefined"]["kept"]
    mnist1d = dataclasses.replace(resolve("mnist1d"), output_kind="logits")
    assert mnist1d.direction == "min"
    x, y = torch.randn((50, 40)), torch.randint(0, 10, (50,))
    part = Split(x=x, y=y)
    own = EvaluationData(mnist1d, mnist1d.model(0).eval(), Data(train=part, validation=None, test=part))
    found = run_axis(ROBUSTNESS, own.model, own)
    assert "area" in found["numbers"]  # accuracy is better when it is larger
    assert "dropped samples" in found["curves"]  # a series, and no table


def test_settings_are_checked_and_the_axis_travels() -> None:
    assert pickle.loads(pickle.dumps(ROBUSTNESS)).columns == ROBUSTNESS.columns
    with pytest.raises(ActlabError, match=r"severities are \(0,\).*above 0"):
        RobustnessSettings(severities=(0,))
    data = regression()
    own = robustness_axis(RobustnessSettings(corruptions=("noize",)))
    with pytest.raises(UnknownNameError, match="noise"):
        own(data.model, data)
    found = run_axis(robustness_axis(RobustnessSettings(corruptions=("noise",))), data.model, data)
    assert list(found["curves"]) == ["noise"]
