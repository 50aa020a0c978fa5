"""Closed test of many null hypotheses by averages of their e-values.

Given non-negative numbers, one a hypothesis, such that their average over the set of true hypotheses is an e-value, a hypothesis
is rejected at alpha when the average over *every* set that contains it is at least 1/alpha. The set of true hypotheses is one of these
sets, so any true hypothesis is rejected with probability at most alpha. If the numbers are supermartingales in one common
history, so is the average over a fixed set, and the statement holds for all times together.

For each size of a set, the smallest average is that of the hypothesis with the smallest other numbers; no other set needs to be looked at.

Source: Vovk & Wang (2021), arXiv 1912.06116, for the closed test by averages.
"""

from __future__ import annotations

import math

import numpy as np

from actlab.stats.e_process import Floats

__all__ = ["closed_evidence", "evidence_beside", "needed_evidence"]


def closed_evidence(evidence: Floats) -> Floats:
    """Return for each hypothesis the smallest average over the sets that contain it; it is rejected at 1/alpha.

    Args:
        evidence: non-negative numbers, one per hypothesis, shape (..., hypotheses).

    Example:
        >>> closed_evidence(np.array([90.0, 0.5, 30.0])).round(2).tolist()
        [40.17, 0.5, 15.25]
    """
    rows = evidence.reshape(math.prod(evidence.shape[:-1]), evidence.shape[-1])
    return np.array([_closed_row(row) for row in rows]).reshape(evidence.shape)


def _closed_row(evidence: Floats) -> Floats:
    ordered = np.sort(evidence)
    sums = np.concatenate([[0.0], ordered.cumsum()])  # of the 0, 1, .. smallest numbers
    # The next number, ordered[t], lowers the average of t smaller ones and x if it is below it: (t + 1) * ordered[t] - sums[t] < x.
    # The left side increases with t, and at the rank of x it is at least x, so x is not added twice.
    added = np.searchsorted(np.arange(1, evidence.size + 1) * ordered - sums[:-1], evidence)
    return np.asarray((evidence + sums[added]) / (added + 1), dtype=np.float64)


def evidence_beside(evidence: Floats, others: Floats) -> Floats:
    """Return the smallest average over the sets of one hypothesis and any of the others.

    Args:
        evidence: of the hypothesis, shape (...).
        others: of the other hypotheses, shape (..., others).

    Example:
        >>> evidence_beside(np.array(90.0), np.array([30.0, 0.5])).round(2).tolist()
        40.17
    """
    sums = np.concatenate([np.zeros_like(evidence)[..., None], np.sort(others, axis=-1).cumsum(-1)], axis=-1)
    averages = (sums + evidence[..., None]) / np.arange(1, sums.shape[-1] + 1)
    return np.asarray(averages.min(axis=-1), dtype=np.float64)


def needed_evidence(others: Floats, bound: float) -> float:
    """Return the smallest number with which a hypothesis is rejected, if the numbers of the others stay as they are.

    Args:
        others: of the other hypotheses, shape (others,).
        bound: 1/alpha.

    Example:
        >>> needed_evidence(np.array([30.0, 0.5]), 20.0)
        39.5
    """
    sums = np.concatenate([[0.0], np.sort(others).cumsum()])
    return float((bound * np.arange(1, sums.size + 1) - sums).max())
