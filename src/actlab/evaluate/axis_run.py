"""Run of axes on one trained model, with errors and undefined numbers recorded as results."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import ActlabError, PlanError, did_you_mean
from actlab.evaluate.axis import Axis, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.restored_model import restored
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.nn.sites.dry_run import eagerly
from actlab.system.interrupts import may_raise
from actlab.tasks.data import Data
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Task
from actlab.tasks.user_code import one_line, user_line

__all__ = ["run_axes", "run_axis", "try_own_axes"]


def run_axes(axes: Iterable[Axis], model: nn.Module, data: EvaluationData) -> dict[str, dict[str, Any]]:
    """Measure a trained model on axes, one after the other, and restore the model and the global generators after each.

    Args:
        axes: those of the level "trial".
        model: trained.
        data: of the same model.

    Returns:
        By name of the axis, ready for JSON: ``numbers`` by column, ``standard_errors`` of those that are means over examples, ``curves``,
        ``undefined`` (reasons), ``notes``, ``record``, ``seconds`` and, where the axis raised, ``error``.

    Example:
        >>> from actlab.evaluate.axis import axis
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> data = EvaluationData(digits, digits.model(0).eval(), load_data(digits, 0))
        >>> @axis("max", unit="share")
        ... def right(model, data):
        ...     return data.correct.double()
        >>> 0 <= run_axes([right], data.model, data)["right"]["numbers"]["right"] <= 1
        True
    """
    return {axis.name: run_axis(axis, model, data) for axis in axes}


def run_axis(axis: Axis, model: nn.Module, data: EvaluationData) -> dict[str, Any]:
    """Measure a trained model on one axis; see :func:`run_axes`."""
    started = time.perf_counter()
    try:
        # compiled code runs no hooks, by which axes look and change; what is timed runs as it is
        with isolated(data.seed), restored(model), nullcontext() if axis.level == "arm" else eagerly(model):
            found = _checked(axis, axis(model, data))
        result = _plain(axis, found)
    except UndefinedAxisError as error:
        result = _empty({name: str(error) for name in axis.columns})
    except BaseException as error:  # an axis may be user code, which may raise anything; the reason is the result
        if isinstance(error, KeyboardInterrupt) and may_raise():
            raise
        text = str(error) if isinstance(error, ActlabError) else f"{one_line(error)}{user_line(error)}"
        result = {**_empty(dict.fromkeys(axis.columns, "the axis raised")), "error": text}
    return {**result, "seconds": time.perf_counter() - started}


def try_own_axes(axes: Iterable[Axis], task: Task, data: Data, seed: int) -> None:
    """Run a user's own axes on an untrained model, as one that raises would be known only after all trainings.

    Args:
        axes: of which those of ActLab are left out.
        task: whose models are judged.
        data: of the seed.
        seed: of the model.

    Raises:
        PlanError: an axis raises, or returns no numbers.

    Example:
        >>> from actlab.evaluate.axis import axis
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> try_own_axes([axis("max")(lambda model, data: data.correct)], digits, load_data(digits, 0), 0)
    """
    own = [axis for axis in axes if not _is_ours(axis)]
    if not own:
        return
    with one_thread(), isolated(seed):
        model = task.model(seed).eval()
        found = run_axes(own, model, EvaluationData(task, model, data, seed=seed, build=lambda: task.model(seed)))
    for name, result in found.items():
        if "error" in result:
            raise PlanError(
                f"The axis {name} was tried on an untrained model of {task.name}, and failed. {result['error']}\nCorrect it, or raise "
                "UndefinedAxisError of actlab.evaluate.undefined_axis with a reason where a model has no such number."
            )


def _is_ours(axis: Axis) -> bool:
    """Return whether the function of an axis is of ActLab, also with other settings."""
    return str(getattr(getattr(axis.measure, "func", axis.measure), "__module__", "")).startswith("actlab.")


def _empty(undefined: Mapping[str, str]) -> dict[str, Any]:
    return {"numbers": {}, "standard_errors": {}, "curves": {}, "undefined": dict(undefined), "notes": [], "record": {}}


def _checked(axis: Axis, value: Any) -> Measured:
    """Return what an axis returned as a record, and refuse what is none."""
    if isinstance(value, Measured):
        found = value
    elif isinstance(value, Mapping):
        found = Measured(numbers=value)
    elif len(axis.columns) == 1:
        found = Measured(numbers={next(iter(axis.columns)): value})
    else:
        raise ActlabError(
            f"The axis {axis.name} returned a {type(value).__name__}; it has the columns {', '.join(axis.columns)}, so it must return a "
            "mapping from these to numbers."
        )
    for name in found.numbers:
        if name not in axis.columns:
            near = did_you_mean(name, axis.columns)
            raise ActlabError(
                f"The axis {axis.name} returned {name!r}, which is none of its columns.{near} Its columns are {', '.join(axis.columns)}: "
                "name all of them with their directions where the axis is defined."
            )
    return found


def _plain(axis: Axis, found: Measured) -> dict[str, Any]:
    numbers: dict[str, float] = {}
    errors: dict[str, float] = {}
    undefined = dict(found.undefined)
    for name in axis.columns:
        if name not in found.numbers:
            undefined.setdefault(name, "the axis gave no number")
            continue
        value, error = _number(found.numbers[name], f"{name} of the axis {axis.name}")
        if math.isfinite(value):
            numbers[name] = value
            errors |= {} if error is None else {name: error}
        else:
            undefined.setdefault(name, f"the number is {value}")
    return {
        "numbers": numbers,
        "standard_errors": errors,
        "curves": {
            name: _json_ready(dict(curve), f"curve {name} of the axis {axis.name}")
            for name, curve in found.curves.items()
        },
        "undefined": undefined,
        "notes": list(found.notes),
        "record": _json_ready(dict(found.record), f"record of the axis {axis.name}"),
    }


def _json_ready(value: Any, of: str) -> Any:
    """Return a value as JSON has it: arrays as lists, and None for a number that is NaN or infinite.

    Raises:
        ActlabError: JSON has no such value.
    """
    if isinstance(value, Mapping):
        return {str(key): _json_ready(part, of) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(part, of) for part in value]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _json_ready(value.tolist(), of)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise ActlabError(
        f"The {of} has a {type(value).__name__}; texts, numbers, lists and mappings of them can be stored."
    )


def _number(value: Any, of: str) -> tuple[float, float | None]:
    """Return a number; or the mean of one for each example, and its standard error."""
    if value is None:
        raise ActlabError(
            f"{of} is None (does the function return its result?); a number, or one for each example, is needed."
        )
    try:
        tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ActlabError(f"{of} is a {type(value).__name__}; a number, or one for each example, is needed.") from error
    if tensor.is_complex() or tensor.ndim > 1 or not tensor.numel():
        raise ActlabError(
            f"{of} has shape {tuple(tensor.shape)}; a number, or one for each example, shape (n,), is needed."
        )
    count, numbers = tensor.numel(), tensor.double()
    spread = float(numbers.std() / math.sqrt(count)) if tensor.ndim and count > 1 else None
    return float(numbers.mean()), spread
