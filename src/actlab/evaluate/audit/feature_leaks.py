"""Features that say the target by themselves, that number the examples or that never change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc

from actlab.evaluate.audit.finding import EXAMPLES_SHOWN, Finding
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["FeatureScore", "class_scores", "constant_columns", "id_columns", "leak_reports", "number_scores"]

#: Share of what a constant prediction gets wrong, above which one feature says too much. The best feature of Fisher's irises reaches 0.94.
LEVEL: Final = 0.95
_VALUES: Final = 256  # of a column, up to which each is looked at by itself
_LEAVES: Final = 256
_FEWEST: Final = 50  # examples
_FEWEST_OF_CLASS: Final = 5
_EXACT: Final = 1e-5  # of the target's spread: what float32 leaves of a copy in other units
_DENSE: Final = 4  # numbers between the smallest and the largest id, for each example

Rows = npt.NDArray[Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class FeatureScore:
    """How much one feature says about the target.

    Attributes:
        column: its number.
        skill: share of the errors of a constant prediction that it avoids, on examples that it was not fitted to; of a number the share
            of the variance.
        derived: the same the other way round: how much the target says about the feature; 1 if the feature is computed from the target.
        is_leak: whether either is above the level by more than chance.
    """

    column: int
    skill: float
    derived: float
    is_leak: bool


def class_scores(
    rows: Rows, classes: npt.NDArray[Any], *, rate: float, progress: Progress | None = None
) -> list[FeatureScore]:
    """Return how much each column says about the class.

    A column predicts the most frequent class among equal values, or by a small decision tree, of the other half of the examples. Columns
    that are given by the class, such as those of its one-hot code, are leaks if they predict it together.

    Args:
        rows: shape (n, columns).
        classes: codes from 0, shape (n,).
        rate: chance that a column whose skill is just 0.95 counts as a leak.
        progress: called with the columns done and their number.

    Example:
        >>> random = np.random.default_rng(0)
        >>> y = random.integers(0, 2, 400)
        >>> scores = class_scores(np.stack([random.normal(size=400), 5.0 * y + random.random(400)], axis=1), y, rate=0.01)
        >>> [score.column for score in scores if score.is_leak]
        [1]
    """
    if len(rows) < _FEWEST:
        return []
    y = classes.astype(np.int64)
    number = int(y.max()) + 1
    half = np.random.default_rng(0).permutation(len(rows)) % 2 == 0
    constant = sum(int((y[~part] != np.bincount(y[part], minlength=number).argmax()).sum()) for part in (half, ~half))
    scores = []
    for column in range(rows.shape[1]):
        values = rows[:, column]
        wrong = sum(_wrong(values, y, part) for part in (half, ~half))
        unlike, unlike_constant = _unlike(values, y, number)
        scores.append(
            FeatureScore(
                column=column,
                skill=_skill(wrong, constant),
                derived=_skill(unlike, unlike_constant),
                is_leak=_is_above(wrong, constant, rate),
            )
        )
        if progress is not None:
            progress(column + 1, rows.shape[1])
    given = [score.column for score in scores if score.derived >= LEVEL]
    _, together = np.unique(rows[:, given], axis=0, return_inverse=True)
    wrong = sum(_wrong(together.reshape(-1), y, part) for part in (half, ~half)) if len(given) > 1 else constant
    is_code = _is_above(wrong, constant, rate)
    return [replace(score, is_leak=score.is_leak or (is_code and score.column in given)) for score in scores]


def _wrong(values: npt.NDArray[Any], y: npt.NDArray[np.int64], part: npt.NDArray[np.bool_]) -> int:
    """Return how many examples outside a part are predicted wrongly by the values and classes inside it."""
    if not np.ptp(values):
        return int((y[~part] != np.bincount(y[part]).argmax()).sum())
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) <= min(_VALUES, len(values) // _FEWEST_OF_CLASS):
        number = int(y.max()) + 1
        cells = place.reshape(-1).astype(np.int64)
        table = np.bincount(cells[part] * number + y[part], minlength=len(distinct) * number).reshape(-1, number)
        guess = np.where(table.sum(1) > 0, table.argmax(1), table.sum(0).argmax())
        return int((guess[cells[~part]] != y[~part]).sum())
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 # slow to import

    leaves = min(_LEAVES, 4 * (int(y.max()) + 1))
    tree = DecisionTreeClassifier(max_leaf_nodes=max(16, leaves), min_samples_leaf=_FEWEST_OF_CLASS, random_state=0)
    column = np.nan_to_num(values.astype(np.float32))[:, None]
    return int((tree.fit(column[part], y[part]).predict(column[~part]) != y[~part]).sum())


def _unlike(values: npt.NDArray[Any], y: npt.NDArray[np.int64], number: int) -> tuple[int, int]:
    """Return how many values are not the most frequent one of their class, and of all examples."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) > max(_VALUES, 2 * number) or len(distinct) < 2:
        return 1, 1
    table = np.bincount(place * number + y, minlength=len(distinct) * number).reshape(len(distinct), number)
    enough = table.sum(0) >= _FEWEST_OF_CLASS
    table = table[:, enough]
    if table.shape[1] < 2 or len(set(table.argmax(0).tolist())) < 2:
        return 1, 1
    return int(table.sum() - table.max(0).sum()), int(table.sum() - table.sum(1).max())


