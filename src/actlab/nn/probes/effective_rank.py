"""The spread: in how many directions the units of a layer move together, streamed.

The effective rank is the participation ratio of the covariance, ``(tr C)^2 / tr(C^2)``: the number of units where they are independent and
alike, 1 where all follow one. Up to 512 units the covariance itself is summed up. Wider layers are projected to 512 random directions
first, which keeps the trace and adds a known amount to ``tr(C^2)`` that is taken off again.
"""

from __future__ import annotations

from functools import lru_cache
from math import nan, sqrt
from typing import Final

import torch
from torch import Tensor

__all__ = ["ROWS", "Spread"]

WIDEST: Final = 512  # units whose covariance is summed up as it is: 2 MiB in float64
ROWS: Final = (
    1024  # rows of one batch that are looked at, evenly spread over it; the product costs rows times width squared
)


class Spread:
    """The covariance of the units, or of random projections of them, over a stream of rows.

    Args:
        width: number of units.

    Example:
        >>> spread = Spread(3)
        >>> spread.add(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
        >>> round(spread.effective_rank, 6)
        2.0
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.size = min(width, WIDEST)
        self.rows = 0
        self._shift: Tensor | None = (
            None  # the first batch's mean: a covariance around zero cancels where the mean is large
        )
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Take rows in.

        Args:
            rows: of shape ``(n, width)``.
        """
        rows = rows.detach().float()
        if self.size < self.width:
            rows = rows @ _directions(self.width, self.size, rows.device)
        wide = torch.float32 if rows.device.type == "mps" else torch.float64  # MPS has no float64
        if self._shift is None:
            self._shift = rows.mean(0)
            self._sum = torch.zeros(self.size, dtype=wide, device=rows.device)
            self._products = torch.zeros(self.size, self.size, dtype=wide, device=rows.device)
        rows = rows - self._shift
        assert self._sum is not None  # noqa: S101 # set with the shift
        assert self._products is not None  # noqa: S101 # set with the shift
        self._sum += rows.sum(0)
        self._products += rows.T @ rows
        self.rows += len(rows)

    def merge(self, other: Spread) -> None:
        """Take the rows of another stream of the same units in."""
        if other._shift is None:
            return
        assert other._sum is not None  # noqa: S101 # set with the shift
        assert other._products is not None  # noqa: S101 # set with the shift
        if self._shift is None or self._sum is None or self._products is None:
            self._shift, self._sum, self._products = (
                other._shift.clone(),
                other._sum.clone(),
                other._products.clone(),
            )
        else:
            away = (other._shift - self._shift).to(self._sum.dtype)
            crossed = torch.outer(away, other._sum)
            self._products += other._products + crossed + crossed.T + other.rows * torch.outer(away, away)
            self._sum += other._sum + other.rows * away
        self.rows += other.rows

    @property
    def effective_rank(self) -> float:
        """Participation ratio of the covariance; at most the number of rows; NaN where nothing moves."""
        if self._sum is None or self._products is None:
            return nan
        mean = self._sum / self.rows
        covariance = self._products / self.rows - torch.outer(mean, mean)
        trace, squares = float(covariance.trace()), float(covariance.square().sum())
        if self.size < self.width:  # E tr(S^2) = tr(C^2) (1 + 1/k) + (tr C)^2 / k for k normal directions
            squares = (squares - trace**2 / self.size) / (1 + 1 / self.size)
        return trace**2 / squares if trace > 0 and squares > 0 else nan


@lru_cache(maxsize=8)
def _directions(width: int, size: int, device: torch.device) -> Tensor:
    """Return normal directions, of their own generator: nothing else's random numbers change."""
    drawn = torch.randn(width, size, generator=torch.Generator().manual_seed(0)) / sqrt(size)
    return drawn.to(device)
