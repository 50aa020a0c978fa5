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

    The threshold is ``((alpha - 1) t - 1) / (alpha - 1)`` below the maximum: in t nothing cancels as alpha goes to 1, where the powers are
    those of softmax. The sum above it is convex in t, so that Newton's steps from the left, t = 0, never pass the root.
    """
    z = x - x.amax(dim, keepdim=True).detach()
    rate = alpha - 1
    t = torch.zeros_like(z.narrow(dim, 0, 1))
    for step in range(NEWTON_STEPS):
        # Two steps at the root give first and second derivatives (implicit differentiation).
        differentiable = step >= NEWTON_STEPS - 2
        t = _newton(z, rate, t, dim) if differentiable else _newton(z.detach(), _detach(rate), t, dim).detach()
    return _power(z - t, rate)[0]


def _newton(z: Tensor, rate: Tensor | float, t: Tensor, dim: int) -> Tensor:
    values, slopes = _power(z - t, rate)
    return t + (values.sum(dim, keepdim=True) - 1) / slopes.sum(dim, keepdim=True)


def _power(x: Tensor, rate: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return ``(1 + rate x)^(1 / rate)``, which goes to ``e^x`` with the rate, and its slope; both 0 where the base is not above zero."""
    positive = rate * x > -1
    above = torch.where(positive, rate * x, 0.0)
    value = torch.where(positive, (above.log1p() / rate).exp(), 0.0)
    return value, value / (1 + above)


def _detach(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value
