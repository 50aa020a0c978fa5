"""Comparison of the arms of a study on axes, with one error rate for all columns and arms.

Each arm is compared with the baseline in each headline column that has a direction. The statements "better", "worse" and "practically
equivalent" (a tie) of all arms and columns together have the false discovery rate of the study, see :mod:`actlab.stats.false_discovery`;
the metric keeps its own. Means, intervals and columns without a direction are estimates and descriptions.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np

from actlab.stats.bootstrap import bootstrap_interval
from actlab.stats.false_discovery import STATEMENTS, find_statements, needed_for_statement
from actlab.stats.far_out import far_out
from actlab.studies.verdict.axes.axis_numbers import ArmSeries, AxisRows, column_series
from actlab.studies.verdict.axes.churn import Churn, PairShares, find_churn, jackknife_interval, separate_pairs
from actlab.studies.verdict.axes.column_evidence import Comparison, comparison, find_evidence, seeds_needed
from actlab.studies.verdict.axes.column_finding import (
    ArmNumber,
    ColumnDifference,
    ColumnFinding,
    ColumnRelation,
    Interval,
)
from actlab.studies.verdict.axes.column_region import column_region
from actlab.studies.verdict.outcomes import Outcome, StudyFacts
from actlab.studies.verdict.settled import leading_seeds

__all__ = ["AxesVerdict", "UndefinedColumn", "find_axes"]

CHURN: Final = ("churn", "disagreement")
_Key: TypeAlias = tuple[str, str, str]  # axis, column, arm
_RELATIONS: Final[Mapping[str, ColumnRelation]] = {"equivalent": "tie", "better": "better", "worse": "worse"}


@dataclass(frozen=True, kw_only=True)
class UndefinedColumn:
    """A headline column without a number in any trial.

    Attributes:
        axis: name of the axis.
        column: name of the column.
        reason: of the first trial.
    """

    axis: str
    column: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AxesVerdict:
    """What a study found on axes.

    Attributes:
        baseline: label of the baseline.
        alpha: false discovery rate of the statements.
        columns: one finding for each headline column with a number, in the order of the axes.
        undefined: the other headline columns.
        churn: share of examples that two trainings label differently; None where predictions were not recorded.
        statements: number of statements that are made.
        comparisons: number of pairs of an arm and a column on which one could be made.
        sentences: what was found, in words.
        cautions: what the axes say about their own numbers, and numbers that are missing or far from all others.
    """

    baseline: str
    alpha: float
    columns: tuple[ColumnFinding, ...]
    undefined: tuple[UndefinedColumn, ...]
    churn: Churn | None
    statements: int
    comparisons: int
    sentences: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    def of(self, axis: str, column: str) -> ColumnFinding | None:
        """Return the finding about a column; None where there is none."""
        return next((found for found in self.columns if (found.axis, found.column) == (axis, column)), None)


def find_axes(rows: AxisRows, outcomes: Mapping[str, Outcome], facts: StudyFacts) -> AxesVerdict | None:
    """Return how the arms compare on axes; None where the study has none, as those of earlier builds.

    Args:
        rows: what the axes gave, from :func:`actlab.studies.verdict.axes.axis_numbers.read_axis_rows`.
        outcomes: of every arm.
        facts: of the study, with its axes.
    """
    return _Study(rows, outcomes, facts).verdict() if facts.axes else None


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A headline column with its numbers."""

    axis: str
    name: str
    facts: Mapping[str, Any]
    series: Mapping[str, ArmSeries]
    rope: float
    rope_rule: str

    @property
    def direction(self) -> Any:
        return self.facts.get("direction")

    @property
    def sign(self) -> float:
        return -1.0 if self.direction == "min" else 1.0

    @property
    def is_churn(self) -> bool:
        return (self.axis, self.name) == CHURN


