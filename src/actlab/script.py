"""Two lines of a user's training script, which do nothing unless ActLab runs it."""

from __future__ import annotations

import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actlab.errors import TaskError
from actlab.reported_values import reported_number, reported_step
from actlab.script_request import VARIABLE, append_report, is_first_rank

if TYPE_CHECKING:
    from torch import nn

    from actlab.nn.sites.dry_run import Inputs

__all__ = ["apply_", "report"]

M = TypeVar("M", bound="nn.Module")

_REPORT: Final = "actlab.report"


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
    Under ``torchrun`` only the first rank reports. A report without values, as of a log that has only times, is left out. Unless ActLab
    runs the script, nothing happens.

    Args:
        step: number of training steps or epochs so far; by default the number of reports.
        values: numbers, or tensors and arrays with one element, by name. ``loss`` is the training loss; ``validation`` the metric on the
            validation split, by which ``--tune lr`` chooses.

    Raises:
        TaskError: a value is no number, or the step is no whole number or smaller than before.

    Example:
        >>> report(step=100, loss=0.31, accuracy=0.92)
    """
    if values and VARIABLE in os.environ and is_first_rank():
        try:
            record = {
                "step": _step(step, values),
                "values": {name: reported_number(name, value, by=_REPORT) for name, value in values.items()},
            }
        except TaskError as error:
            append_report({"kind": "error", "text": str(error)})
            raise
        append_report({"kind": "report", "time": time.monotonic(), **record})


_reports = _last = 0  # of this process


def _step(step: Any, values: dict[str, Any]) -> int:
    global _reports, _last  # noqa: PLW0603 # see above
    _reports += 1
    number = reported_step(step, values, by=_REPORT)
    if number is None:
        number = max(_reports, _last)
    elif number < _last:
        raise TaskError(
            f"actlab.report got step={step} after step={_last}; steps are counted through the whole script, over all epochs."
        )
    _last = number
    return number
