"""Axis of groups, the metric of the worst group of examples and its distance to the best."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from actlab.errors import ActlabError
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.metric_direction import metric_direction
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.system.plural import plural
from actlab.tasks.loading.nested import joined, mapped, row_count

__all__ = ["GROUPS", "group_labels"]

_SMALLEST: Final = 10  # examples; the metric of fewer is that of single examples
_MOST: Final = 100  # groups
_DISTINCT: Final = 10  # values of a column of numbers; of more, the groups are its quarters


def group_labels(data: EvaluationData) -> tuple[npt.NDArray[Any], str]:
    """Return the group of each test example, shape (n,), and what the groups are, in words.

    They are those of the task's ``groups``; the classes of a classifier where it has none. A column of numbers with more than ten distinct
    values is cut at its quartiles.

    Raises:
        UndefinedAxisError: there are no groups.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> labels, what = group_labels(EvaluationData(digits, digits.model(0).eval(), load_data(digits, 0)))
        >>> len(set(labels.tolist())), what
        (10, 'classes')
    """
    given = data.task.groups
    if given is None:
        try:
            classes = data.labels.numpy()
        except UndefinedAxisError as error:
            raise UndefinedAxisError(
                f"the task names no groups (set groups to a column or a function), and there are no classes: {error}"
            ) from error
        if len(classes) != row_count(data.targets):
            raise UndefinedAxisError(
                "the task names no groups (set groups to a column or a function), and an example has several classes to predict"
            )
        return classes, "classes"
    if callable(given):
        return _one_each(given(data.inputs, data.targets), data, "groups"), "groups"
    column = data.part_of_inputs(given) if isinstance(given, str) else _column(data.inputs, given)
    return _one_each(_quarters(column), data, f"groups = {given!r}"), f"column {given}"


def _column(inputs: Tensor, place: int) -> Tensor:
    if inputs.ndim != 2 or not -inputs.shape[1] <= place < inputs.shape[1]:
        raise UndefinedAxisError(f"groups is the column {place} of inputs of shape {tuple(inputs.shape)}")
    return inputs[:, place]


def _quarters(column: Any) -> npt.NDArray[Any]:
    values = np.asarray(column)
    if values.dtype.kind != "f" or len(np.unique(values)) <= _DISTINCT:
        return values
    edges = np.quantile(values, (0.25, 0.5, 0.75))
    names = np.array([f"up to {edges[0]:.3g}", *(f"up to {edge:.3g}" for edge in edges[1:]), f"above {edges[-1]:.3g}"])
    return names[np.searchsorted(edges, values, side="left")]


def _one_each(labels: Any, data: EvaluationData, of: str) -> npt.NDArray[Any]:
    found = np.asarray(labels)
    if found.shape != (row_count(data.targets),):
        raise ActlabError(
            f"{of} of {data.task.name} has shape {found.shape}; one label for each of the "
            f"{plural(row_count(data.targets), 'test example')} is needed."
        )
    return found


def _measure_groups(_model: nn.Module, data: EvaluationData) -> Measured:
    labels, what = group_labels(data)
    names, sizes = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise UndefinedAxisError(f"all test examples are in one group ({what})")
    if len(names) > _MOST:
        raise UndefinedAxisError(
            f"there are {len(names)} groups ({what}), each with few examples; at most {_MOST} make sense"
        )
    found, undefined = {}, {}
    for name, size in zip(names.tolist(), sizes.tolist(), strict=True):
        value = _metric_of(data, labels == name) if size >= _SMALLEST else f"too small, {plural(size, 'example')}"
        if isinstance(value, str):
            undefined[f"group {name}"] = value
        else:
            found[str(name)] = {"metric": value, "examples": size}
    if len(found) < 2:
        raise UndefinedAxisError(f"fewer than two groups ({what}) have {_SMALLEST} examples and a metric")
    is_max = metric_direction(data.task) != "min"
    values = {name: entry["metric"] for name, entry in found.items()}
    worst = (min if is_max else max)(values, key=values.__getitem__)
    return Measured(
        numbers={"worst_group": values[worst], "gap": max(values.values()) - min(values.values())},
        undefined=undefined,
        record={"of": what, "groups": found, "worst": worst},
    )


def _metric_of(data: EvaluationData, rows: npt.NDArray[np.bool_]) -> float | str:
    """Return the metric of some examples, or why it has no number."""
    chosen = torch.from_numpy(rows.nonzero()[0])
    try:
        parts = (mapped(joined([part], "examples"), lambda leaf: leaf[chosen]) for part in (data.outputs, data.targets))
        value = data.metric(*parts)
    except Exception as error:  # the metric is user code, such as one that needs both classes
        return f"the metric raised {type(error).__name__}: {str(error)[:100]}"
    return value if np.isfinite(value) else f"the metric is {value}"


GROUPS: Final = Axis(
    name="groups",
    measure=_measure_groups,
    columns={
        "worst_group": Column(direction="metric", description="metric of the group where it is worst"),
        "gap": Column(direction="min", description="metric of the best group minus that of the worst"),
    },
    description="Whether the metric holds for every group of examples.",
)
