"""Closed test of "this row is the best one" for every row of a table, from the p-values of all pairs.

Which row has the best mean is read from the figures that are tested. A test of each row against that one alone calls some of several
equal rows worse far more often than its error rate says. Here no truly best row, of several equal ones none, is called worse with
probability 1 - alpha.

A set of m rows of K is rejected as "equal and best" when a member is shown to be worse than another member at
``alpha / 2 / (m (m - 1))`` or than any other row at ``alpha / 2 / (m (K - m))``, one-sided; a row is worse when every set that contains it
is rejected. Sets need not be counted out: a set that is not rejected has no member that is worse than any row at both levels, and no two
members of which one is worse at the first. If fewer than m rows can stand beside a row in this way, every set of m with it is rejected.

Source: Marcus, Peritz & Gabriel (1976), Biometrika 63, for closed tests; Hsu (1984), Annals of Statistics 12, for comparisons with the
best.
"""

from __future__ import annotations

import numpy as np

from actlab.stats.e_process import Floats

__all__ = ["p_values_of_best"]


def p_values_of_best(p_values: Floats, scores: Floats) -> Floats:
    """Return for each row the adjusted p-value of "this row is the best one, or equal to it".

    Args:
        p_values: two-sided, of all pairs, shape (rows, rows); NaN where there is no test.
        scores: means, larger is better, shape (rows,).

    Returns:
        Shape (rows,); NaN for a row without any test.

    Example:
        >>> nan = np.nan
        >>> p = np.array([[nan, 0.01, 0.8], [0.01, nan, 0.04], [0.8, 0.04, nan]])
        >>> p_values_of_best(p, np.array([0.9, 0.5, 0.89])).round(3).tolist()
        [1.0, 0.03, 1.0]
    """
    tested = ~np.isnan(p_values).all(axis=1)
    is_better = scores[None, :] > scores[:, None]  # the other row (column) than this row
    one_sided = np.where(is_better, p_values / 2, 1 - p_values / 2)[np.ix_(tested, tested)]
    found = np.full(scores.shape, np.nan)
    found[tested] = _adjusted(np.where(np.isnan(one_sided), 1.0, one_sided))
    return found


def _adjusted(worse: Floats) -> Floats:
    """Return the adjusted p-values from those of "the row is worse than the column", which are 1 on the diagonal."""
    rows = len(worse)
    smallest, either = worse.min(axis=1, initial=1.0), np.minimum(worse, worse.T)
    adjusted = smallest * max(1, rows - 1)  # sets of one
    for size in range(2, rows + 1):
        inside = size * (size - 1) * (1 if size == rows else 2)
        # levels at which a row leaves the sets of this size: itself, and beside each other row
        leaves = smallest * max(inside, 2 * size * (rows - size))
        beside = np.minimum(leaves[None, :], either * inside)
        np.fill_diagonal(beside, -np.inf)
        needed = np.partition(beside, rows - size + 1, axis=1)[:, rows - size + 1]  # the (size - 1)th largest
        adjusted = np.maximum(adjusted, np.minimum(leaves, needed))
    return np.asarray(np.minimum(adjusted, 1.0), dtype=np.float64)
