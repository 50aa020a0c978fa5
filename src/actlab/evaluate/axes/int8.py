"""Axis of the metric in integer arithmetic, computed as a C project computes it."""

from __future__ import annotations

from typing import Final

from torch import nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.judged_examples import JudgedExamples
from actlab.evaluate.metric_direction import metric_direction
from actlab.evaluate.rounding.integer_net import IntegerModel, integer_net
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["INT8"]

_EXAMPLES: Final = 2_000


def _measure_int8(model: nn.Module, data: EvaluationData) -> Measured:
    whole = integer_net(model, data)
    if len(whole.outputs) != 1:
        raise UndefinedAxisError(
            f"the model gives {len(whole.outputs)} tensors; the metric is known of one that the net gives alone"
        )
    rows = data.some(_EXAMPLES, "compression")  # those of the axis of compression, whose numbers stand beside these
    chosen = JudgedExamples(data, rows)
    exact, metric = chosen.metric(chosen.inputs), chosen.metric(chosen.inputs, IntegerModel(whole))
    lost = exact - metric if metric_direction(data.task) == "max" else metric - exact
    return Measured(numbers={"unchanged": exact, "metric": metric, "lost": lost}, record={"examples": len(rows)})


INT8: Final = Axis(
    name="int8",
    measure=_measure_int8,
    columns={
        "unchanged": Column(
            direction="metric", description="metric of the unchanged model on the same examples", headline=False
        ),
        "metric": Column(direction="metric", description="metric in int8 codes and int32 sums, to the bit those of C"),
        "lost": Column(direction="min", description="how much worse that is than the metric of the unchanged model"),
    },
    description="What is left of the metric in integer arithmetic, after a quantisation with training examples.",
    on_request=True,
)