class _Study:
    """Numbers of all columns, and what is computed from them once."""

    def __init__(self, rows: AxisRows, outcomes: Mapping[str, Outcome], facts: StudyFacts) -> None:
        self.rows, self.outcomes, self.facts = rows, outcomes, facts
        self.arms = [arm for arm in facts.arms if arm != facts.baseline]
        self.churn = find_churn(rows, facts.baseline, self._interval)
        every = [self._column(axis["name"], name, facts) for axis, name, facts in _headlines(facts.axes)]
        self.columns = [column for column in every if any(series.values for series in column.series.values())]
        self.empty = [column for column in every if column not in self.columns]

    def _column(self, axis: str, name: str, column: Mapping[str, Any]) -> _Column:
        series = self._churn_series() if (axis, name) == CHURN else column_series(self.rows, axis, name)
        rope, rule = column_region(column, series[self.facts.baseline], self.facts.seeds)
        return _Column(axis=axis, name=name, facts=column, series=series, rope=rope, rope_rule=rule)

    def _churn_series(self) -> dict[str, ArmSeries]:
        """Return the shares of pairs of seeds that share none, by the first seed of the pair."""
        if self.churn is None:
            return column_series(self.rows, *CHURN)
        found = {}
        for arm, trials in self.rows.items():
            own, why = self.churn.pairs.separate(arm, self.facts.seeds), self.churn.of(arm).undefined
            missing = {seed: why for seed in trials if seed not in own and (not own or seed in self.facts.seeds[::2])}
            found[arm] = ArmSeries(arm=arm, values=own, missing=missing)
        return found

    def verdict(self) -> AxesVerdict:
        directed = [column for column in self.columns if column.direction is not None]
        compared = {
            (column.axis, column.name, arm): self._compared(column, arm) for column in directed for arm in self.arms
        }
        evidence = find_evidence(list(compared.values()))
        stated = dict(zip(compared, find_statements(evidence, self.facts.alpha).tolist(), strict=True))
        made = sum(index >= 0 for index in stated.values())
        still = [key for key, index in stated.items() if index < 0]
        needed = needed_for_statement(made, max(1, len(compared)), self.facts.alpha)
        more = dict(zip(still, seeds_needed([compared[key] for key in still], needed), strict=True))
        return AxesVerdict(
            baseline=self.facts.baseline,
            alpha=self.facts.alpha,
            columns=tuple(self._finding(column, stated, more) for column in self.columns),
            undefined=tuple(
                UndefinedColumn(axis=column.axis, column=column.name, reason=_first_reason(column))
                for column in self.empty
            ),
            churn=self.churn,
            statements=made,
            comparisons=len(compared),
        )

    def _compared(self, column: _Column, arm: str) -> Comparison:
        """Return the evidence on an arm, from the seeds that it and the baseline have run without a gap."""
        seeds = leading_seeds(self.outcomes[arm], self.outcomes[self.facts.baseline], self.facts)
        own, other = column.series[arm], column.series[self.facts.baseline]
        if column.is_churn:  # a pair of seeds counts when both have run
            seeds = [first for first, second in separate_pairs(self.facts.seeds) if {first, second} <= {*seeds}]
        return comparison(own, other, seeds, sign=column.sign, rope=column.rope)

    def _finding(self, column: _Column, stated: Mapping[_Key, int], more: Mapping[_Key, int | None]) -> ColumnFinding:
        arms = []
        for arm in self.facts.arms:
            key = column.axis, column.name, arm
            number = self._churn_number(arm) if column.is_churn else self._number(column, arm)
            relation = self._relation(column, number, stated.get(key, -1))
            seeds = more.get(key) if relation == "undecided" else None
            each = 2 if column.is_churn else 1  # seeds that one difference takes
            arms.append(replace(number, relation=relation, seeds_needed=None if seeds is None else each * seeds))
        return ColumnFinding(
            axis=column.axis,
            column=column.name,
            direction=column.direction,
            unit=str(column.facts.get("unit") or ""),
            description=str(column.facts.get("description") or ""),
            rope=column.rope,
            rope_rule=column.rope_rule,
            arms=tuple(arms),
        )

    def _relation(self, column: _Column, number: ArmNumber, statement: int) -> ColumnRelation:
        if number.arm == self.facts.baseline:
            return "baseline"
        if number.difference is None:
            return "not compared"
        if column.direction is None:
            return "described"
        return "undecided" if statement < 0 else _RELATIONS[STATEMENTS[statement]]

    def _number(self, column: _Column, arm: str) -> ArmNumber:
        series, other = column.series[arm], column.series[self.facts.baseline]
        values, name = np.array(list(series.values.values())), f"{column.axis} {column.name} {arm}"
        shared = [seed for seed in series.values if seed in other.values]
        apart = np.array([series.values[seed] - other.values[seed] for seed in shared])
        difference = None
        if arm != self.facts.baseline and apart.size:
            ci = self._interval(apart, f"{name} - baseline")
            difference = ColumnDifference(mean=float(apart.mean()), ci=ci, seeds=apart.size)
        far = far_out(values, resolution=column.rope)
        return ArmNumber(
            arm=arm,
            n=values.size,
            trials=len(self.rows[arm]),
            mean=float(values.mean()) if values.size else None,
            ci=self._interval(values, name),
            missing=_by_reason(series.missing),
            far=tuple(seed for seed, is_far in zip(series.values, far.tolist(), strict=True) if is_far),
            difference=difference,
            relation="undecided",
            seeds_needed=None,
        )

    def _churn_number(self, arm: str) -> ArmNumber:
        """Return the churn of two trainings of an arm, over all pairs of seeds."""
        churn = self.churn.of(arm) if self.churn is not None else None
        pairs = self.churn.pairs if self.churn is not None else PairShares(shares={})
        own, other = pairs.shares.get(arm, {}), pairs.shares.get(self.facts.baseline, {})
        apart = {pair: own[pair] - other[pair] for pair in own if pair in other}
        difference = None
        if arm != self.facts.baseline and apart:
            mean, seeds = float(np.mean(list(apart.values()))), {seed for pair in apart for seed in pair}
            difference = ColumnDifference(mean=mean, ci=jackknife_interval(apart), seeds=len(seeds))
        within = None if churn is None else churn.within
        used = {seed for pair in own for seed in pair}
        reason = "no pair with another seed" if churn is None or not churn.undefined else churn.undefined
        absent = {
            seed: found if isinstance(found, str) else reason
            for seed, found in self.rows[arm].items()
            if seed not in used
        }
        return ArmNumber(
            arm=arm,
            n=len(used),
            trials=len(self.rows[arm]),
            mean=None if within is None else within.mean,
            ci=(None, None) if within is None else within.ci,
            missing=_by_reason(absent),
            far=(),
            difference=difference,
            relation="undecided",
            seeds_needed=None,
        )

    def _interval(self, values: Any, name: str) -> Interval:
        # The seed follows from the plan, so that the same study has the same interval in every process.
        seed = zlib.crc32(f"{self.facts.fingerprint} axes {name}".encode())
        return bootstrap_interval(values, seed=seed) or (None, None)


def _headlines(axes: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    return [
        (axis, name, column)
        for axis in axes
        for name, column in axis["columns"].items()
        if column.get("headline", True)
    ]


def _by_reason(missing: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for seed, reason in missing.items():
        found[reason] = (*found.get(reason, ()), seed)
    return found


def _first_reason(column: _Column) -> str:
    """Return a reason that says more than that a trial has no axes, where there is one."""
    reasons = [reason for series in column.series.values() for reason in series.missing.values()]
    own = [reason for reason in reasons if not reason.startswith(("its training", "its trial", "not measured"))]
    return next(iter([*own, *reasons]), "no trial has ended")
