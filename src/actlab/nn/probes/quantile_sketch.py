"""Quantiles of a stream of numbers in constant memory, to a relative error of 1/32.

The leading bits of a float32 (sign, exponent and five bits of the mantissa) are its bucket: no logarithm and no known range are needed, two
passes over the numbers suffice, and sketches of two streams add up. Buckets of equal relative width are the idea of DDSketch (Masson, Rim,
Lee 2019, arXiv:1908.10693).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["BUCKETS", "ERROR", "QuantileSketch"]

_MANTISSA: Final = 5  # leading bits
_SHIFT: Final = 23 - _MANTISSA
BUCKETS: Final = 1 << (9 + _MANTISSA)
_HALF: Final = BUCKETS // 2  # first bucket of the negative numbers, the largest first
_FINITE: Final = 255 << _MANTISSA  # buckets of finite numbers in a half; infinity and the NaNs follow
ERROR: Final = 2.0**-_MANTISSA  # width of a bucket relative to its lower end


class QuantileSketch:
    """Counts of numbers by their leading bits.

    Example:
        >>> sketch = QuantileSketch()
        >>> sketch.add(torch.arange(1.0, 1001.0))
        >>> abs(sketch.quantiles([0.5])[0] - 500.5) <= 500.5 * ERROR
        True
    """

    def __init__(self) -> None:
        self.counts: Tensor | None = None

    def add(self, values: Tensor) -> None:
        """Count every element of a floating tensor of any shape; float64 is rounded to float32 first."""
        bits = values.detach().float().contiguous().view(torch.int32).flatten()
        keys = torch.bitwise_and(torch.bitwise_right_shift(bits, _SHIFT), BUCKETS - 1)
        counts = torch.bincount(keys, minlength=BUCKETS)
        self.counts = counts if self.counts is None else self.counts.add_(counts)

    def merge(self, other: QuantileSketch) -> None:
        """Add the counts of another sketch."""
        if other.counts is not None:
            self.counts = other.counts.clone() if self.counts is None else self.counts.add_(other.counts)

    @property
    def nonfinite(self) -> int:
        """Number of infinite values and NaNs."""
        if self.counts is None:
            return 0
        return int(self.counts[_FINITE:_HALF].sum() + self.counts[_HALF + _FINITE :].sum())

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return the quantiles of the numbers without NaNs; NaN where there are none.

        Args:
            shares: probabilities from 0 to 1.
        """
        edges, counts = self._ascending()
        total = int(counts.sum())
        if not total:
            return [float("nan")] * len(shares)
        reached = np.cumsum(counts)
        return [self._at(share * (total - 1), edges, counts, reached) for share in shares]

    @staticmethod
    def _at(rank: float, edges: np.ndarray, counts: np.ndarray, reached: np.ndarray) -> float:
        bucket = int(np.searchsorted(reached, rank, side="right"))
        bucket = min(bucket, int(np.flatnonzero(counts)[-1]))
        near, far = edges[bucket]
        if not np.isfinite(far) or not np.isfinite(near):
            return float(near)
        inside = (rank - (reached[bucket] - counts[bucket]) + 0.5) / counts[bucket]
        return float(near + (far - near) * min(1.0, max(0.0, inside)))

    def _ascending(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends, shape ``(buckets, 2)``, and counts of the buckets in ascending order, without the NaNs."""
        counts = np.zeros(BUCKETS, np.int64) if self.counts is None else self.counts.cpu().numpy()
        ends = (np.arange(_FINITE + 1, dtype=np.int64) << _SHIFT).astype(np.int32).view(np.float32).astype(np.float64)
        with np.errstate(invalid="ignore"):
            positive = np.stack([ends, np.append(ends[1:], np.inf)], axis=1)
        positive[0] = 0.0  # zeros, and numbers too small to be distinguished from zero
        edges = np.concatenate([-positive[::-1], positive])
        return edges, np.concatenate([counts[_HALF : _HALF + _FINITE + 1][::-1], counts[: _FINITE + 1]])
