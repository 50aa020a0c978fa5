"""Churn, the share of test examples that two trainings label differently, of one arm and of two.

Two trainings are compared on the examples that are in the test splits of both. *Within* an arm they differ in the seed, and every pair
of seeds counts; the interval of the mean over pairs is that of the jackknife over seeds. *Beside the baseline* they have the same seed
and differ in the activation.

Whether an arm has more churn than the baseline is tested on pairs of seeds of which no two share a seed (the first and the second, the
third and the fourth, ...), as others depend on each other.

Sources: Milani Fard et al. (2016), NeurIPS, for churn; arXiv 2605.13826 for shares of 8 to 22 % at equal accuracy; Arvesen (1969) for
the jackknife of means over pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from actlab.evaluate.packed_integers import unpacked
from actlab.studies.verdict.axes.axis_numbers import AxisRows
from actlab.studies.verdict.axes.column_finding import Interval

__all__ = [
    "ArmChurn",
    "Churn",
    "ChurnShare",
    "PairShares",
    "expected_share",
    "find_churn",
    "jackknife_interval",
    "separate_pairs",
]

_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class ChurnShare:
    """Share of examples that two trainings label differently, on average over pairs of trainings.

    Attributes:
        mean: over the pairs.
        ci: its 95 % interval; (None, None) where there are too few seeds.
        pairs: number of pairs of trainings.
        common: smallest and largest number of examples that are in the test splits of both.
        expected: share if the two made their errors independently of each other, at the accuracy that each has; None where it is not known.
        accuracy_gap: mean distance of the two accuracies on these examples, the smallest share that is possible.
    """

    mean: float
    ci: Interval
    pairs: int
    common: tuple[int, int]
    expected: float | None
    accuracy_gap: float | None


@dataclass(frozen=True, kw_only=True)
class ArmChurn:
    """Churn of one arm.

    Attributes:
        arm: its label.
        within: of two trainings of the arm with other seeds; None where there is none.
        beside_baseline: of the arm and the baseline on the same seed; None for the baseline, or where there is none.
        undefined: why ``within`` is None; empty where it is known.
    """

    arm: str
    within: ChurnShare | None
    beside_baseline: ChurnShare | None
    undefined: str


@dataclass(frozen=True, kw_only=True)
class PairShares:
    """Shares by pair of seeds, for tests and intervals.

    Attributes:
        shares: by arm and pair of seeds.
    """

    shares: Mapping[str, Mapping[tuple[int, int], float]]

    def separate(self, arm: str, seeds: Sequence[int]) -> dict[int, float]:
        """Return the shares of pairs of which no two share a seed, by the first seed of the pair.

        Example:
            >>> PairShares(shares={"relu": {(0, 1): 0.1, (0, 2): 0.2, (2, 3): 0.3}}).separate("relu", [0, 1, 2, 3, 4])
            {0: 0.1, 2: 0.3}
        """
        own = self.shares.get(arm, {})
        return {pair[0]: own[pair] for pair in separate_pairs(seeds) if pair in own}


def separate_pairs(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the second seed, the third and the fourth, and so on.

    Example:
        >>> separate_pairs([5, 6, 7, 8, 9])
        [(5, 6), (7, 8)]
    """
    return list(zip(seeds[::2], seeds[1::2], strict=False))


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Churn of the arms of a study.

    Attributes:
        arms: one entry for each arm of the plan.
    """

    arms: tuple[ArmChurn, ...]

    def of(self, arm: str) -> ArmChurn:
        """Return the churn of an arm."""
        return next(entry for entry in self.arms if entry.arm == arm)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Predictions:
    """Predicted classes of one trial, for the different examples of its test split."""

    keys: NDArray[np.uint64]
    predicted: NDArray[Any]
    correct: NDArray[Any] | None
    classes: int | None


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two trainings on the examples that they share."""

    share: float
    common: int
    expected: float | None
    accuracy_gap: float | None


def find_churn(
    rows: AxisRows, baseline: str, interval: Callable[[Any, str], Interval]
) -> tuple[Churn | None, PairShares]:
    """Return the churn of every arm, None where no trial has its predictions recorded, and the shares by pair of seeds.

    Args:
        rows: what the axes gave.
        baseline: label of the baseline.
        interval: of (values, name), the 95 % interval of a mean over seeds.
    """
    known = {arm: dict(_recorded(trials)) for arm, trials in rows.items()}
    if not any(known.values()):
        return None, PairShares(shares={})
    within = {arm: dict(_within(own)) for arm, own in known.items()}
    shares = {arm: {seeds: pair.share for seeds, pair in pairs.items()} for arm, pairs in within.items()}
    arms = [
        ArmChurn(
            arm=arm,
            within=_share(within[arm].values(), jackknife_interval(shares[arm])),
            beside_baseline=None if arm == baseline else _beside(known[arm], known[baseline], arm, interval),
            undefined="" if within[arm] else _why_undefined(rows[arm], known[arm]),
        )
        for arm in rows
    ]
    return Churn(arms=tuple(arms)), PairShares(shares=shares)


