"""Holm's correction of a family of p-values.

Source: Holm (1979), Scandinavian Journal of Statistics 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from actlab.stats.e_process import Floats

__all__ = ["holm"]


def holm(p_values: ArrayLike) -> Floats:
    """Return the adjusted p-values; no true hypothesis is rejected at alpha with probability 1 - alpha.

    Args:
        p_values: shape (tests,); NaN stands for no test, and stays.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    steps = np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
