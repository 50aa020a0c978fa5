"""Run of axes, built-in and of a user, with their errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from actlab.errors import ActlabError, PlanError, UnknownNameError
from actlab.evaluate.axis import Axis, Column, Measured, axis
from actlab.evaluate.axis_registry import axes_named, built_in_axes
from actlab.evaluate.axis_run import run_axes, try_own_axes
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks import resolve
from actlab.tasks.task import load_data


def data_of(name: str = "digits", seed: int = 0) -> EvaluationData:
    task = resolve(name)
    torch.manual_seed(seed)
    return EvaluationData(task, task.model(seed).eval(), load_data(task, seed), seed=seed)


def test_a_function_of_model_and_data_is_an_axis() -> None:
    @axis("min", unit="nats")
    def surprise(model: nn.Module, data: EvaluationData) -> torch.Tensor:
        """Mean negative log-likelihood."""
        return -data.log_probabilities.gather(1, data.labels[:, None])[:, 0]

    data = data_of()
    found = run_axes([surprise], data.model, data)["surprise"]
    wanted = torch.nn.functional.cross_entropy(data.outputs.double(), data.targets)
    assert found["numbers"]["surprise"] == pytest.approx(float(wanted), abs=1e-12)
    assert surprise.columns["surprise"] == Column(direction="min", unit="nats")


def test_an_axis_that_raises_is_a_result_and_the_next_one_is_measured() -> None:
    @axis()
    def wrong(model: nn.Module, data: EvaluationData) -> float:
        raise ValueError("no luck")

    @axis()
    def fine(model: nn.Module, data: EvaluationData) -> float:
        return 1.0

    data = data_of()
    found = run_axes([wrong, fine], data.model, data)
    assert "no luck" in found["wrong"]["error"]
    assert found["wrong"]["numbers"] == {}
    assert found["fine"]["numbers"] == {"fine": 1.0}


def test_what_an_axis_draws_or_changes_reaches_neither_the_model_nor_the_generators() -> None:
    @axis()
    def rough(model: nn.Module, data: EvaluationData) -> float:
        model.train()
        model(data.inputs).sum().backward()
        for weight in model.parameters():
            weight.data.zero_()
        np.random.rand()  # noqa: NPY002 # as user code does
        return float(torch.rand(1))

    data = data_of()
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in data.model.state_dict().items()}
    first, second = (run_axes([rough], data.model, data)["rough"]["numbers"] for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in data.model.state_dict().items())
    assert all(weight.grad is None for weight in data.model.parameters())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("much", "a number, or one for each example"),
        (torch.zeros(2, 2), r"has shape \(2, 2\)"),
        (torch.zeros(0), r"has shape \(0,\)"),
        ({"other": 1.0}, "none of its columns"),
        (None, "does the function return its result"),
        (Measured(numbers={"own": 1.0}, record={"layer": nn.Linear(1, 1)}), "record of the axis own has a Linear"),
    ],
)
def test_values_that_are_no_numbers_are_named(value: object, message: str) -> None:
    own = Axis(name="own", measure=lambda *_: value, columns={"own": Column()})  # type: ignore[arg-type]
    data = data_of()
    error = run_axes([own], data.model, data)["own"]["error"]
    with pytest.raises(ActlabError, match=message):
        raise ActlabError(error)


def test_undefined_and_infinite_numbers_have_a_reason_and_no_value() -> None:
    def measure(model: nn.Module, data: EvaluationData) -> Measured:
        return Measured(numbers={"a": float("inf"), "b": 1.0}, undefined={"group 3": "too small"})

    own = Axis(name="own", measure=measure, columns={"a": Column(), "b": Column(), "c": Column()})
    data = data_of()
    found = run_axes([own], data.model, data)["own"]
    assert found["numbers"] == {"b": 1.0}
    assert found["undefined"] == {"group 3": "too small", "a": "the number is inf", "c": "the axis gave no number"}


def test_arrays_and_numbers_that_json_does_not_have_can_be_in_curves_and_records() -> None:
    curve = {"x": torch.tensor([0, 1]), "y": np.array([1.0, np.nan])}
    found = Measured(
        numbers={"own": 1.0}, record={"sites": {0: np.float32(0.5), "b": float("inf")}}, curves={"c": curve}
    )
    own = Axis(name="own", measure=lambda *_: found, columns={"own": Column()})
    data = data_of()
    result = run_axes([own], data.model, data)["own"]
    assert result["curves"] == {"c": {"x": [0, 1], "y": [1.0, None]}}
    assert json.loads(json.dumps(result["record"], allow_nan=False)) == {"sites": {"0": 0.5, "b": None}}


def test_a_regression_has_no_classes() -> None:
    task = dataclasses.replace(resolve("digits"), loss=nn.functional.mse_loss)
    data = EvaluationData(task, task.model(0).eval(), load_data(task, 0))
    with pytest.raises(UndefinedAxisError, match="values"):
        _ = data.probabilities


def test_names_files_and_axes_are_resolved(tmp_path: Path) -> None:
    file = tmp_path / "my_axes.py"
    file.write_text("import actlab\n\n@actlab.axis('min')\ndef width(model, data):\n    return 1.0\n")
    assert [found.name for found in axes_named([str(file), "calibration"])] == ["width", "calibration"]
    assert axes_named(f"{file}:width")[0].file == f"{file}:width"
    assert axes_named(None) == ()
    assert {found.name for found in axes_named("all")} == {
        name for name, known in built_in_axes().items() if not (known.trains or known.on_request)
    }
    with pytest.raises(UnknownNameError, match="calibration"):
        axes_named("calibratoin")
    with pytest.raises(UnknownNameError, match="width"):
        axes_named(f"{file}:with")


def test_a_number_keeps_all_its_digits() -> None:
    own = Axis(name="own", measure=lambda *_: 1 / 3, columns={"own": Column()})
    data = data_of()
    assert run_axes([own], data.model, data)["own"]["numbers"]["own"] == 1 / 3


def test_an_own_axis_that_raises_is_refused_on_an_untrained_model_and_an_undefined_one_is_not() -> None:
    @axis("max")
    def fails(model: nn.Module, data: EvaluationData) -> float:
        return float(model.width)

    @axis("max")
    def undefined(model: nn.Module, data: EvaluationData) -> float:
        raise UndefinedAxisError("nothing to say")

    task = resolve("digits")
    data = load_data(task, 0)
    try_own_axes([undefined, built_in_axes()["plasticity"]], task, data, 0)  # which would train for minutes
    with pytest.raises(PlanError, match=r"fails was tried on an untrained model of digits.*no attribute 'width'"):
        try_own_axes([undefined, fails], task, data, 0)


def test_a_function_of_one_argument_is_no_axis() -> None:
    with pytest.raises(ActlabError, match=r"takes \(model\); it is called with two arguments"):
        axis("max", name="own")(lambda model: float(model.width))
    assert axis("max", name="own")(max).name == "own"  # of C code, whose signature is not known
