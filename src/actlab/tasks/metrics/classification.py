"""Metrics of classifiers beside accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["macro_f1"]


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
