"""Axis of calibration on models with known answers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axes.calibration import CALIBRATION
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy


class Scaled(nn.Module):
    """Give the inputs as logits, multiplied."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        return x * self.factor


def calibrated(n: int, seed: int, classes: int = 4) -> Split:
    """Return logits as inputs, and classes that are drawn by their softmax."""
    draws = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=draws, dtype=torch.float64)
    return Split(x=logits, y=torch.multinomial(logits.softmax(1), 1, generator=draws)[:, 0])


def task_of(**settings: Any) -> Task:
    given = {"loss": functional.cross_entropy, "metric": accuracy, **settings}
    return Task(name="given", model=lambda _: Scaled(), data=lambda _: None, **given)


def measured(model: nn.Module, data: Data, task: Task | None = None) -> dict[str, Any]:
    return run_axis(CALIBRATION, model, EvaluationData(task or task_of(), model, data))


def splits(n: int = 20_000) -> Data:
    return Data(train=calibrated(10, 0), validation=calibrated(n, 1), test=calibrated(n, 2))


def test_a_calibrated_model_has_the_error_of_chance_and_a_temperature_of_one() -> None:
    found = measured(Scaled(), splits())
    assert found["numbers"]["ece"] < 1.5 * found["numbers"]["ece_of_chance"]
    assert found["numbers"]["temperature"] == pytest.approx(1, abs=0.05)


def test_the_temperature_undoes_a_factor_of_the_logits() -> None:
    data = splits()
    plain, sharp = (measured(Scaled(factor), data)["numbers"] for factor in (1.0, 3.0))
    assert sharp["temperature"] == pytest.approx(3 * plain["temperature"], rel=1e-3)
    assert sharp["nll_scaled"] == pytest.approx(plain["nll_scaled"], abs=1e-5)
    assert sharp["ece"] > 5 * sharp["ece_scaled"]


def test_scores_are_those_of_scikit_learn() -> None:
    data = splits(500)
    numbers = measured(Scaled(), data)["numbers"]
    probabilities = data.test.x.softmax(1).numpy()
    one_hot = np.eye(4)[data.test.y.numpy()]
    assert numbers["nll"] == pytest.approx(log_loss(data.test.y.numpy(), probabilities), abs=1e-12)
    assert numbers["brier"] == pytest.approx(((probabilities - one_hot) ** 2).sum(1).mean(), abs=1e-12)


def test_without_a_validation_split_nothing_is_scaled_on_the_test_split() -> None:
    data = dataclasses.replace(splits(500), validation=None)
    found = measured(Scaled(), data)
    assert "validation split" in found["undefined"]["nll_scaled"]
    assert {"nll", "brier", "ece"} <= found["numbers"].keys()


@pytest.mark.parametrize("kind", ["logits", "log_probabilities", "probabilities"])
def test_what_the_outputs_are_is_said_and_never_guessed(kind: str) -> None:
    data = splits(300)
    as_given = {
        "logits": lambda x: x,
        "log_probabilities": lambda x: x.log_softmax(1),
        "probabilities": lambda x: x.softmax(1),
    }
    own = Data(**{name: Split(x=as_given[kind](split.x), y=split.y) for name, split in data.splits.items()})  # type: ignore[arg-type]
    wanted = measured(Scaled(), data)["numbers"]
    found = measured(Scaled(), own, task_of(output_kind=kind))["numbers"]
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_logits_between_zero_and_one_stay_logits() -> None:
    """Torchmetrics 1.9.0 takes such a batch for probabilities."""
    split = Split(x=torch.tensor([[0.1, 0.2], [0.4, 0.3]]), y=torch.tensor([1, 0]))
    numbers = measured(Scaled(), Data(train=split, validation=split, test=split))["numbers"]
    assert numbers["nll"] == pytest.approx(float(functional.cross_entropy(split.x.double(), split.y)), abs=1e-6)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_output_for_two_classes_is_the_same_as_two(shape: tuple[int, ...]) -> None:
    two = calibrated(200, 3, classes=2)
    one = Split(x=(two.x[:, 1] - two.x[:, 0]).reshape(shape), y=two.y.double().reshape(shape))
    wanted = measured(Scaled(), Data(train=two, validation=two, test=two))["numbers"]
    task = task_of(loss=functional.binary_cross_entropy_with_logits)
    assert measured(Scaled(), Data(train=one, validation=one, test=one), task)["numbers"] == pytest.approx(
        wanted, abs=1e-9
    )


def test_a_loss_of_ones_own_needs_the_kind_of_outputs() -> None:
    found = measured(Scaled(), splits(50), task_of(loss=lambda *given: 1 * functional.cross_entropy(*given)))
    assert "set output_kind" in found["undefined"]["nll"]


def test_a_class_of_probability_zero_has_no_finite_likelihood() -> None:
    split = Split(x=torch.tensor([[1.0, 0.0], [0.5, 0.5]]), y=torch.tensor([1, 0]))
    found = measured(Scaled(), Data(train=split, test=split), task_of(output_kind="probabilities"))
    assert found["undefined"]["nll"] == "the number is inf"
    assert found["numbers"]["brier"] == pytest.approx((2 + 0.5) / 2)
