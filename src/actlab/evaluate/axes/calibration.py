"""Axis of calibration, whether confidence is the share of correct answers."""

from __future__ import annotations

from torch import Tensor, nn

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData

__all__ = ["CALIBRATION"]


def _calibration(_model: nn.Module, data: EvaluationData) -> Measured:
    nll: Tensor = -data.log_probabilities.gather(1, data.labels[:, None])[:, 0]
    return Measured(numbers={"nll": nll})


CALIBRATION = Axis(
    name="calibration",
    measure=_calibration,
    columns={"nll": Column(direction="min", unit="nats", description="negative log-likelihood of the test classes")},
    description="Whether the confidence of the model is the share of its answers that are correct.",
)
