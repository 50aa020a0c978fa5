"""Noise samplers of stochastic activations, such as Gumbel, logistic and Bernoulli."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["bernoulli", "gumbel", "logistic", "logsigmoid", "normal_cdf", "rectified_normal"]

HALF_ROOT = 0.7071067811865476  # sqrt(1/2)
DENSITY = 0.3989422804014327  # 1 / sqrt(2 pi)


def bernoulli(x: Tensor, probability: Tensor) -> Tensor:
    """Return 1 with the given probability, else 0; the gradient is zero."""
    return (torch.rand_like(x) < probability).to(
        x.dtype
    ) + x.sign() * 0.0  # keeps the output in the graph, with gradient zero


def gumbel(x: Tensor) -> Tensor:
    """Return Gumbel noise in the shape of ``x``, finite unlike ``-log(-log u)`` at u = 0 and 1."""
    return -torch.empty_like(x).exponential_().clamp_min(torch.finfo(x.dtype).tiny).log()


def logistic(x: Tensor) -> Tensor:
    """Return logistic noise, the difference of two Gumbel variables, in the shape of ``x``."""
    return gumbel(x) - gumbel(x)


def normal_cdf(x: Tensor) -> Tensor:
    """Return the distribution function of N(0, 1), without cancellation below zero."""
    return 0.5 * torch.erfc(-x * HALF_ROOT)


def rectified_normal(mean: Tensor, log_deviation: Tensor, *, training: bool) -> Tensor:
    """Return max(0, z) for z drawn from a normal distribution, or its expectation."""
    deviation = log_deviation.exp()
    if training:
        return (mean + deviation * torch.randn_like(mean)).relu()
    # beyond 40 deviations the normal distribution is 0 or 1 in float64; clamped, so that squares and slopes stay finite
    ratio = (mean * (-log_deviation).clamp(max=40).exp()).clamp(-40, 40)
    return mean * normal_cdf(ratio) + deviation * DENSITY * torch.exp(-(ratio**2) / 2)
