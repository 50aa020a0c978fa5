"""Sparse softmax alternatives on the simplex (sparsemax, 1.5-entmax and alpha-entmax).

Each finds the threshold tau above which the remainder sums to 1, and is twice differentiable in all its arguments.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["alpha_entmax", "entmax15", "sparsemax"]

# The start is at most ln(n) + 5 steps from float64 rounding (measured: 14 for n = 10 000); the last 2 carry the derivatives.
NEWTON_STEPS = 24


def _ranks(x: Tensor, dim: int) -> Tensor:
    """Return 1, 2, 3, ... along a dimension, in a shape that broadcasts."""
    return torch.ones_like(x).cumsum(dim)


def sparsemax(x: Tensor, dim: int) -> Tensor:
    """Return the point of the simplex nearest to ``x`` along ``dim``, by sorting (Martins & Astudillo 2016, arXiv:1602.02068)."""
    x = x - x.amax(dim, keepdim=True).detach()
    ordered = x.sort(dim=dim, descending=True).values
    ranks = _ranks(x, dim)
    sums = ordered.cumsum(dim) - 1
    support = (ranks * ordered > sums).sum(dim, keepdim=True)
    tau = sums.gather(dim, support - 1) / support
    return (x - tau).relu()


def entmax15(x: Tensor, dim: int) -> Tensor:
    """Return the 1.5-entmax along ``dim``, by sorting (Peters, Niculae & Martins 2019, arXiv:1905.05702)."""
    x = (x - x.amax(dim, keepdim=True).detach()) / 2
    ordered = x.sort(dim=dim, descending=True).values
    ranks = _ranks(x, dim)
    mean = ordered.cumsum(dim) / ranks
    spread = (ordered**2).cumsum(dim) - ranks * mean**2
    rest = (1 - spread) / ranks
    # where: the derivative of a root at 0 is infinite
    taus = mean - torch.where(rest > 0, rest, 1.0).sqrt() * (rest > 0)
    support = (taus <= ordered).sum(dim, keepdim=True)
    tau = taus.gather(dim, support - 1)
    return (x - tau).relu() ** 2


def alpha_entmax(x: Tensor, alpha: Tensor | float, dim: int) -> Tensor:
    """Return the alpha-entmax along ``dim`` for 1 < alpha <= 2, by Newton's method (same source; learned alpha: arXiv:1909.00015).

    The sum above tau is convex in tau, so that Newton's steps from the left, tau = max - 1, never pass the root.
    """
    z = (alpha - 1) * (x - x.amax(dim, keepdim=True).detach())
    power = 1 / (alpha - 1)
    tau = torch.full_like(z.narrow(dim, 0, 1), -1.0)
    for step in range(NEWTON_STEPS):
        # Two steps at the root give first and second derivatives (implicit differentiation).
        differentiable = step >= NEWTON_STEPS - 2
        tau = _newton(z, power, tau, dim) if differentiable else _newton(z.detach(), _detach(power), tau, dim).detach()
    return _positive_power(z - tau, power)


def _newton(z: Tensor, power: Tensor | float, tau: Tensor, dim: int) -> Tensor:
    slopes = _positive_power(z - tau, power - 1)
    excess = (slopes * (z - tau)).sum(dim, keepdim=True) - 1
    return tau + excess / (power * slopes.sum(dim, keepdim=True))


def _positive_power(base: Tensor, power: Tensor | float) -> Tensor:
    """Return ``base**power`` where the base is above zero, else 0 (also for power 0), with finite derivatives."""
    positive = base > 0
    return torch.where(positive, torch.where(positive, base, 1.0) ** power, 0.0)


def _detach(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value