def _skill(wrong: int, constant: int) -> float:
    return 1 - wrong / constant if constant else 0.0


def _is_above(wrong: int, constant: int, rate: float) -> bool:
    """Return whether so few errors would be rare if the skill were at the level: P(Poisson(0.05 * constant) <= wrong) <= rate."""
    return bool(constant and gammaincc(wrong + 1, (1 - LEVEL) * constant) <= rate)


def number_scores(rows: Rows, numbers: npt.NDArray[Any], *, progress: Progress | None = None) -> list[FeatureScore]:
    """Return how much each column says about a number; of a leak the target is a copy in other units, or a monotone function.

    Features that predict a number well are common, such as the last value of a series, so a high skill alone is no leak.

    Args:
        rows: shape (n, columns).
        numbers: targets, shape (n,).
        progress: called with the columns done and their number.

    Example:
        >>> random = np.random.default_rng(0)
        >>> y = random.normal(size=200)
        >>> scores = number_scores(np.stack([y + 0.1 * random.normal(size=200), 3 - 2 * y], axis=1), y)
        >>> [score.is_leak for score in scores], scores[0].skill > 0.9
        ([False, True], True)
    """
    y = numbers.astype(np.float64)
    if len(rows) < _FEWEST or not y.std():
        return []
    scores = []
    for column in range(rows.shape[1]):
        x = np.nan_to_num(rows[:, column].astype(np.float64))
        order = np.argsort(x, kind="stable")
        smooth = (np.roll(y[order], 1) + np.roll(y[order], -1)) / 2
        left_out = float(np.mean(np.square(y[order] - smooth)[1:-1])) / 1.5 if x.std() else float(y.var())
        copied = _copied(x, y)
        steps = np.diff(y[order])[np.diff(x[order]) > 0]
        monotone = len(steps) >= _FEWEST // 2 and bool((steps > 0).all() or (steps < 0).all())
        scores.append(
            FeatureScore(
                column=column,
                skill=max(0.0, 1 - left_out / float(y.var())),
                derived=1.0 if monotone else copied,
                is_leak=copied >= 0.5 or monotone,
            )
        )
        if progress is not None:
            progress(column + 1, rows.shape[1])
    return scores


def _copied(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Return the share of examples on one straight line, if half of them or more are."""
    half = len(x) // 2
    run = x[half : 2 * half] - x[:half]
    ok = np.abs(run) > 0
    if ok.sum() < _FEWEST // 4:
        return 0.0
    slope = float(np.median((y[half : 2 * half] - y[:half])[ok] / run[ok]))
    rest = y - slope * x
    share = float(np.mean(np.abs(rest - np.median(rest)) <= _EXACT * y.std()))
    return share if slope and share >= 0.5 else 0.0


def constant_columns(rows: Rows) -> list[int]:
    """Return the columns that have one value only.

    Example:
        >>> constant_columns(np.array([[1, 2], [1, 3]]))
        [0]
    """
    return np.nonzero((rows == rows[:1]).all(0))[0].tolist() if len(rows) > 1 else []


def id_columns(rows: Rows, total: int) -> list[int]:
    """Return the columns that number the examples: whole numbers, all different, and dense.

    Args:
        rows: shape (n, columns).
        total: examples of which the rows are a sample.

    Example:
        >>> id_columns(np.stack([np.arange(100)[::-1], np.arange(100) // 2, np.random.default_rng(0).normal(size=100)], axis=1), 100)
        [0]
    """
    if len(rows) < _FEWEST:
        return []
    found = []
    for column in range(rows.shape[1]):
        values = rows[:, column].astype(np.float64)
        if not (np.isfinite(values).all() and (values == np.round(values)).all()):
            continue
        if np.ptp(values) < _DENSE * total and len(np.unique(values)) == len(values):
            found.append(column)
    return found


def leak_reports(scores: Sequence[FeatureScore], names: Sequence[str], *, examples: int) -> Iterator[Finding]:
    """Yield the reports of leaking features, the most telling first.

    Args:
        scores: of all columns.
        names: of the columns.
        examples: that were looked at.
    """
    leaks = sorted((s for s in scores if s.is_leak), key=lambda s: -max(s.skill, s.derived))
    if not leaks:
        return
    told = [f"{names[s.column]} ({_told(s)})" for s in leaks[:EXAMPLES_SHOWN]]
    more = f" and {len(leaks) - len(told)} more" if len(leaks) > len(told) else ""
    yield Finding(
        kind="leaking feature",
        splits=(),
        count=len(leaks),
        share=len(leaks) / len(scores),
        sentence=f"{plural(len(leaks), 'feature')} {'says' if len(leaks) == 1 else 'say'} the target alone: {listed(told)}{more}; "
        f"from {examples:,} examples.",
        remedy="Find out how it is made. Remove it if it is computed from the target, or not known when predictions are needed; if it is, "
        "one threshold does the task and no network is needed.",
    )


def _told(score: FeatureScore) -> str:
    if score.derived >= max(LEVEL, score.skill):
        return (
            "computed from the target"
            if math.isclose(score.derived, 1)
            else f"given by the target in {score.derived:.1%}"
        )
    return f"avoids {score.skill:.1%} of the errors of a constant prediction"
