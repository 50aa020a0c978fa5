"""Confidence set of the best row of a table, by comparison of each row with all others.

Which row has the best mean is read from the figures that are tested, so a test of each row against that one alone says little about
the truly best row. Here a row is left out of the set if any other row is shown to be better than it, by one-sided tests at
alpha / (K - 1) for K rows. The truly best row is left out with probability alpha at most, whichever row has the best mean. Of rows that
are exactly equal and best, each is in the set with probability 1 - alpha.

Source: Hsu (1984), Annals of Statistics 12, for multiple comparisons with the best; here with Welch's test and Bonferroni's bound.
"""

from __future__ import annotations

import numpy as np

from actlab.stats.e_process import Floats

__all__ = ["p_values_of_best"]


def p_values_of_best(p_values: Floats, scores: Floats) -> Floats:
    """Return for each row the p-value of "this row is the best one", corrected for the number of other rows.

    Args:
        p_values: two-sided, of all pairs, shape (rows, rows); NaN where there is no test.
        scores: means, larger is better, shape (rows,).

    Returns:
        Shape (rows,); NaN for a row without any test.

    Example:
        >>> nan = np.nan
        >>> p = np.array([[nan, 0.01, 0.8], [0.01, nan, 0.04], [0.8, 0.04, nan]])
        >>> p_values_of_best(p, np.array([0.9, 0.5, 0.89])).tolist()
        [1.0, 0.01, 0.8]
    """
    is_better = scores[None, :] > scores[:, None]  # the other row (column) than this row
    one_sided = np.where(is_better, p_values / 2, 1 - p_values / 2)
    tests = (~np.isnan(p_values)).sum(axis=1)
    smallest = np.where(np.isnan(one_sided), 1.0, one_sided).min(axis=1)
    return np.asarray(np.where(tests > 0, np.minimum(1.0, smallest * tests), np.nan), dtype=np.float64)
