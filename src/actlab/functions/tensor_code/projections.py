"""Sparse projections along a dimension, normmax on the simplex and [0, 1] weights of a given sum.

Each finds a threshold tau without gradients, then solves for it once more with gradients, on the elements that tau leaves in play.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["budget", "normmax"]

# The sum is convex in tau, so that Newton's steps from the left never pass the root; the last 2 carry the derivatives.
NEWTON_STEPS = 24


def normmax(x: Tensor, alpha: Tensor | float, dim: int) -> Tensor:
    """Return the p of the simplex along ``dim`` that maximises ``<p, x> - ||p||_alpha`` (Santos et al. 2024, arXiv:2402.13725).

    At the optimum ``p / ||p||_alpha`` is ``(x - tau)_+ ** (1 / (alpha - 1))``, whose alpha-norm is 1.
    """
    x = x - x.amax(dim, keepdim=True).detach()
    power = alpha / (alpha - 1)
    tau = torch.full_like(x.narrow(dim, 0, 1), -1.0)
    for step in range(NEWTON_STEPS):
        differentiable = step >= NEWTON_STEPS - 2
        tau = _newton(x, power, tau, dim) if differentiable else _newton(x.detach(), _detach(power), tau, dim).detach()
    unnormalised = _positive_power(x - tau, power - 1)
    return unnormalised / unnormalised.sum(dim, keepdim=True)


def _newton(x: Tensor, power: Tensor | float, tau: Tensor, dim: int) -> Tensor:
    slopes = _positive_power(x - tau, power - 1)
    excess = (slopes * (x - tau)).sum(dim, keepdim=True) - 1
    return tau + excess / (power * slopes.sum(dim, keepdim=True))


def _positive_power(base: Tensor, power: Tensor | float) -> Tensor:
    """Return ``base**power`` where the base is above zero, else 0, with finite derivatives."""
    positive = base > 0
    return torch.where(positive, torch.where(positive, base, 1.0) ** power, 0.0)


def _detach(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value


def budget(x: Tensor, total: int, dim: int) -> Tensor:
    """Return the point nearest to ``x`` whose elements along ``dim`` lie in [0, 1] and sum to ``total``: ``x - tau``, clamped.

    Where the total exceeds the number of elements, all are 1.
    """
    distance = x - _threshold(x.detach(), total, dim)
    between, full = (distance > 0) & (distance < 1), distance >= 1
    number = between.sum(dim, keepdim=True)
    rest = total - full.sum(dim, keepdim=True)
    tau = (torch.where(between, x, 0.0).sum(dim, keepdim=True) - rest) / number.clamp_min(1)
    return torch.where(between, x - tau, full.to(x.dtype)).clamp(0, 1)


def _threshold(x: Tensor, total: int, dim: int) -> Tensor:
    """Return the tau at which the clamped differences sum to ``total``: their sum is piecewise linear between the x and the x - 1."""
    ends, order = torch.cat([x, x - 1], dim).sort(dim, descending=True)
    steps = torch.cat([torch.ones_like(x), -torch.ones_like(x)], dim).gather(dim, order)
    slopes = steps.cumsum(dim)  # of the sum, below each end
    sums = (slopes * (ends - ends.roll(-1, dim))).cumsum(dim)  # at the next end
    last = ends.shape[dim] - 2
    chosen = (sums < total).narrow(dim, 0, last + 1).sum(dim, keepdim=True).clamp_max(last)
    upper, slope = ends.gather(dim, chosen), slopes.gather(dim, chosen)
    before = sums.gather(dim, chosen) - slope * (upper - ends.gather(dim, chosen + 1))
    reached = upper - (total - before) / slope.clamp_min(1)
    return torch.where(sums.narrow(dim, last, 1) < total, ends.narrow(dim, last + 1, 1), reached)
