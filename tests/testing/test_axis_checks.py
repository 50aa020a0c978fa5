"""Conformance checks of axes, on the built-in ones and on axes with planted faults."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from actlab.evaluate.axis import Axis, Column, axis
from actlab.evaluate.axis_registry import built_in_axes
from actlab.testing import AXIS_CHECKS

NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if known.on_request else [])  # those export every model that they see
    for name, known in built_in_axes().items()
]


@pytest.mark.parametrize("check", AXIS_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_built_in_axes_conform(name: str, check: Callable[[Axis], None]) -> None:
    check(built_in_axes()[name])


def _raising(model: nn.Module, data: Any) -> float:
    raise ValueError("no")


def _drifting(model: nn.Module, data: Any) -> float:
    _drifting.calls += 1
    return float(_drifting.calls)


_drifting.calls = 0


def _hooking(model: nn.Module, data: Any) -> float:
    model.register_forward_hook(lambda *_: None)
    return 1.0


def _needing_many(model: nn.Module, data: Any) -> float:
    if len(data.inputs) < 3:
        raise IndexError("too few")
    return 1.0


FAULTS = {
    "every_column_has_a_number_or_a_reason": _raising,
    "numbers_do_not_depend_on_the_global_generators": _drifting,
    "the_model_is_as_before": _hooking,
    "other_tasks_and_few_examples_are_results": _needing_many,
    "the_axis_can_be_sent_to_a_process": lambda *_: 1.0,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    check = next(check for check in AXIS_CHECKS if check.__name__ == name)
    faulty = Axis(name="faulty", measure=FAULTS[name], columns={"faulty": Column()})
    with pytest.raises((AssertionError, AttributeError, TypeError, pickle.PicklingError)):
        check(faulty)


def test_a_users_axis_of_a_number_for_each_example_conforms() -> None:
    @axis("max")
    def spread(model: nn.Module, data: Any) -> torch.Tensor:
        return data.inputs.std(1)

    for check in AXIS_CHECKS[:-1]:
        check(spread)
