"""Statements on many differences at once, of which on average at most a stated share is false.

For each of K differences (an arm to the baseline, in one column) there are three statements, "better", "worse" and "equivalent", each with
an e-process against it being false. At most one of them is made for a difference. Let s be the number of statements that are made. What is
true of a difference is one of five cases; in each, some of the three statements are false, and the mean of their e-values is an e-value ::

    worse by more than the region    "better", "equivalent" are false        (b + q) / 2
    worse by less                    "better" is false                        b
    no difference                    "better", "worse" are false             (b + w) / 2
    better by less                   "worse" is false                         w
    better by more than the region   "worse", "equivalent" are false         (w + q) / 2

So for every way in which the K differences may be, one case for each, the mean M of these K numbers is an e-value if that is how they are.
A set of s statements is made only if, for *every* such way, in which f of the s would be false ::

    f / s  <=  alpha * M.

**What holds.** The truth is one of these ways. The share of false statements f / s is at most alpha M in it, and M has an expectation of at
most 1 whenever one stops, for whatever reason, as the e-processes are supermartingales in one common history. So the expected share of
false statements, the false discovery rate, is at most alpha, whatever the dependence between columns and arms. By Ville's inequality M
ever reaches x with probability at most 1/x, so that, however often somebody looks,

* if no arm differs from the baseline in any column, "better" or "worse" is ever stated with probability at most alpha;
* more than half of the statements are ever false at the same time with probability at most 2 alpha.

The rate is that of all statements together; it does not hold for a part of them that somebody picks.

**Computation.** For s given statements and f, the smallest M is a sum of each difference's smallest number, plus the f smallest
increases among the s that make a statement false. The s with the largest evidence are tried, from s = K down.

Sources: Wang & Ramdas (2022), arXiv 2009.02824, for e-values and the false discovery rate; Xu et al. (2025), arXiv 2509.02517, for the
closed test of it. That the cases of a difference exclude each other is used in addition. `benchmarks/axis_error_control.py` measures rate
and power.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actlab.stats.e_process import Floats

__all__ = ["STATEMENTS", "find_statements", "needed_for_statement"]

#: In the order of the last axis of the evidence.
STATEMENTS: Final = ("equivalent", "better", "worse")
# By statement, in which of the five cases of the module's docstring it is false.
_FALSE: Final = np.array(
    [[True, False, False, False, True], [True, True, True, False, False], [False, False, True, True, True]]
)


def find_statements(evidence: Floats, alpha: float) -> NDArray[np.int64]:
    """Return the statements that are made, at most one for each difference.

    Args:
        evidence: e-values of "equivalent", "better" and "worse" for each difference, shape (..., differences, 3); 0 for a statement that
            is not to be made.
        alpha: largest false discovery rate.

    Returns:
        Index in :data:`STATEMENTS`, or -1 where nothing is stated, shape (..., differences).

    Example:
        >>> found = find_statements(np.array([[0.0, 90.0, 0.01], [0.1, 0.01, 85.0], [1.2, 0.8, 0.9]]), alpha=0.05)
        >>> [STATEMENTS[index] if index >= 0 else "undecided" for index in found.tolist()]
        ['better', 'worse', 'undecided']
    """
    rows = evidence.reshape(math.prod(evidence.shape[:-2]), *evidence.shape[-2:])
    # Equivalence that is beyond doubt comes before "better by less than matters".
    statement = np.minimum(rows, _beyond_doubt(rows.shape[1], alpha)).argmax(-1)
    strength = np.take_along_axis(rows, statement[..., None], -1)[..., 0]
    order = np.argsort(-strength, axis=1, kind="stable")
    if_true, if_false = (np.take_along_axis(part, order, 1) for part in _smallest(rows, statement))
    made = np.where(strength > 0, _number_made(if_true, if_false, alpha)[:, None] > np.argsort(order, axis=1), False)
    return np.where(made, statement, -1).reshape(evidence.shape[:-1])


def _smallest(rows: Floats, statement: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return each difference's smallest number over the cases in which its statement is true, and over those in which it is false."""
    q, b, w = np.moveaxis(rows, -1, 0)
    cases = np.stack([(b + q) / 2, b, (b + w) / 2, w, (w + q) / 2], axis=-1)
    is_false = _FALSE[statement]
    return np.where(is_false, np.inf, cases).min(-1), np.where(is_false, cases, np.inf).min(-1)


def _number_made(if_true: Floats, if_false: Floats, alpha: float) -> NDArray[np.int64]:
    """Return how many of the first differences have a statement, for rows that are ordered by strength, shape (rows,)."""
    differences = if_true.shape[1]
    smaller = np.minimum(if_true, if_false)
    true_before, other_after = if_true.cumsum(1), smaller[:, ::-1].cumsum(1)[:, ::-1]
    after = np.concatenate([other_after[:, 1:], np.zeros((len(if_true), 1))], axis=1)
    made = np.zeros(len(if_true), dtype=np.int64)
    for s in range(differences, 0, -1):
        left = np.flatnonzero(made == 0)
        increases = np.sort(if_false[left, :s] - if_true[left, :s], axis=1).cumsum(1)
        sums = (true_before[left, s - 1] + after[left, s - 1])[:, None] + increases
        false_share = np.arange(1, s + 1) / s
        made[left[(alpha * sums >= differences * false_share).all(axis=1)]] = s
    return made


def _beyond_doubt(differences: int, alpha: float) -> float:
    """Return the evidence with which a statement is made whatever the others are: it may be one of two, and its difference one of K."""
    return 2 * differences / alpha


def needed_for_statement(made: int, differences: int, alpha: float) -> float:
    """Return evidence with which one more statement is made, beside those that are; a smaller one may do.

    Args:
        made: number of statements.
        differences: number of differences.
        alpha: largest false discovery rate.

    Example:
        >>> needed_for_statement(made=0, differences=1, alpha=0.05), needed_for_statement(made=11, differences=24, alpha=0.05)
        (40.0, 80.0)
    """
    return _beyond_doubt(differences, alpha) / (made + 1)
