"""P-values of nearest neighbours that are nearer than the density of the data around them explains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["chosen_by_rate", "gap_p_values"]

# Copies of one example that are told from its other neighbours, as a share of the neighbours that are known.
_COPIES = 0.25
# Distances below this share of the typical one are equal to it: what float32 makes of equal numbers.
_RESOLUTION = 1e-6
_FEWEST = 6  # neighbours, below which the density cannot be told


def gap_p_values(
    distances: npt.NDArray[Any], dimensions: float = math.inf
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return p-values of the hypothesis that an example's nearest neighbours are no copies of it, and the number of copies.

    Where the density of the data is uniform around an example, in any number m of dimensions, the volumes of the balls up to its
    neighbours are those of a Poisson process. Then j * log(d[j+1] / d[j]) are independent exponential variables of one scale 1 / m
    (Facco et al., Scientific Reports 7, 12140, 2017, use the first of them), whatever m and the density are, so that the ratio of the one
    behind the c-th neighbour to the sum S of the r that follow has the tail probability (1 + T / S) ** -r. The smallest over c, times the
    number of c, is the p-value: neither a distance nor a dimension has to be chosen. It is exact for such data. S is taken to be at least
    r / ``dimensions``: far clusters, whose points are all about equally far away, would otherwise look like a very high dimension.

    Args:
        distances: of each example to its nearest neighbours, ascending, shape (n, k); infinite where there are fewer.
        dimensions: largest possible number of dimensions, that of the points' coordinates.

    Returns:
        p-values, shape (n,), 1 with fewer than 6 neighbours or where all are equally far; and how many neighbours are before the gap.

    Example:
        >>> far = np.linspace(1.0, 1.5, 19)
        >>> p, copies = gap_p_values(np.array([[0.97, *far], [0.01, *far], [0.01, 0.01, *far[:-1]]]))
        >>> (p < 1e-4).tolist(), copies[1:].tolist()
        ([False, True, True], [1, 2])
    """
    p, copies = np.ones(len(distances)), np.zeros(len(distances), dtype=np.int64)
    known = np.isfinite(distances).sum(1)
    scale = np.median(distances[np.isfinite(distances)]) if known.any() else 0.0
    for count in np.unique(known):
        rows = np.nonzero(known == count)[0]
        if count >= _FEWEST and scale > 0:
            p[rows], copies[rows] = _gaps(np.maximum(distances[rows, :count], _RESOLUTION * scale), dimensions)
    return p, copies


def _gaps(distances: npt.NDArray[Any], dimensions: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    n, k = distances.shape
    tried = max(1, math.floor(_COPIES * k))
    spacings = np.arange(1, k) * np.diff(np.log(distances.astype(np.float64)), axis=1)
    rest = np.cumsum(spacings[:, ::-1], axis=1)[:, ::-1]  # from each gap on
    p, copies = np.ones(n), np.zeros(n, dtype=np.int64)
    for place in range(min(tried, k - 3)):
        number = k - 2 - place
        after = np.maximum(rest[:, place + 1], number / dimensions)
        ratio = np.divide(spacings[:, place], after, out=np.zeros(n), where=after > 0)
        tail = np.exp(-number * np.log1p(ratio))
        better = tail < p
        p[better], copies[better] = tail[better], place + 1
    return np.minimum(1.0, p * tried), copies


def chosen_by_rate(p: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    """Return which hypotheses are rejected at a false discovery rate (Benjamini and Hochberg, 1995).

    In data in which all hypotheses hold, the chance that any is rejected is at most ``rate``.

    Args:
        p: p-values, shape (n,).
        rate: in (0, 1).

    Example:
        >>> chosen_by_rate(np.array([0.001, 0.9, 0.02, 0.5]), 0.05).tolist()
        [True, False, True, False]
    """
    order = np.sort(p)
    below = np.nonzero(order <= rate * np.arange(1, len(p) + 1) / max(1, len(p)))[0]
    return p <= order[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)
