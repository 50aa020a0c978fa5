"""Measures return one number per sample, whose mean is that of torch, and refuse functions that do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from actlab.errors import PlanError
from actlab.tasks.metrics.per_sample import MEASURES, Measure, one_by_one, resolve_measure


def test_cross_entropy_of_samples_has_torchs_mean():
    output, target = torch.randn(6, 4), torch.randint(0, 4, (6,))
    values = MEASURES["cross_entropy"](output, target)

    assert values.shape == (6,)
    torch.testing.assert_close(values.mean(), F.cross_entropy(output.double(), target))


@pytest.mark.parametrize("last", [True, False], ids=["classes last", "classes second"])
def test_a_sequence_is_one_sample_wherever_its_classes_stand(last):
    output, target = torch.randn(5, 7, 4), torch.randint(0, 4, (5, 7))
    given = output if last else output.movedim(-1, 1)
    by_hand = [F.cross_entropy(output[i].double(), target[i]) for i in range(5)]

    torch.testing.assert_close(MEASURES["cross_entropy"](given, target), torch.stack(by_hand))
    torch.testing.assert_close(MEASURES["error"](given, target), (output.argmax(-1) != target).double().mean(1))


def test_the_squared_error_is_the_mean_over_a_samples_outputs():
    output, target = torch.randn(5, 3), torch.randn(5, 3)

    torch.testing.assert_close(MEASURES["squared_error"](output, target), ((output - target) ** 2).double().mean(1))
    assert MEASURES["squared_error"](torch.zeros(4, 1), torch.ones(4)).tolist() == [1.0] * 4


def test_a_loss_of_batches_becomes_one_of_samples():
    output, target = torch.randn(5, 3), torch.randint(0, 3, (5,))

    torch.testing.assert_close(
        one_by_one(F.cross_entropy)(output, target), F.cross_entropy(output, target, reduction="none").double()
    )


def test_the_default_follows_the_targets():
    assert resolve_measure(None, torch.tensor([1])).name == "cross_entropy"
    assert resolve_measure(None, torch.tensor([1.0])).name == "squared_error"
    assert resolve_measure("error", None).name == "error"


def test_a_function_is_a_measure_with_its_name_and_direction():
    def agreement(output, target):
        return (output == target).float()

    found = resolve_measure(agreement, None, direction="max")
    assert (found.name, found.direction) == ("agreement", "max")
    assert resolve_measure(found, None) is found


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("accurracy", "There is no measure 'accurracy'"),
        ("eror", "Did you mean 'error'"),
        (3, "a name .* or a function"),
    ],
)
def test_an_unknown_measure_is_refused(wanted, words):
    with pytest.raises(PlanError, match=words):
        resolve_measure(wanted, None)


def test_an_unknown_direction_is_refused():
    with pytest.raises(PlanError, match="'min'"):
        resolve_measure(len, None, direction="up")


@pytest.mark.parametrize("gives", [torch.tensor(1.0), 0.5, torch.zeros(0)])
def test_a_measure_of_whole_batches_is_refused(gives):
    with pytest.raises(PlanError, match="reduction='none'"):
        Measure(name="mine", of=lambda *_: gives)(None, None)


def test_outputs_that_are_no_tensors_need_a_measure_of_their_own():
    with pytest.raises(PlanError, match="Give your own"):
        MEASURES["squared_error"]({"a": 1}, torch.zeros(1))


def test_several_outputs_are_taken_one_sample_at_a_time():
    output, target = {"mean": torch.tensor([1.0, 2.0]), "spread": torch.tensor([1.0, 4.0])}, torch.zeros(2)
    measure = one_by_one(lambda found, expected: ((found["mean"] - expected) ** 2 / found["spread"]).mean())
    assert measure(output, target).tolist() == [1.0, 1.0]
