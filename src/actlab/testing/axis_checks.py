"""Conformance checks of an axis (columns, repeatability, JSON, missing numbers, few examples)."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task, accuracy

__all__ = ["AXIS_CHECKS"]

_CLASSES = 3


def _classifier(examples: int = 48, **settings: Any) -> EvaluationData:
    """Return a small net with data of three classes, in training mode, as a user may have it."""
    draws = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, _CLASSES))
    splits = {
        name: Split(x=torch.randn(n, 6, generator=draws), y=torch.arange(n) % _CLASSES)
        for name, n in {"train": 60, "validation": 30, "test": examples}.items()
    }
    given = {"loss": functional.cross_entropy, "metric": accuracy, "batch_size": 20, "epochs": 2, **settings}
    task = Task(name="classes", model=lambda _: model, data=lambda _: None, **given)
    return EvaluationData(task, model, Data(**splits), seed=1)


def _regression() -> EvaluationData:
    draws = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.randn(40, 6, generator=draws)
    split = Split(x=x, y=x[:, :1])

    def mean_square(output: Tensor, target: Tensor) -> float:
        return float((output - target).square().mean())

    given: dict[str, Any] = {"loss": functional.mse_loss, "metric": mean_square, "direction": "min", "epochs": 2}
    task = Task(name="values", model=lambda _: model, data=lambda _: None, **given)
    return EvaluationData(task, model, Data(train=split, validation=split, test=split), seed=1)


def _measured(axis: Axis, data: EvaluationData) -> dict[str, Any]:
    return run_axis(axis.of_task(data.task), data.model, data)


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return {**first, "seconds": 0} == {**second, "seconds": 0}


def every_column_has_a_number_or_a_reason(axis: Axis) -> None:
    """Each column of a classifier has a finite number, or a reason why there is none."""
    found = _measured(axis, _classifier())
    assert "error" not in found, f"{axis.name} raised: {found.get('error')}"
    for name in axis.columns:
        assert name in found["numbers"] or found["undefined"].get(name), (
            f"{name} of {axis.name} has neither number nor reason"
        )
    assert all(map(math.isfinite, found["numbers"].values()))


def numbers_do_not_depend_on_the_global_generators(axis: Axis) -> None:
    """Two runs give the same, whatever was drawn before, and draw nothing from the global generator; but for times, of the level "arm"."""
    first = _measured(axis, _classifier())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        before = torch.get_rng_state()
        second = _measured(axis, _classifier())
        assert torch.equal(torch.get_rng_state(), before), f"{axis.name} draws from the global generator"
    assert axis.level == "arm" or _same(first, second), f"{axis.name} gives other numbers the second time"


def the_model_is_as_before(axis: Axis) -> None:
    """Modes, weights, buffers and gradients of the model are as before, also with gradients that are being accumulated."""
    data = _classifier()
    model = data.model
    functional.cross_entropy(model(data.splits.train.first()[0]), data.splits.train.first()[1]).backward()  # type: ignore[no-untyped-call]
    gradients = [(weight.grad, None if weight.grad is None else weight.grad.clone()) for weight in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    _measured(axis, data)
    assert [module.training for module in model.modules()] == modes, f"{axis.name} changes the mode of the model"
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), f"{axis.name} changes {name}"
    for weight, (gradient, numbers) in zip(model.parameters(), gradients, strict=True):
        assert weight.grad is gradient, f"{axis.name} replaces .grad"
        assert gradient is None or numbers is None or torch.equal(gradient, numbers), f"{axis.name} changes .grad"
    hooks = [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]
    assert not hooks, f"{axis.name} leaves hooks"


def the_result_is_json(axis: Axis) -> None:
    """The result can be stored, and read again without a loss."""
    found = _measured(axis, _classifier())
    assert json.loads(json.dumps(found, allow_nan=False)) == found, f"the result of {axis.name} is not plain"
    json.dumps(axis.to_dict(), allow_nan=False)


def other_tasks_and_few_examples_are_results(axis: Axis) -> None:
    """Where the axis has no number (for values, one example, a loss that says nothing of the outputs) there is a reason, and no error."""
    unknown = _classifier(loss=lambda output, target: functional.cross_entropy(output, target) * 1)
    for data in (_regression(), _classifier(examples=1), _classifier(examples=2), unknown):
        found = _measured(axis, data)
        assert "error" not in found, f"{axis.name} raised on {data.task.name}: {found.get('error')}"


def the_axis_can_be_sent_to_a_process(axis: Axis) -> None:
    """The axis can be pickled, or comes from a file, from which each process reads it."""
    if axis.file is None:
        assert pickle.loads(pickle.dumps(axis)).name == axis.name  # noqa: S301 # pickled in the same line


AXIS_CHECKS: tuple[Callable[[Axis], None], ...] = (
    every_column_has_a_number_or_a_reason,
    numbers_do_not_depend_on_the_global_generators,
    the_model_is_as_before,
    the_result_is_json,
    other_tasks_and_few_examples_are_results,
    the_axis_can_be_sent_to_a_process,
)
