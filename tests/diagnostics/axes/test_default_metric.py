"""Loss and metric of trained models for which none is given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import actlab
from actlab.errors import TaskError


def splits(x: Tensor, y: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    return {"train": (x, y), "test": (x, y)}


class Fixed(nn.Module):
    """Gives a part of its inputs, in some shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


def test_the_accuracy_of_sequences_is_that_of_their_places() -> None:
    """The rows of a sequence with five places have five answers each, so that a share of rows would be up to 5."""
    outputs = torch.randn(40, 3, 5)
    labels = outputs.argmax(1)
    labels[:, 0] = (labels[:, 0] + 1) % 3
    found = actlab.evaluate(Fixed((3, 5)), "calibration", data=splits(outputs.flatten(1), labels))
    assert found.value == pytest.approx(0.8)


def test_places_that_cross_entropy_ignores_are_not_counted() -> None:
    outputs = torch.randn(40, 3, 5)
    labels = outputs.argmax(1)
    labels[:, 3:] = -100
    found = actlab.evaluate(Fixed((3, 5)), "calibration", data=splits(outputs.flatten(1), labels))
    assert found.value == 1
    kept = labels != -100
    wanted = functional.cross_entropy(outputs.movedim(1, -1)[kept].double(), labels[kept])
    assert found["calibration", "nll"] == pytest.approx(float(wanted), abs=1e-6)


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("is_float", [False, True])
def test_one_logit_is_that_of_the_second_of_two_classes(shape: tuple[int, ...], is_float: bool) -> None:
    logits = torch.randn(60, 1)
    labels = (logits[:, 0] > 0).long()
    labels[:15] = 1 - labels[:15]
    given: dict[str, Any] = {"loss": nn.BCEWithLogitsLoss()} if is_float else {}
    target = labels.float().reshape(60, *shape) if is_float else labels
    found = actlab.evaluate(Fixed(shape), "calibration", data=splits(logits, target), **given)
    assert (found.metric, found.value) == ("accuracy", 0.75)
    wanted = functional.binary_cross_entropy_with_logits(logits[:, 0].double(), labels.double())
    assert found["calibration", "nll"] == pytest.approx(float(wanted), abs=1e-6)


def test_distributions_over_classes_are_targets_of_cross_entropy_and_labels_of_binary_cross_entropy() -> None:
    logits = torch.randn(50, 4)
    soft = torch.full((50, 4), 0.1)
    soft[torch.arange(50), logits.argmax(1)] = 0.7
    found = actlab.evaluate(Fixed((4,)), "calibration", data=splits(logits, soft), loss=nn.CrossEntropyLoss())
    assert found.value == 1
    assert found["calibration", "nll"] == pytest.approx(
        float(functional.cross_entropy(logits.double(), logits.argmax(1)))
    )
    several = (logits > 0).float()
    labels = actlab.evaluate(Fixed((4,)), "calibration", data=splits(logits, several), loss=nn.BCEWithLogitsLoss())
    assert labels.value == 1


def test_values_of_shape_n_1_are_compared_with_targets_of_shape_n_one_by_one() -> None:
    x = torch.randn(30, 1)
    found = actlab.evaluate(Fixed((1,)), "dynamics", data=splits(x, x[:, 0] + 2))
    assert found.value == pytest.approx(4, abs=1e-5)
    with pytest.raises(TaskError, match=r"shape \(30, 2\)"):
        actlab.evaluate(Fixed((2,)), "dynamics", data=splits(torch.randn(30, 2), x))


def test_counts_with_a_loss_of_values_are_no_classes() -> None:
    x = torch.arange(12.0)[:, None]
    found = actlab.evaluate(Fixed((1,)), "groups", data=splits(x, torch.arange(12)[:, None]), loss=functional.mse_loss)
    assert (found.metric, found.value) == ("mean_squared_error", 0)


def test_outputs_that_are_no_tensor_need_a_metric() -> None:
    class Named(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": x}

    data = splits(torch.randn(30, 3), torch.randint(3, (30,)))
    with pytest.raises(TaskError, match="metric= with direction="):
        actlab.evaluate(Named(), "groups", data=data)
