"""The sketch: quantiles of a stream of numbers in constant memory, to a relative error of 1/32.

A float's leading bits (sign, exponent and five of the mantissa) are its bucket: no logarithm is taken and no range need be known,
two passes over the numbers suffice, and sketches of two streams add up. Buckets of equal relative width are the idea of DDSketch
(Masson, Rim, Lee 2019, arXiv:1908.10693).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["BUCKETS", "ERROR", "Sketch"]

_MANTISSA: Final = 5  # leading bits of the mantissa
_SHIFT: Final = 23 - _MANTISSA
BUCKETS: Final = 1 << (9 + _MANTISSA)
_HALF: Final = BUCKETS // 2  # from here on the numbers are negative, the largest first
_FINITE: Final = 255 << _MANTISSA  # from here on, within a half, lie infinity (the first bucket) and NaN
ERROR: Final = 2.0**-_MANTISSA  # a bucket's width, relative to its lower end


class Sketch:
    """Counts of numbers by their leading bits.

    Example:
        >>> sketch = Sketch()
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
        found = torch.bincount(keys, minlength=BUCKETS)
        self.counts = found if self.counts is None else self.counts.add_(found)

    def merge(self, other: Sketch) -> None:
        """Take the counts of another sketch in."""
        if other.counts is not None:
            self.counts = other.counts.clone() if self.counts is None else self.counts.add_(other.counts)

    @property
    def nonfinite(self) -> int:
        """How many numbers were infinite or NaN."""
        if self.counts is None:
            return 0
        return int(self.counts[_FINITE:_HALF].sum() + self.counts[_HALF + _FINITE :].sum())

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return the quantiles of the numbers that are no NaN; NaN where there are none.

        Args:
            shares: of the numbers, from 0 to 1.
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
        """Return the two ends of every bucket without the NaNs, and its count, in the order of the numbers."""
        counts = np.zeros(BUCKETS, np.int64) if self.counts is None else self.counts.cpu().numpy()
        ends = (np.arange(_FINITE + 1, dtype=np.int64) << _SHIFT).astype(np.int32).view(np.float32).astype(np.float64)
        with np.errstate(invalid="ignore"):
            positive = np.stack([ends, np.append(ends[1:], np.inf)], axis=1)
        positive[0] = 0.0  # zeros, and what is too small to be told from them
        return np.concatenate([-positive[::-1], positive]), np.concatenate(
            [counts[_HALF : _HALF + _FINITE + 1][::-1], counts[: _FINITE + 1]]
        )
