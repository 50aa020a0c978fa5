"""Axis of calibration, whether confidence is the share of correct answers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.scores.calibration_error import BINS, Reliability, chance_error, reliability
from actlab.evaluate.scores.temperature import fitted_temperature
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["CALIBRATION"]

_SCALED: Final = ("nll_scaled", "brier_scaled", "ece_scaled", "temperature")


def _measure_calibration(_model: nn.Module, data: EvaluationData) -> Measured:
    numbers, bins = _numbers(data.log_probabilities, data.labels)
    confidence = data.probabilities.amax(1).clamp(0, 1).numpy()
    chance = chance_error(confidence, seed=data.seed)
    numbers["ece_of_chance"] = float(chance.mean())
    curves, undefined = {"reliability": bins.to_curve()}, {}
    try:
        temperature = fitted_temperature(*data.validation)
    except UndefinedAxisError as error:
        undefined = dict.fromkeys(_SCALED, f"the temperature is fitted on a validation split: {error}")
    else:
        scaled, scaled_bins = _numbers((data.logits / temperature).log_softmax(1), data.labels)
        numbers |= {f"{name}_scaled": scaled[name] for name in ("nll", "brier", "ece")} | {"temperature": temperature}
        curves["reliability_scaled"] = scaled_bins.to_curve()
    record = {"examples": len(confidence), "bins": BINS, "ece_of_chance_95": float(np.quantile(chance, 0.95))}
    return Measured(numbers=numbers, curves=curves, undefined=undefined, record=record)


def _numbers(log_probabilities: Tensor, labels: Tensor) -> tuple[dict[str, Any], Reliability]:
    """Return negative log-likelihood and Brier score of each example, the calibration error, and its bins."""
    probabilities = log_probabilities.exp()
    confidence, predicted = probabilities.max(1)
    bins = reliability(confidence.clamp(0, 1).numpy(), (predicted == labels).numpy())
    one_hot = functional.one_hot(labels, probabilities.shape[1])
    return {
        "nll": -log_probabilities.gather(1, labels[:, None])[:, 0],
        "brier": torch.square(probabilities - one_hot).sum(1),
        "ece": bins.error,
    }, bins


def _column(description: str, unit: str = "share", *, direction: Any = "min", headline: bool = True) -> Column:
    return Column(direction=direction, unit=unit, description=description, headline=headline)


_AFTER: Final = "after temperature scaling on the validation split"
CALIBRATION: Final = Axis(
    name="calibration",
    measure=_measure_calibration,
    columns={
        "nll": _column("negative log-likelihood of the test classes", "nats"),
        "brier": _column("squared distance of the probabilities to the class, 0 to 2", ""),
        "ece": _column(f"expected calibration error of the predicted class, {BINS} bins of equal mass"),
        "ece_of_chance": _column(
            "the same of a calibrated model with these confidences, by chance", direction=None, headline=False
        ),
        "nll_scaled": _column(f"negative log-likelihood {_AFTER}", "nats"),
        "brier_scaled": _column(f"Brier score {_AFTER}", "", headline=False),
        "ece_scaled": _column(f"expected calibration error {_AFTER}"),
        "temperature": _column("by which logits are divided", "", direction=None, headline=False),
    },
    description="Whether the confidence of the model is the share of its answers that are correct.",
)
