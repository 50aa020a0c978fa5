"""Noise of the gradient from batch to batch, and its ratio to the gradient's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["GradientNoise", "gradient_noise"]


class GradientNoise(NamedTuple):
    """Estimates from gradients of batches of one size.

    Attributes:
        scale: examples of a batch whose noise is as large as the gradient, the trace of the covariance of single gradients over the
            gradient's squared length; infinite where the estimate of that length is not above zero.
        squared_length: estimate of the gradient's squared length, without the part that noise adds; may be negative.
        variance: estimate of the trace of the covariance of the gradient of a single example.
    """

    scale: float
    squared_length: float
    variance: float


def gradient_noise(
    model: nn.Module, batches: Sequence[Any], size: int, loss_of: Callable[[nn.Module, Any], Tensor]
) -> GradientNoise:
    """Estimate the gradient noise of a model from at least two batches of one size.

    Args:
        model: its ``.grad`` is not used.
        batches: independent draws of examples, for ``loss_of``.
        size: examples of each.
        loss_of: of (model, batch), the mean loss of its examples.

    Source: McCandlish et al. 2018, An Empirical Model of Large-Batch Training (arXiv:1812.06162), appendix A.1.

    Raises:
        ValueError: there are fewer than two batches.

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> batches = [torch.full((4, 1), value) for value in (1.0, 3.0)]
        >>> gradient_noise(net, batches, 4, lambda model, x: model(x).mean())
        GradientNoise(scale=2.6666666666666665, squared_length=3.0, variance=8.0)
    """
    if len(batches) < 2:
        raise ValueError("two batches are needed")
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    total = torch.zeros(sum(weight.numel() for weight in parameters), dtype=torch.float64)
    squares = 0.0
    for batch in batches:
        found = torch.autograd.grad(loss_of(model, batch), parameters, allow_unused=True)
        flat = torch.cat(
            [
                (torch.zeros_like(weight) if part is None else part).detach().double().flatten().cpu()
                for weight, part in zip(parameters, found, strict=True)
            ]
        )
        total += flat
        squares += float(flat.square().sum())
    n = len(batches)
    mean = total / n
    of_batches = (squares - n * float(mean.square().sum())) / (n - 1)  # trace of the covariance of a batch's gradient
    squared_length = float(mean.square().sum()) - of_batches / n
    variance = size * of_batches
    return GradientNoise(variance / squared_length if squared_length > 0 else float("inf"), squared_length, variance)
