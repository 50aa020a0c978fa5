"""Axis of the latency in the runtimes to which a model is exported."""
# ruff: noqa: PLC0415 the export is imported when the axis is asked for, as it loads torch's exporter

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from torch import nn

from actlab.errors import ExportError
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.costs.inference import first_example
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError

if TYPE_CHECKING:
    from actlab.export.onnx.net_runs import NetRuns

__all__ = ["RUNTIME"]

_RUNTIMES: Final = ("onnxruntime", "openvino", "executorch")
_SECONDS: Final = 0.02  # of one column in one round
_FEWEST: Final = 3
# An axis of the level "arm" is measured up to nine times on the same model, which is exported once.
_found: WeakKeyDictionary[nn.Module, NetRuns] = WeakKeyDictionary()


def _measure_runtime(model: nn.Module, data: EvaluationData) -> Measured:
    if data.device != "cpu":
        raise UndefinedAxisError(f"the runtimes run on the CPU, and the model is on {data.device}")
    found = _exported(model, data)
    numbers = {f"{name}{ending}": _seconds(run) for (name, ending), run in found.runs.items()}
    undefined = {f"{name}{ending}": reason for (name, ending), reason in found.missing.items()}
    return Measured(numbers={**numbers, "difference": found.largest}, undefined=undefined)


def _exported(model: nn.Module, data: EvaluationData) -> NetRuns:
    """Return the model in the runtimes for one example and for a batch, by the ending of the columns."""
    from actlab.export.onnx.net_runs import net_runs

    if model not in _found:
        batch: Any = data.inputs_of_call
        try:
            _found[model] = net_runs(model, {"": batch, "_1": first_example(batch)})
        except ExportError as error:
            raise UndefinedAxisError(" ".join(str(error).split())) from error
    return _found[model]


def _seconds(run: Callable[[], Any]) -> float:
    times: list[float] = []
    while len(times) < _FEWEST or sum(times) < _SECONDS:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return median(times)


def _columns() -> dict[str, Column]:
    columns = {}
    for name in _RUNTIMES:
        for ending, what in (("_1", "one example"), ("", "a training batch")):
            description = f"forward pass of {what} in {name}, median"
            columns[f"{name}{ending}"] = Column(direction="min", unit="s", description=description)
    what = "largest difference of an output in onnxruntime from torch"
    return {**columns, "difference": Column(direction="min", description=what, headline=False)}


RUNTIME: Final = Axis(
    name="runtime",
    measure=_measure_runtime,
    columns=_columns(),
    description="What a prediction takes in the runtimes that are installed, after an export to ONNX.",
    level="arm",
    on_request=True,
)
