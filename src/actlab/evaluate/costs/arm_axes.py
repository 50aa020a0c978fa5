"""Measurement of the axes of the level "arm", once for each arm on its untrained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from torch import nn

from actlab.evaluate.axis import Axis
from actlab.evaluate.axis_run import run_axis
from actlab.evaluate.costs.inference import inference_costs
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.data import Data
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions
from actlab.tasks.training.placement import placed

__all__ = ["ArmModels", "arm_level", "measure_arm_axes"]

_COST: Final = "cost"  # source of the built-in axis, whose times are measured in turn for all arms
_ROUNDS: Final = 9  # as many as blocks of times


@dataclass(frozen=True, kw_only=True)
class ArmModels:
    """Untrained models of the arms of a study, with the data that axes see.

    Attributes:
        models: by label, on the device of the conditions.
        task: of the study.
        data: its splits for the seed.
        inputs: a training batch; None where the task has none.
        seed: of models and data.
    """

    models: Mapping[str, nn.Module]
    task: Task
    data: Data
    inputs: Inputs | None
    seed: int


def arm_level(axes: Sequence[Any]) -> list[Axis]:
    """Return the axes of the level "arm"."""
    return [axis for axis in axes if getattr(axis, "level", "") == "arm"]


def measure_arm_axes(arms: ArmModels, *, where: Conditions, baseline: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the results of the conditions' axes of the level "arm", by arm and axis, ready for JSON.

    Args:
        arms: models and data.
        where: device, threads and axes.
        baseline: label of the arm with the ratio 1.

    Returns:
        For the axis of cost what :func:`actlab.evaluate.costs.inference.inference_costs` returns. Every other one is measured twice, and
        where a number differs nine times, in turn for all arms: as of :func:`actlab.evaluate.axis_run.run_axis`, with medians, and with
        ``ratios`` to the baseline in the nine rounds for columns that differ.

    Example:
        >>> from actlab.evaluate.axis import axis
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> @axis("min", level="arm")
        ... def weights(model, data):
        ...     return float(sum(weight.numel() for weight in model.parameters()))
        >>> digits = resolve("digits")
        >>> arms = ArmModels(models={"relu": digits.model(0)}, task=digits, data=load_data(digits, 0), inputs=None, seed=0)
        >>> measure_arm_axes(arms, where=Conditions(axes=(weights,)), baseline="relu")["relu"]["weights"]["numbers"]
        {'weights': 17290.0}
    """
    found: dict[str, dict[str, dict[str, Any]]] = {label: {} for label in arms.models}
    for model in arms.models.values():
        model.eval()
    for axis in arm_level(where.axes):
        measured = _costs(axis, arms, where, baseline) if axis.source == _COST else _in_rounds(axis, arms, baseline)
        for label, result in measured.items():
            found[label][axis.name] = result
    return found


def _costs(axis: Axis, arms: ArmModels, where: Conditions, baseline: str) -> dict[str, dict[str, Any]]:
    if arms.inputs is None:
        return dict.fromkeys(arms.models, _undefined(axis, "the task has no inputs on which its model could run alone"))
    found = inference_costs(arms.models, placed(arms.inputs, where.device), where=where, baseline=baseline)
    raised = _undefined(axis, "the model raises on a batch, or on one example")
    return {label: found.get(label, raised) for label in arms.models}


def _undefined(axis: Axis, reason: str) -> dict[str, Any]:
    return {"numbers": {}, "ratios": {}, "undefined": dict.fromkeys(axis.columns, reason)}


def _in_rounds(axis: Axis, arms: ArmModels, baseline: str) -> dict[str, dict[str, Any]]:
    """Measure an axis twice, and nine times where a number has noise, which one measurement would not show."""
    rounds = [_round(axis, arms) for _ in range(2)]
    if not all(rounds[0][label]["numbers"] == rounds[1][label]["numbers"] for label in arms.models):
        rounds += [_round(axis, arms) for _ in range(_ROUNDS - len(rounds))]
    columns = {
        name: {label: [one[label]["numbers"].get(name, math.nan) for one in rounds] for label in arms.models}
        for name in axis.columns
    }
    found = {label: {**result, "numbers": dict(result["numbers"]), "ratios": {}} for label, result in rounds[0].items()}
    for name, by_arm in columns.items():
        has_noise = any(len(set(numbers)) > 1 for numbers in by_arm.values())
        for label, numbers in by_arm.items() if has_noise else ():
            if name in found[label]["numbers"]:
                found[label]["numbers"][name] = median(numbers)
                found[label]["ratios"][name] = _ratios(numbers, by_arm.get(baseline, []))
    return found


def _round(axis: Axis, arms: ArmModels) -> dict[str, dict[str, Any]]:
    """Run an axis on every model; a new view of the data each, so that nothing is known from before."""
    return {
        label: run_axis(axis, model, EvaluationData(arms.task, model, arms.data, seed=arms.seed))
        for label, model in arms.models.items()
    }


def _ratios(numbers: Sequence[float], others: Sequence[float]) -> list[float | None]:
    """Return the ratios by round, None where one is not known: that they are there says that the number has noise."""
    found = [one / other if other else math.nan for one, other in zip(numbers, others or [0.0] * _ROUNDS, strict=False)]
    return [ratio if math.isfinite(ratio) else None for ratio in found]