def _recorded(trials: Mapping[int, Mapping[str, Any] | str]) -> Iterable[tuple[int, _Predictions]]:
    for seed, found in trials.items():
        record = {} if isinstance(found, str) else (found.get("churn") or {}).get("record") or {}
        if "predicted" in record:
            yield seed, _predictions(record)


def _predictions(record: Mapping[str, Any]) -> _Predictions:
    keys, first = np.unique(unpacked(record["examples"]), return_index=True)
    correct = unpacked(record["correct"])[first].astype(np.bool_) if "correct" in record else None
    return _Predictions(
        keys=keys, predicted=unpacked(record["predicted"])[first], correct=correct, classes=record.get("classes")
    )


def _within(own: Mapping[int, _Predictions]) -> Iterable[tuple[tuple[int, int], _Pair]]:
    for first, second in combinations(own, 2):
        pair = _pair(own[first], own[second])
        if pair is not None:
            yield (first, second), pair


def _beside(
    own: Mapping[int, _Predictions],
    other: Mapping[int, _Predictions],
    arm: str,
    interval: Callable[[Any, str], Interval],
) -> ChurnShare | None:
    pairs = [pair for seed in own if seed in other and (pair := _pair(own[seed], other[seed])) is not None]
    return _share(pairs, interval(np.array([pair.share for pair in pairs]), f"{arm} churn beside the baseline"))


def _pair(one: _Predictions, other: _Predictions) -> _Pair | None:
    """Compare two trainings; None where their test splits have no example in common."""
    if np.array_equal(one.keys, other.keys):  # as where the test split is the same for every seed
        first = second = np.arange(len(one.keys))
    else:
        _, first, second = np.intersect1d(one.keys, other.keys, assume_unique=True, return_indices=True)
    if not first.size:
        return None
    expected = gap = None
    if one.correct is not None and other.correct is not None and one.classes:
        accuracies = float(one.correct[first].mean()), float(other.correct[second].mean())
        expected, gap = expected_share(*accuracies, classes=one.classes), abs(accuracies[0] - accuracies[1])
    share = float((one.predicted[first] != other.predicted[second]).mean())
    return _Pair(share=share, common=len(first), expected=expected, accuracy_gap=gap)


def expected_share(one: float, other: float, *, classes: int) -> float:
    """Return the share of examples that two classifiers label differently if they err independently, each wrong class equally often.

    Args:
        one: accuracy of the first.
        other: accuracy of the second.
        classes: number of classes, at least 2.

    Example:
        >>> round(expected_share(0.9, 0.9, classes=2), 2), round(expected_share(0.9, 0.9, classes=11), 3)
        (0.18, 0.189)
    """
    same_error = (1 - one) * (1 - other) / (max(2, classes) - 1)
    return 1 - one * other - same_error


def _share(pairs: Iterable[_Pair], ci: Interval) -> ChurnShare | None:
    found = list(pairs)
    if not found:
        return None
    expected = [pair.expected for pair in found if pair.expected is not None]
    gaps = [pair.accuracy_gap for pair in found if pair.accuracy_gap is not None]
    common = [pair.common for pair in found]
    return ChurnShare(
        mean=float(np.mean([pair.share for pair in found])),
        ci=ci,
        pairs=len(found),
        common=(min(common), max(common)),
        expected=float(np.mean(expected)) if expected else None,
        accuracy_gap=float(np.mean(gaps)) if gaps else None,
    )


def jackknife_interval(shares: Mapping[tuple[int, int], float]) -> Interval:
    """Return the 95 % interval of a mean over pairs of seeds, by the jackknife over seeds with Student's quantile.

    Args:
        shares: by pair of seeds.

    Returns:
        (low, high); (None, None) below three seeds, or where a seed is part of every pair.

    Example:
        >>> low, high = jackknife_interval({(0, 1): 0.1, (0, 2): 0.2, (1, 2): 0.15})
        >>> low < 0.15 < high
        True
    """
    seeds = sorted({seed for pair in shares for seed in pair})
    left = [[share for pair, share in shares.items() if seed not in pair] for seed in seeds]
    if len(seeds) < 3 or not all(left):
        return None, None
    n, mean = len(seeds), float(np.mean(list(shares.values())))
    without = np.array([np.mean(part) for part in left])
    error = np.sqrt((n - 1) / n * np.square(without - without.mean()).sum())
    half = float(stdtrit(n - 1, (1 + _LEVEL) / 2) * error)
    return mean - half, mean + half


def _why_undefined(trials: Mapping[int, Mapping[str, Any] | str], known: Mapping[int, _Predictions]) -> str:
    if len(known) > 1:
        return "no example is in the test splits of two seeds"
    if len(known) == 1:
        return "one seed has predictions, and two are needed"
    reasons = [found if isinstance(found, str) else _reason(found.get("churn") or {}) for found in trials.values()]
    return next(iter(reasons), "no trial has ended")


def _reason(result: Mapping[str, Any]) -> str:
    return result.get("error") or result.get("undefined", {}).get("disagreement") or "not measured"
