"""Comparison of the rows of a published table with the best one and with the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from actlab.published.result import Comparison, LintRow, RunsNeeded
from actlab.published.table import PublishedTable
from actlab.stats.e_process import Floats
from actlab.stats.published.best_set import p_values_of_best
from actlab.stats.published.holm import holm
from actlab.stats.published.sample_summary import Summary, largest_spread, runs_needed, welch_p_values

__all__ = ["Compared", "compare_rows"]

_ONE_PAIR = 0.05  # error rate of a test of one pair alone


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Rows with their comparisons.

    Attributes:
        rows: in the order of the file.
        best: index of the row with the best mean.
        ties: indices of the rows that are not shown to differ from the best one, that one first; empty where nothing can be tested.
        needed: runs of the claimed winner against the best other row.
        notes: what cannot be concluded.
    """

    rows: tuple[LintRow, ...]
    best: int
    ties: tuple[int, ...]
    needed: RunsNeeded
    notes: tuple[str, ...]


def compare_rows(table: PublishedTable, summaries: Sequence[Summary], alpha: float, winner: int | None) -> Compared:
    """Compare the rows of a table by Welch's test, with the best one and with the baseline.

    Args:
        table: with the rows' names.
        summaries: figures of the rows, in their order.
        alpha: error rate.
        winner: index of the row that the source calls the best; None for the row with the best mean.
    """
    sign = 1 if table.direction == "max" else -1
    scores = np.array([sign * row.mean for row in summaries])
    order = [int(i) for i in np.argsort(-scores, kind="stable")]
    best, base = order[0], table.baseline
    p = welch_p_values(list(summaries))
    is_best, differs_from_base = p_values_of_best(p, scores), holm(p[base])

    def against(i: int, j: int, adjusted: Floats) -> Comparison | None:
        return None if i == j else _comparison(summaries[i], summaries[j], float(p[i, j]), float(adjusted[i]), alpha)

    rows = tuple(
        LintRow(
            name=row.name,
            line=row.line,
            mean=row.mean.value,
            sd=None if math.isnan(own.sd) else own.sd,
            runs=own.runs or None,
            best=against(i, best, is_best),
            baseline=against(i, base, differs_from_base),
        )
        for i, (row, own) in enumerate(zip(table.rows, summaries, strict=True))
    )
    ties = [i for i in order[1:] if (found := rows[i].best) is not None and found.differs is False]
    claimed = best if winner is None else winner
    runner_up = next(i for i in order if i != claimed)
    return Compared(
        rows=rows,
        best=best,
        ties=() if math.isnan(is_best[best]) else (best, *ties),
        needed=_needed(table, summaries, claimed, runner_up, sign),
        notes=tuple(_untested(rows, best)),
    )


def _comparison(own: Summary, other: Summary, p: float, adjusted: float, alpha: float) -> Comparison:
    difference = own.mean - other.mean
    if math.isnan(p):
        has_spread = not (math.isnan(own.sd) or math.isnan(other.sd))
        known = own.runs and other.runs and not has_spread
        return Comparison(
            difference=difference,
            largest_sd=largest_spread(difference, own.runs, other.runs, _ONE_PAIR) if known else None,
        )
    return Comparison(
        difference=difference,
        p=p,
        adjusted=adjusted,
        differs=adjusted <= alpha,
        runs_needed=runs_needed(difference, own.sd, other.sd, alpha=_ONE_PAIR),
    )


def _needed(table: PublishedTable, summaries: Sequence[Summary], winner: int, runner_up: int, sign: int) -> RunsNeeded:
    first, second = table.rows[winner].name, table.rows[runner_up].name
    a, b = summaries[winner], summaries[runner_up]
    difference = a.mean - b.mean
    runs = runs_needed(difference, a.sd, b.sd, alpha=_ONE_PAIR) if sign * difference > 0 else None
    if sign * difference <= 0:
        beaten = "has the same mean as" if difference == 0 else "has a worse mean than"
        sentence = f"{first} {beaten} {second}; no number of runs would show it to be better."
    elif runs is None:
        sentence = f"How many runs {first} needs against {second} cannot be said without standard deviations."
    else:
        had = f"; the table has {min(a.runs, b.runs)}" if a.runs and b.runs else ""
        sentence = (
            f"If the printed difference between {first} and {second}, {abs(difference):.4g}, is the true one, {runs} runs of each show it "
            f"with 80 % power (two-sided Welch test of this pair alone at {_ONE_PAIR:g}){had}."
        )
    return RunsNeeded(winner=first, runner_up=second, difference=difference, runs=runs, sentence=sentence)


_UNTESTED: Final[dict[str, Callable[[LintRow], bool]]] = {
    "has one run": lambda row: row.runs == 1,
    "has no number of runs (--runs)": lambda row: row.runs is None,
    "has no spread": lambda row: row.sd is None and (row.runs or 0) > 1,
    "has the spread 0": lambda row: row.sd == 0 and (row.runs or 0) > 1,
}


def _untested(rows: Sequence[LintRow], best: int) -> Iterator[str]:
    """Say which rows cannot be tested, why, and what spread would make the closest row differ from the best one."""
    for reason, applies in _UNTESTED.items():
        names = [row.name for row in rows if applies(row)]
        if names:
            who = "every row" if len(names) == len(rows) else ", ".join(names)
            yield f"Nothing can be concluded about a row that {reason}: {who}."
    spreads = [(row.best.largest_sd, row.name) for row in rows if row.best and row.best.largest_sd is not None]
    if spreads:
        spread, closest = min(spreads)
        yield (
            f"{rows[best].name} and {closest} differ only if the standard deviation of single runs is below {spread:.3g}, and then "
            f"only in a test of this pair alone at {_ONE_PAIR:g}."
        )
