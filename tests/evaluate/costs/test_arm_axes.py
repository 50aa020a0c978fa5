"""Axes of the level "arm" are measured once for each arm, on untrained models, with noise shown by nine rounds."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch
from tests.studies.tiny import tiny

import actlab
from actlab.errors import ActlabError
from actlab.evaluate.axes.cost import COST
from actlab.evaluate.axis import Axis, axis
from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs
from actlab.tasks.isolation import isolated
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training_function.function_task import function_task

ARMS = [parse_arm("relu"), parse_arm("prelu(weight=learned_per_channel)")]


def measured(*axes: Axis, task: Any = None) -> dict[str, dict[str, Any]]:
    costs = measure_costs(task or tiny(), ARMS, baseline="relu", conditions=Conditions(axes=axes))
    return {label: cost["axes"] for label, cost in costs.items()}


@axis("min", level="arm")
def weights(model, data):
    """Number of weights."""
    return float(sum(weight.numel() for weight in model.parameters()))


def test_what_has_no_noise_is_one_number_without_ratios() -> None:
    found = measured(weights)
    assert [found[arm.label]["weights"]["numbers"] for arm in ARMS] == [{"weights": 58.0}, {"weights": 66.0}]
    assert found["relu"]["weights"]["ratios"] == {}


def test_a_number_with_noise_is_measured_nine_times_in_turn_and_its_median_counts() -> None:
    calls = count(1)

    @axis(columns={"noisy": "min", "plain": "min"}, level="arm")
    def mixed(model, data):
        return {"noisy": float(next(calls)), "plain": 2.0}

    found = measured(mixed)
    other = found[ARMS[1].label]["mixed"]
    assert next(calls) == 2 * 9 + 1
    assert found["relu"]["mixed"]["numbers"] == {"noisy": 9.0, "plain": 2.0}
    assert other["numbers"] == {"noisy": 10.0, "plain": 2.0}
    assert other["ratios"] == {"noisy": [(2 * block + 2) / (2 * block + 1) for block in range(9)]}


def test_the_models_have_taken_no_step() -> None:
    @axis(None, level="arm")
    def first(model, data):
        return next(model.parameters()).detach().abs().sum()

    with isolated(0):
        fresh = next(tiny().model(0).parameters()).detach().abs().sum()
    assert measured(first)["relu"]["first"]["numbers"]["first"] == pytest.approx(float(fresh))


def test_an_axis_that_raises_is_a_result_and_the_others_go_on() -> None:
    @axis("min", level="arm")
    def broken(model, data):
        raise ValueError("no such layer")

    found = measured(broken, weights)["relu"]
    assert "no such layer" in found["broken"]["error"]
    assert found["weights"]["numbers"] == {"weights": 58.0}


def test_a_training_function_with_data_has_the_axes_of_its_models_and_no_step_time() -> None:
    def train(model, seed):
        return {"accuracy": 0.5}

    task = function_task(train, model=tiny().model, data=tiny().data)
    costs = measure_costs(task, ARMS, baseline="relu", conditions=Conditions(axes=(COST, weights)))
    assert costs["relu"]["axes"]["weights"]["numbers"] == {"weights": 58.0}
    assert costs["relu"]["axes"]["cost"]["numbers"]["flops"] > 0
    assert "step_time" not in costs["relu"]
    assert measure_costs(task, ARMS, baseline="relu") == {}


def test_one_trained_model_is_measured_as_well() -> None:
    part = torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64)
    found = actlab.evaluate(tiny().model(0), [weights], data={"train": part, "test": part})
    assert found["weights"] == 58.0


def test_another_level_is_refused() -> None:
    with pytest.raises(ActlabError, match=r"'study'; 'trial'.*'arm'"):
        axis("max", level="study")


def test_a_number_with_noise_and_a_baseline_of_zero_has_ratios_that_are_not_known() -> None:
    calls = count()

    @axis("min", level="arm")
    def often_zero(model, data):
        return float(next(calls) % 4 == 1)

    found = measured(often_zero)
    assert found["relu"]["often_zero"]["numbers"] == {"often_zero": 0.0}
    assert found[ARMS[1].label]["often_zero"]["ratios"] == {"often_zero": [None] * 9}
