"""Axis of out-of-distribution detection, whether inputs of another kind get lower scores."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import ActlabError
from actlab.evaluate.axis import Axis, Column, Measured
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.scores.distance import neighbour_distance
from actlab.evaluate.scores.separation import Floats, area_under_roc, false_positive_rate, true_positive_rates
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.tasks.loading.nested import description

__all__ = ["OUT_OF_DISTRIBUTION", "other_inputs", "permuted"]

_SCORES: Final = {
    "softmax": "largest probability",  # arXiv:1610.02136
    "energy": "log-sum-exp of the logits",  # arXiv:2010.03759
    "distance": "distance of features to training examples",  # arXiv:2204.06507
}
#: Shares of other inputs at which the ROC curve is recorded, closer where a detector is used.
_PLACES: Final = (0.0, 0.01, 0.02, 0.05, *(tenth / 10 for tenth in range(1, 11)))
_LARGEST: Final = 10_000  # inputs of the other kind


def permuted(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return inputs of which each feature, pixel or token is taken from another example: the same marginals, and no dependence.

    Args:
        inputs: shape (n, ...).
        generator: of the orders.

    Example:
        >>> x = torch.arange(6.0).reshape(3, 2)
        >>> permuted(x, torch.Generator().manual_seed(0)).sort(0).values.equal(x)
        True
    """
    flat = inputs.reshape(len(inputs), -1)
    order = torch.rand(flat.shape, generator=generator).argsort(0)
    return flat.gather(0, order).reshape(inputs.shape)


def other_inputs(data: EvaluationData) -> tuple[Tensor, str]:
    """Return inputs that the model was not made for, and what they are, in words.

    Those of the task's ``out_of_distribution``, or else the permuted inputs of the test split.

    Raises:
        ActlabError: the task's function returns no array.
        UndefinedAxisError: they do not have the shape of the model's inputs.
    """
    given = data.task.out_of_distribution
    if given is None:
        return permuted(data.inputs[:_LARGEST], data.generator("permuted inputs")), "test inputs with permuted features"
    made = given(data.seed)
    if not isinstance(made, Tensor | np.ndarray):
        raise ActlabError(
            f"out_of_distribution of {data.task.name} returned {description(made)}; inputs without targets are needed, one tensor of shape "
            f"(m, {', '.join(map(str, data.inputs.shape[1:]))})."
        )
    found = torch.as_tensor(made)[:_LARGEST]
    if found.shape[1:] != data.inputs.shape[1:] or not len(found):
        raise UndefinedAxisError(
            f"out_of_distribution of {data.task.name} has shape {tuple(found.shape)}, and the model takes (n, "
            f"{', '.join(map(str, data.inputs.shape[1:]))})"
        )
    return found.to(data.inputs.dtype), "inputs of out_of_distribution"


def _measure_detection(_model: nn.Module, data: EvaluationData) -> Measured:
    others, what = other_inputs(data)
    logits, features = data.logits_and_features(others)
    scores = {"softmax": (data.log_probabilities.amax(1), logits.log_softmax(1).amax(1))}
    undefined = {}
    if data.output_kind == "logits":
        scores["energy"] = (data.logits.logsumexp(1), logits.logsumexp(1))
    else:
        undefined["energy"] = f"the model gives {data.output_kind}, which have no energy"
    try:
        reference = data.train_features[0]
        own = (neighbour_distance(part, reference) for part in (data.features, features))
        scores["distance"] = tuple(-distance for distance in own)  # type: ignore[assignment] # two of them
    except UndefinedAxisError as error:
        undefined["distance"] = str(error)
    numbers, curves = {}, {}
    for name, (inside, outside) in scores.items():
        if not (torch.isfinite(inside).all() and torch.isfinite(outside).all()):
            undefined[name] = "a score is not finite"
            continue
        pair = inside.numpy(), outside.numpy()
        numbers[f"auroc_{name}"] = area_under_roc(*pair)
        numbers[f"fpr95_{name}"] = false_positive_rate(*pair)
        curves[f"roc_{name}"] = _roc_curve(true_positive_rates(*pair, _PLACES))
    reasons = {f"{kind}_{name}": reason for name, reason in undefined.items() for kind in ("auroc", "fpr95")}
    record = {"inputs": what, "examples": len(others)}
    return Measured(numbers=numbers, curves=curves, undefined=reasons, record=record)


def _roc_curve(rates: Floats) -> dict[str, Any]:
    """Return the curve for charts; the diagonal is that of a score that tells nothing."""
    labels = {"x_label": "share of other inputs accepted", "y_label": "share of test inputs accepted"}
    return {"x": list(_PLACES), "y": rates.tolist(), **labels, "diagonal": True}


OUT_OF_DISTRIBUTION: Final = Axis(
    name="out_of_distribution",
    measure=_measure_detection,
    columns={
        f"auroc_{name}": Column(direction="max", unit="share", description=f"area under the ROC curve, by the {text}")
        for name, text in _SCORES.items()
    }
    | {
        f"fpr95_{name}": Column(
            direction="min",
            unit="share",
            description=f"other inputs above the threshold of 95 % of the test inputs, by the {text}",
            headline=False,
        )
        for name, text in _SCORES.items()
    },
    description="Whether inputs of another kind than those of the task are recognised by their scores.",
)
