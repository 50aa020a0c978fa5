"""Values far from all others, by a rule that up to a quarter of such values cannot hide from."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actlab.stats.e_process import Floats

__all__ = ["far_out"]

_FEWEST: Final = 5
_TIMES: Final = 8.0
"""A value of Gaussian samples of 5, 10 and 20 is called far out in 0.7, 0.05 and 0.0 % of the samples, of Student's t with 3 degrees of
freedom in 2 to 4 %, a collapse at 87 standard deviations always (20,000 samples each)."""


def far_out(values: ArrayLike, *, resolution: float = 0.0) -> NDArray[np.bool_]:
    """Return which values are far from all others.

    A value is far out when its distance from the median is more than 8 times the largest distance without the farthest quarter of the
    values (at least one), and more than ``resolution``.

    Args:
        values: shape (n,), any order; no NaN.
        resolution: distance that does not matter, in the unit of the values.

    Returns:
        Booleans, shape (n,); none is true with fewer than 5 values.

    Example:
        >>> far_out([0.97, 0.98, 0.1, 0.97, 0.96, 0.98]).tolist()
        [False, False, True, False, False, False]
    """
    sample: Floats = np.asarray(values, dtype=np.float64)
    if sample.size < _FEWEST:
        return np.zeros(sample.shape, dtype=np.bool_)
    distance = np.abs(sample - np.median(sample))
    rest = np.sort(distance)[sample.size - max(1, sample.size // 4) - 1]
    return np.asarray(distance > max(_TIMES * float(rest), resolution), dtype=np.bool_)
