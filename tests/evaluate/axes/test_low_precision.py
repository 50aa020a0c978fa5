"""Axis of training in low precision."""

from __future__ import annotations

import dataclasses

import pytest

import actlab
from actlab.evaluate.axes.low_precision import LOW_PRECISION
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.task import load_data
from actlab.tasks.training.conditions import Conditions

SHORT = dataclasses.replace(resolve("digits"), epochs=3)


def test_the_numbers_are_those_of_trials_in_that_precision() -> None:
    trial = run_trial(SHORT, parse_arm("gelu"), 1, lr=2e-3, conditions=Conditions(axes=(LOW_PRECISION,)))
    assert trial.axes is not None
    for precision, value in trial.axes["low_precision"]["numbers"].items():
        wanted = run_trial(dataclasses.replace(SHORT, precision=precision), parse_arm("gelu"), 1, lr=2e-3)
        assert value == wanted.metric
    assert set(trial.axes["low_precision"]["numbers"]) == {"bf16", "fp16"}


def test_the_result_of_the_trial_does_not_depend_on_the_axis() -> None:
    plain = run_trial(SHORT, parse_arm("gelu"), 1)
    assert run_trial(SHORT, parse_arm("gelu"), 1, conditions=Conditions(axes=(LOW_PRECISION,))).metric == plain.metric


def test_a_model_that_came_with_its_weights_has_no_number_and_a_reason() -> None:
    data = EvaluationData(SHORT, SHORT.model(0), load_data(SHORT, 0))
    assert "trained already" in run_axis(LOW_PRECISION, data.model, data)["undefined"]["bf16"]


def test_an_evaluated_task_is_trained_in_low_precision_too() -> None:
    found = actlab.evaluate(SHORT, "low_precision", act="tanh")
    assert found["low_precision", "bf16"] == pytest.approx(found.value, abs=0.1)
