"""Evaluation of one trained model on axes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

import actlab
from actlab.errors import PlanError, TaskError, UnknownNameError
from actlab.evaluate.axis import axis

FILE = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))
part = torch.randn(60, 4), torch.randint(3, (60,))
data = {"train": part, "test": part}
groups = 0
"""


def data_of(n: int = 40) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draws = torch.Generator().manual_seed(0)
    part = torch.randn(n, 4, generator=draws), torch.randint(3, (n,), generator=draws)
    return {"train": part, "test": part}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def test_a_module_is_evaluated_and_left_as_it_was() -> None:
    model = net().train()
    model[3].eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    found = actlab.evaluate(model, "calibration,groups", data=data_of())
    assert found.metric == "accuracy"
    assert found["calibration", "nll"] > 0
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_the_same_call_gives_the_same_numbers_whatever_other_axes_run() -> None:
    alone = actlab.evaluate(net(), "out_of_distribution", data=data_of())
    beside = actlab.evaluate(net(), "calibration,out_of_distribution", data=data_of())
    assert alone.results["out_of_distribution"]["numbers"] == beside.results["out_of_distribution"]["numbers"]


def test_a_task_is_trained_first_with_the_given_activation() -> None:
    found = actlab.evaluate("digits", "calibration", act="tanh", seed=1)
    assert found.was_trained
    assert found.act == "tanh"
    assert found.value is not None
    assert found.value > 0.9


def test_a_file_with_a_trained_model_says_how_it_is_judged(tmp_path: Path) -> None:
    file = tmp_path / "trained.py"
    file.write_text(FILE)
    found = actlab.evaluate(file, "groups")
    assert found.results["groups"]["record"]["of"] == "column 0"


def test_targets_that_are_numbers_make_a_regression() -> None:
    x = torch.randn(30, 4)
    found = actlab.evaluate(nn.Linear(4, 1), "calibration", data={"train": (x, x[:, :1]), "test": (x, x[:, :1])})
    assert found.metric == "mean_squared_error"
    assert "values" in found.results["calibration"]["undefined"]["nll"]


def test_an_axis_of_ones_own_stands_beside_the_others() -> None:
    @axis("max", unit="share")
    def confident(model: nn.Module, data: object) -> float:
        return 0.25

    found = actlab.evaluate(net(), [confident, "calibration"], data=data_of())
    assert found["confident"] == 0.25
    assert next(record["axis"] for record in found.records()) == "confident"


def test_a_number_that_is_missing_is_asked_for_with_its_reason() -> None:
    found = actlab.evaluate(net(), "calibration", data=data_of())
    with pytest.raises(KeyError, match="validation split"):
        _ = found["calibration", "nll_scaled"]
    with pytest.raises(KeyError, match="was not measured"):
        _ = found["groups", "gap"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"axes": "churn"}, PlanError, "compare TASK"),
        ({"axes": "none"}, PlanError, "no axes"),
        ({"axes": "calibratoin"}, UnknownNameError, "calibration"),
        ({"axes": "calibration", "act": "gelu"}, PlanError, "trained already"),
        ({"axes": "calibration", "data": None}, TaskError, "is evaluated on data"),
        ({"axes": "calibration", "metric": lambda *_: 0.0}, PlanError, "direction="),
    ],
)
def test_wrong_calls_say_what_to_do(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        actlab.evaluate(net(), **{"data": data_of(), **arguments})  # type: ignore[arg-type]


def test_settings_of_a_trained_model_do_not_go_with_a_task() -> None:
    with pytest.raises(PlanError, match="groups goes with a trained model"):
        actlab.evaluate("digits", "calibration", groups=0)


def test_the_text_has_every_number_and_the_reasons() -> None:
    text = str(actlab.evaluate(net(), "calibration", data=data_of()))
    assert "brier" in text
    assert "no validation split" in text


def test_the_command_prints_json(tmp_path: Path) -> None:
    file = tmp_path / "trained.py"
    file.write_text(FILE)
    command = [sys.executable, "-m", "actlab", "evaluate", str(file), "--axes", "calibration", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    assert printed["results"]["calibration"]["numbers"]["nll"] > 0


def test_the_package_is_called_as_the_function_after_its_modules_were_imported() -> None:
    assert callable(actlab.evaluate)
    assert actlab.evaluate(net(), "groups", data=data_of()).name == "Sequential"


def test_churn_beside_other_axes_is_refused_and_not_left_out() -> None:
    with pytest.raises(PlanError, match="churn is of several trainings"):
        actlab.evaluate(net(), "calibration,churn", data=data_of())
    assert "churn" not in actlab.evaluate(net(), ["all", "calibration"], data=data_of(12)).results


def test_a_model_that_raises_in_evaluation_mode_is_the_fault_of_its_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        FILE
        + "\nclass Bad(nn.Linear):\n    def forward(self, x):\n        return self.missing(x)\n\nmodel = Bad(4, 3)\n"
    )
    with pytest.raises(
        TaskError, match=r"(?s)raised on the test split in evaluation mode: AttributeError.*mine\.py, line"
    ):
        actlab.evaluate(file, "calibration")


def test_a_compiled_model_has_the_numbers_of_the_model_itself() -> None:
    """Compiled code runs no hooks, by which inputs of layers are rounded and features are seen."""
    names, plain = "compression,out_of_distribution,dynamics,groups", net().eval()
    compiled = cast("nn.Module", torch.compile(plain, backend="eager"))
    compiled(torch.randn(40, 4))
    alone, other = (actlab.evaluate(model, names, data=data_of()) for model in (plain, compiled))
    assert "auroc_distance" in alone.results["out_of_distribution"]["numbers"]
    for name, result in alone.results.items():
        assert other.results[name]["numbers"] == result["numbers"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"output_kind": "logit"}, "Did you mean 'logits'"),
        ({"input_kind": "images"}, "Did you mean 'image'"),
        ({"groups": [1, 2]}, "groups of the task Sequential is a list"),
        ({"out_of_distribution": torch.zeros(3, 4)}, "a function of the seed"),
        ({"metric": lambda *_: 1.0, "direction": "maximum"}, "direction is 'maximum'"),
    ],
)
def test_settings_that_would_be_misread_are_refused(settings: dict[str, Any], says: str) -> None:
    """An unknown kind of outputs was read as logits."""
    with pytest.raises((TaskError, PlanError), match=says):
        actlab.evaluate(net(), "calibration", data=data_of(), **settings)
