"""Metrics of classifiers and detectors beside accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

from actlab.errors import TaskError

__all__ = ["auroc", "macro_f1"]


def macro_f1(output: Tensor, target: Tensor) -> float:
    """Return the mean of the F1 scores of all classes, each the harmonic mean of precision and recall.

    Args:
        output: scores or logits, shape (n, classes); the largest one is the prediction.
        target: classes, shape (n,). A class without targets and predictions does not count; one without either of them has the score 0.

    Example:
        >>> macro_f1(torch.eye(2)[[0, 1]], torch.tensor([0, 0]))
        0.3333333333333333
    """
    classes = output.shape[1]
    predicted = output.argmax(1)
    hits = torch.bincount(target[predicted == target], minlength=classes).double()
    counts = torch.bincount(target, minlength=classes) + torch.bincount(predicted, minlength=classes)
    return float((2 * hits / counts)[counts > 0].mean())


def auroc(scores: Tensor, target: Tensor) -> float:
    """Return the area under the ROC curve, the share of pairs of a positive and a negative example that the scores order rightly.

    Equal scores count as half a pair.

    Args:
        scores: larger for positive examples, shape (n,).
        target: 1 or True for positive examples, else 0, shape (n,).

    Raises:
        TaskError: there are no positive or no negative examples, so that the metric is undefined.

    Example:
        >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        0.75
    """
    is_positive = target.bool()
    positive, negative = scores[is_positive], scores[~is_positive].sort().values
    if not (len(positive) and len(negative)):
        raise TaskError(
            f"The AUROC needs positive and negative examples; there are {len(positive)} and {len(negative)}. "
            "Take a larger split, or another metric."
        )
    below = torch.searchsorted(negative, positive) + torch.searchsorted(negative, positive, right=True)
    return float(below.double().mean() / 2 / len(negative))
