"""Effective rank of a layer's units from a streamed covariance.

The effective rank is the participation ratio of the covariance, ``(tr C)^2 / tr(C^2)``: the number of units where they are independent and
have equal variance, 1 where all follow one. Up to 512 units the covariance itself is accumulated. Wider layers are projected to 512 random
directions first, which keeps the trace and adds a known amount to ``tr(C^2)`` that is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import nan, sqrt
from typing import Final

import torch
from torch import Tensor

__all__ = ["ROWS", "UnitCovariance"]

WIDEST: Final = 512
"""Most units whose covariance is accumulated without projection: 2 MiB in float64."""

ROWS: Final = 1024
"""Rows that are used of one batch, evenly spread over it; the product costs rows times width squared."""


class UnitCovariance:
    """Covariance of units, or of random projections of them, over a stream of rows.

    Args:
        width: number of units.

    Example:
        >>> covariance = UnitCovariance(3)
        >>> covariance.add(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
        >>> round(covariance.effective_rank, 6)
        2.0
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.size = min(width, WIDEST)
        self.rows = 0
        self._sums: _Sums | None = None

    def add(self, rows: Tensor) -> None:
        """Add rows.

        Args:
            rows: floating, shape ``(n, width)``.
        """
        rows = rows.detach().float()
        if self.size < self.width:
            rows = rows @ _directions(self.width, self.size, rows.device)
        wide = torch.float32 if rows.device.type == "mps" else torch.float64  # MPS has no float64
        if self._sums is None:
            total = torch.zeros(self.size, dtype=wide, device=rows.device)
            products = torch.zeros(self.size, self.size, dtype=wide, device=rows.device)
            self._sums = _Sums(shift=rows.mean(0), total=total, products=products)
        rows = rows - self._sums.shift
        self._sums.total += rows.sum(0)
        self._sums.products += rows.T @ rows
        self.rows += len(rows)

    def merge(self, other: UnitCovariance) -> None:
        """Add the rows of another stream of the same units."""
        if other._sums is None:
            return
        if self._sums is None:
            self._sums = other._sums.copy()
        else:
            self._sums.merge(other._sums, other.rows)
        self.rows += other.rows

    @property
    def effective_rank(self) -> float:
        """Participation ratio of the covariance; at most the number of rows; NaN where nothing varies."""
        if self._sums is None:
            return nan
        mean = self._sums.total / self.rows
        covariance = self._sums.products / self.rows - torch.outer(mean, mean)
        trace, squares = float(covariance.trace()), float(covariance.square().sum())
        if self.size < self.width:  # E tr(S^2) = tr(C^2) (1 + 1/k) + (tr C)^2 / k for k normal directions
            squares = (squares - trace**2 / self.size) / (1 + 1 / self.size)
        return trace**2 / squares if trace > 0 and squares > 0 else nan


@dataclass(kw_only=True)
class _Sums:
    """Sum and products of rows minus a shift, the mean of the first rows: around zero they cancel where the mean is large."""

    shift: Tensor
    total: Tensor
    products: Tensor

    def copy(self) -> _Sums:
        return _Sums(shift=self.shift.clone(), total=self.total.clone(), products=self.products.clone())

    def merge(self, other: _Sums, rows: int) -> None:
        """Add the sums of ``rows`` other rows."""
        gap = (other.shift - self.shift).to(self.total.dtype)
        crossed = torch.outer(gap, other.total)
        self.products += other.products + crossed + crossed.T + rows * torch.outer(gap, gap)
        self.total += other.total + rows * gap


@lru_cache(maxsize=8)
def _directions(width: int, size: int, device: torch.device) -> Tensor:
    """Return normal directions from a separate generator."""
    directions = torch.randn(
        width, size, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
    ) / sqrt(size)
    return directions.to(device)
