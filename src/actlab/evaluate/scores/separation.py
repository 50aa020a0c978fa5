"""Separation of two samples by a score, as ROC curve, the area under it, and false positive rate."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

__all__ = ["Floats", "area_under_roc", "false_positive_rate", "true_positive_rates"]

Floats: TypeAlias = npt.NDArray[np.float64]


def area_under_roc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Return the probability that a positive example has a higher score than a negative one, ties counted half.

    Args:
        positive: scores, shape (n,).
        negative: scores, shape (m,).

    Raises:
        ValueError: one of them is empty, or has a NaN.

    Example:
        >>> area_under_roc([2.0, 3.0], [1.0, 2.0])
        0.875
    """
    own, other = _scores(positive), _scores(negative)
    ranks = rankdata(np.concatenate((own, other)))[: own.size]
    return float((ranks.sum() - own.size * (own.size + 1) / 2) / (own.size * other.size))


def false_positive_rate(positive: npt.ArrayLike, negative: npt.ArrayLike, *, at: float = 0.95) -> float:
    """Return the share of negative examples above the highest threshold that at least a share ``at`` of the positive ones reaches.

    Args:
        positive: scores, shape (n,).
        negative: scores, shape (m,).
        at: share of positive examples that are accepted.

    Raises:
        ValueError: one of them is empty, or has a NaN.

    Example:
        >>> false_positive_rate([1.0, 2.0, 3.0, 4.0], [0.0, 2.5], at=0.75)
        0.5
    """
    own, other = np.sort(_scores(positive))[::-1], _scores(negative)
    # 0.95 * 20 is 19.000000000000004 in binary; the share of examples that is meant is 19
    needed = int(np.ceil(at * own.size - 1e-9))
    return float(np.mean(other >= own[max(needed, 1) - 1]))


def true_positive_rates(positive: npt.ArrayLike, negative: npt.ArrayLike, at: npt.ArrayLike) -> Floats:
    """Return the ROC curve at given false positive rates: the share of positive examples that a threshold accepts.

    Between the thresholds that the scores give, the curve is straight, so that the area under it is :func:`area_under_roc`.

    Args:
        positive: scores, shape (n,).
        negative: scores, shape (m,).
        at: false positive rates between 0 and 1, shape (k,).

    Returns:
        True positive rates, shape (k,).

    Raises:
        ValueError: one of the samples is empty, or has a NaN.

    Example:
        >>> true_positive_rates([2.0, 3.0], [1.0, 2.0], [0.0, 0.5, 1.0]).tolist()
        [0.5, 1.0, 1.0]
    """
    own, other = np.sort(_scores(positive)), np.sort(_scores(negative))
    thresholds = np.unique(np.concatenate((own, other)))[::-1]
    accepted = [(scores.size - np.searchsorted(scores, thresholds)) / scores.size for scores in (other, own)]
    false, true = (np.concatenate(([0.0], rates)) for rates in accepted)
    return np.interp(np.asarray(at, dtype=np.float64), false, true)


def _scores(values: npt.ArrayLike) -> Floats:
    scores = np.asarray(values, dtype=np.float64).ravel()
    if not scores.size or np.isnan(scores).any():
        raise ValueError(f"{scores.size} scores, {int(np.isnan(scores).sum())} of them NaN; numbers are needed")
    return scores
