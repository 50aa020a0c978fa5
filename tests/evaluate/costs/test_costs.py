"""Costs of inference, with counters and clocks of known readings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader

import actlab
from actlab.evaluate.axes.cost import COST
from actlab.evaluate.costs.inference import inference_costs
from actlab.evaluate.costs.interleaved import interleaved_times, median_time, ratios
from actlab.evaluate.costs.operations import count_operations
from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs
from actlab.tasks import resolve
from actlab.tasks.training.conditions import Conditions


class Clock:
    """Clock that an action moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def action(self, seconds: float) -> Any:
        def run() -> None:
            self.now += seconds

        return run


def test_ratios_are_of_the_same_round() -> None:
    clock = Clock()
    blocks = interleaved_times({"a": clock.action(3.0), "b": clock.action(1.0)}, clock, seconds=0.0)
    assert len(blocks) == 9
    assert ratios(blocks, "a", "b") == [3.0] * 9
    assert median_time(blocks, "a") == 3.0
    assert ratios(blocks, "a", "missing") == []


def test_an_action_that_raises_is_left_out() -> None:
    def wrong() -> None:
        raise ValueError

    clock = Clock()
    actions = {"a": clock.action(1.0), "wrong": wrong}
    blocks = interleaved_times(actions, clock, seconds=0.0)
    assert list(actions) == ["a"]
    assert all(list(times) == ["a"] for times in blocks)


@pytest.mark.parametrize(("batch", "inputs", "outputs"), [(1, 3, 5), (4, 10, 2)])
def test_operations_of_a_linear_layer_are_two_for_each_weight_and_example(
    batch: int, inputs: int, outputs: int
) -> None:
    found = count_operations(nn.Linear(inputs, outputs), torch.zeros(batch, inputs))
    assert found.flops == 2 * batch * inputs * outputs


def test_operations_of_a_convolution_are_those_of_its_places() -> None:
    found = count_operations(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(2, 3, 10, 10))
    assert found.flops == 2 * 2 * 8 * 100 * 27


def test_an_activation_moves_its_input_and_its_output() -> None:
    plain = count_operations(nn.Linear(10, 100), torch.zeros(4, 10)).bytes_moved
    with_relu = count_operations(nn.Sequential(nn.Linear(10, 100), nn.ReLU()), torch.zeros(4, 10)).bytes_moved
    assert with_relu - plain == 2 * 4 * 100 * 4


def test_views_move_nothing() -> None:
    flat = count_operations(nn.Flatten(), torch.zeros(2, 3, 4))
    assert flat == (0, 0)


def test_inference_costs_name_every_model_that_runs() -> None:
    class Wrong(nn.Module):
        def forward(self, *_: torch.Tensor) -> torch.Tensor:
            raise ValueError("no")

    models = {"relu": nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "wrong": Wrong()}
    found = inference_costs(models, torch.zeros(8, 4), where=Conditions(), baseline="relu")
    assert set(found) == {"relu"}
    assert found["relu"]["ratios"]["latency"] == [1.0] * 9
    assert found["relu"]["numbers"]["weight_bytes"] == 80


class Masked(nn.Module):
    """Adds two inputs, of which the second is weighted by a mask of all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 5, bias=False), nn.Linear(4, 5, bias=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.first(a) + self.second(b * mask)
        return out


A, B, MASK, Y = torch.ones(6, 3), torch.ones(6, 4), torch.ones(6, 4), torch.zeros(6, 5)
BATCHES: dict[str, Any] = {
    "a tuple": ((A, B, MASK), Y),
    "one after the other": (A, B, MASK, Y),
    "names": ({"a": A, "b": B, "mask": MASK}, Y),
    "names with the target": {"a": A, "b": B, "mask": MASK, "target": Y},
}


def batches_of(batch: Any) -> DataLoader[Any]:
    return DataLoader([batch], batch_size=None)  # type: ignore[arg-type] # a list is a dataset


@pytest.mark.parametrize("form", BATCHES)
def test_a_trained_model_of_several_inputs_has_a_cost(form: str) -> None:
    split = batches_of(BATCHES[form])
    found = actlab.evaluate(Masked(), "cost", data={"train": split, "test": split})

    assert found["cost", "flops"] == 2 * (3 * 5 + 4 * 5)
    assert found.results["cost"]["record"]["batch"] == 6
    assert found["cost", "latency"] > 0


def test_the_cost_of_a_model_that_a_predict_function_calls_is_that_of_the_call() -> None:
    def predict(model: nn.Module, batch: Any) -> Any:
        return model(batch["left"], b=batch["right"], mask=MASK[:1]), batch["right"]

    def parts(model: nn.Module, batch: Any) -> Any:
        return model.second(batch["right"]), batch["right"]  # type: ignore[operator] # a layer of the model

    split = batches_of({"left": A, "right": B})
    settings: dict[str, Any] = {"data": {"train": split, "test": split}, "metric": lambda *_: 0.0, "direction": "max"}
    found = actlab.evaluate(Masked(), "cost", predict=predict, **settings)
    other = actlab.evaluate(Masked(), "cost", predict=parts, **settings)

    assert found["cost", "flops"] == 2 * (3 * 5 + 4 * 5)
    assert "does not call the model itself" in other.results["cost"]["undefined"]["latency"]


def test_the_first_of_packed_sequences_is_one_sequence() -> None:
    model = nn.LSTM(3, 4, batch_first=True)
    packed = pack_padded_sequence(torch.ones(5, 7, 3), torch.tensor([7, 6, 5, 2, 2]), batch_first=True)
    found = inference_costs({"lstm": model}, (packed,), where=Conditions())["lstm"]["numbers"]

    assert found["flops"] <= 7 * 2 * 16 * (3 + 4)
    assert found["latency_1"] > 0


def test_arms_of_a_study_have_inference_costs_where_the_axis_is_asked_for() -> None:
    arms = [parse_arm("relu"), parse_arm("gelu")]
    plain = measure_costs(resolve("digits"), arms, baseline="relu")
    asked = measure_costs(resolve("digits"), arms, baseline="relu", conditions=Conditions(axes=(COST,)))
    assert "axes" not in plain["gelu"]
    found = asked["gelu"]["axes"]["cost"]
    assert found["numbers"]["flops"] == 2 * (4 * 64 * 64 + 64 * 10)
    assert np.median(found["ratios"]["latency"]) > 0
