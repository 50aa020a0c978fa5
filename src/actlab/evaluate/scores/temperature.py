"""Temperature by which logits are divided so that confidence fits accuracy best."""

from __future__ import annotations

from typing import Final

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

__all__ = ["fitted_temperature"]

_BOUNDS: Final = (-4.0, 4.0)  # of log T, so that T is between 1/55 and 55


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T for which the softmax of logits / T has the smallest negative log-likelihood.

    The likelihood is convex in 1 / T, so there is one minimum; where it lies outside, the bound is returned.

    Args:
        logits: unnormalised log-probabilities, shape (n, classes), of examples that the model was not trained on.
        labels: classes, int64, shape (n,).

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv:1706.04599).

    Example:
        >>> logits = torch.log(torch.tensor([[0.7, 0.3]] * 10)).double()
        >>> labels = torch.tensor([0] * 7 + [1] * 3)
        >>> round(fitted_temperature(5 * logits, labels), 3)
        5.0
    """

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / torch.tensor(log_temperature).double().exp(), labels))

    found = minimize_scalar(loss, bounds=_BOUNDS, method="bounded", options={"xatol": 1e-6})
    return float(torch.tensor(float(found.x)).double().exp())
