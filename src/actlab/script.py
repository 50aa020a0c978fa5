"""Two lines of a user's training script, which do nothing unless ActLab runs it."""

from __future__ import annotations

import math
import os
import time
from importlib import import_module
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from actlab.errors import TaskError
from actlab.script_request import VARIABLE, append_report, is_first_rank

if TYPE_CHECKING:
    from torch import nn

    from actlab.nn.sites.dry_run import Inputs

__all__ = ["apply_", "report"]

M = TypeVar("M", bound="nn.Module")

_STEPS = ("epoch", "iteration", "global_step", "it", "iter", "i")  # names that other libraries have for the step


def apply_(model: M, example_inputs: Inputs | None = None) -> M:
    """Swap the activations of this trial into a model, in place, and return it.

    Call it when the model has been built and before it is wrapped (compile, DistributedDataParallel), its optimizer is made and its
    weights are loaded. Unless ActLab runs the script, it returns the model at once.

    Args:
        model: the model, in training mode.
        example_inputs: as :func:`actlab.find` takes them, on the model's device. Needed for parameters learned per channel, for gated
            activations and for ``init="matched"``; recommended otherwise, as more sites are found.

    Raises:
        ActlabError: the activation does not fit the model. ActLab shows the message before the first trial.

    Example:
        >>> apply_("any model, as ActLab does not run this")
        'any model, as ActLab does not run this'
    """
    if VARIABLE in os.environ:
        import_module("actlab.studies.trials.script_model").take_arm(model, example_inputs)
    return model


def report(*, step: int | None = None, **values: Any) -> None:
    """Report values of a training step, such as ``loss`` and the metric that the study compares.

    The last value of the metric is the result of the trial. A value that is reported again for the same step replaces the earlier one.
    Under ``torchrun`` only the first rank reports. Unless ActLab runs the script, nothing happens.

    Args:
        step: number of training steps or epochs so far; by default the number of reports.
        values: numbers, or tensors and arrays with one element, by name. ``loss`` is the training loss; ``validation`` the metric on the
            validation split, by which ``--tune lr`` chooses.

    Raises:
        TaskError: a value is no number, the step is no whole number or smaller than before, or nothing is reported.

    Example:
        >>> report(step=100, loss=0.31, accuracy=0.92)
    """
    if VARIABLE in os.environ and is_first_rank():
        try:
            record = {
                "step": _step(step, values),
                "values": {name: _number(name, value) for name, value in values.items()},
            }
        except TaskError as error:
            append_report({"kind": "error", "text": str(error)})
            raise
        append_report({"kind": "report", "time": time.monotonic(), **record})


_reports = _last = 0  # of this process


def _step(step: Any, values: dict[str, Any]) -> int:
    global _reports, _last  # noqa: PLW0603 # see above
    _reports += 1
    if not values:
        raise TaskError(
            "actlab.report got no value; report the metric by its name, as in report(step=10, accuracy=0.9)."
        )
    if step is None:
        near = next((name for name in _STEPS if name in values), None)
        if near is not None:
            raise TaskError(f"actlab.report got {near}={values[near]!r} and no step. Did you mean step={near}?")
        _last = max(_reports, _last)
        return _last
    number = _as_float(step)
    if number is None or number < 0 or not number.is_integer():
        raise TaskError(f"actlab.report got step={step!r}; a whole number from 0 up is needed.")
    if number < _last:
        raise TaskError(
            f"actlab.report got step={step} after step={_last}; steps are counted through the whole script, over all epochs."
        )
    _last = int(number)
    return _last


def _number(name: str, value: Any) -> float:
    number = _as_float(value)
    if number is None:
        what = f"{type(value).__name__}: {str(value)[:60]!r}"
        raise TaskError(
            f"actlab.report got {name}={what}; a number is needed, or a tensor with one element, such as loss.mean()."
        )
    return number


def _as_float(value: Any) -> float | None:
    """Return a number, or a tensor or array with one element, as a float; None for anything else."""
    try:
        number = value.item() if hasattr(value, "item") else value
        return None if isinstance(number, bool) or not isinstance(number, Real) else float(number)
    except OverflowError:  # an integer of 400 digits
        return math.inf
    except (ValueError, RuntimeError):  # more than one element
        return None
