"""Axes of models whose outputs, inputs or metrics are not those of a plain classifier."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

import actlab
from actlab.evaluate.packed_integers import unpacked


class Named(nn.Module):
    """Gives its logits under a name, or beside its inputs."""

    def __init__(self, *, is_pair: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.is_pair = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), is_pair

    def forward(self, x: Tensor) -> Any:
        return (self.net(x), x) if self.is_pair else {"logits": self.net(x)}


def data_of(n: int = 60) -> dict[str, tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(0)
    part = torch.randn(n, 4, generator=draws), torch.randint(3, (n,), generator=draws)
    return {"train": part, "test": part}


def share(output: Any, target: Tensor) -> float:
    return float((output["logits"].argmax(1) == target).double().mean())


def test_outputs_with_names_are_judged_by_the_metric_that_takes_them() -> None:
    def loss(output: Any, target: Tensor) -> Tensor:
        return functional.cross_entropy(output["logits"], target)

    found = actlab.evaluate(
        Named(), "compression,robustness,calibration", data=data_of(), loss=loss, metric=share, direction="max"
    )
    assert found["compression", "unchanged"] == found.value
    assert found.results["robustness"]["record"]["metric"] == found.value
    assert all("error" not in result for result in found.results.values())


def test_a_changed_model_is_judged_by_predict_of_the_task() -> None:
    def predict(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        return -model(batch[0])[0], batch[1]

    found = actlab.evaluate(Named(is_pair=True), "compression,dynamics", data=data_of(), predict=predict)
    assert found["compression", "unchanged"] == found.value
    assert found["dynamics", "dormant"] >= 0
    assert "tuple" in found.results["dynamics"]["undefined"]["sharpness"]


def test_outputs_that_are_nan_are_undefined_and_no_error() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    next(model.parameters()).data[0] = torch.nan
    found = actlab.evaluate(model, "calibration,compression,dynamics,groups,out_of_distribution", data=data_of())
    assert all("error" not in result for result in found.results.values())
    assert "NaN for 60 of 60" in found.results["calibration"]["undefined"]["nll"]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_without_trained_parameters_has_a_reason_in_words(frozen: bool) -> None:
    model: nn.Module = nn.Sequential(nn.Linear(4, 3), nn.ReLU()) if frozen else nn.Softplus()
    model.requires_grad_(False)
    part = torch.randn(40, 4), torch.randint(3, (40,))
    found = actlab.evaluate(model, "dynamics,plasticity,compression", data={"train": part, "test": part})
    reasons = [*found.results["dynamics"]["undefined"].values(), *found.results["plasticity"]["undefined"].values()]
    assert reasons
    assert all("no parameters that are trained" in reason for reason in reasons)


def test_groups_may_be_a_named_part_of_a_pair() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, site: Tensor) -> Tensor:
            return a + 0 * site[:, None]

    examples: Any = [({"a": torch.randn(3), "site": torch.tensor(float(i % 2))}, i % 3) for i in range(60)]

    def loader() -> Any:
        return DataLoader(examples, batch_size=16)

    found = actlab.evaluate(Two(), "groups", data={"train": loader(), "test": loader()}, groups="site")
    assert sorted(found.results["groups"]["record"]["groups"]) == ["0.0", "1.0"]
    other = actlab.evaluate(Two(), "groups", data={"train": loader(), "test": loader()}, groups="age")
    assert "their parts are a, site" in other.results["groups"]["undefined"]["gap"]


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(7, 8), nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(self.table(x))).movedim(-1, 1)
        return out


def test_classes_of_places_are_no_groups_of_examples() -> None:
    part = torch.randint(7, (60, 5)), torch.randint(7, (60, 5))
    found = actlab.evaluate(Tokens(), "groups", data={"train": part, "test": part})
    assert "an example has several classes to predict" in found.results["groups"]["undefined"]["gap"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64])
def test_churn_has_a_key_for_each_answer_whatever_the_dtype(dtype: torch.dtype) -> None:
    from actlab.evaluate.axes.churn import CHURN
    from actlab.evaluate.axis_run import run_axis
    from actlab.evaluate.evaluation_data import EvaluationData
    from actlab.tasks.data import Data, Split
    from actlab.tasks.task import Task, accuracy

    is_text = dtype is torch.int64
    x = torch.randint(7, (60, 5)) if is_text else torch.randn(60, 4).to(dtype)
    model = Tokens() if is_text else nn.Linear(4, 7).to(dtype)
    split = Split(x=x, y=torch.randint(7, (60, 5) if is_text else (60,)))
    task = Task(name="t", model=lambda _: model, data=lambda _: None, loss=functional.cross_entropy, metric=accuracy)
    data = EvaluationData(task, model.eval(), Data(train=split, validation=None, test=split))
    record = run_axis(CHURN, model, data)["record"]
    keys = unpacked(record["examples"])
    assert len(keys) == len(unpacked(record["predicted"])) == (300 if is_text else 60)
    assert len(set(keys.tolist())) == len(keys)


def test_other_inputs_with_targets_are_refused_in_words() -> None:
    found = actlab.evaluate(
        nn.Linear(4, 3), "out_of_distribution", data=data_of(), out_of_distribution=lambda _: data_of()["test"]
    )
    assert (
        "returned [(60, 4) float32, (60,) int64]; inputs without targets"
        in found.results["out_of_distribution"]["error"]
    )
