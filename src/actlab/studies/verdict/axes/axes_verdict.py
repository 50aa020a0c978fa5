"""Comparison of the arms of a study on axes, with one error rate for all columns and arms.

Each arm is compared with the baseline in each headline column that has a direction. The statements "better", "worse" and "practically
equivalent" (a tie) of all arms and columns together have the false discovery rate of the study, see :mod:`actlab.stats.false_discovery`;
the metric keeps its own. Means, intervals and columns without a direction are estimates and descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from actlab.stats.false_discovery import STATEMENTS, find_statements, needed_for_statement
from actlab.studies.verdict.axes.arm_columns import ArmColumn
from actlab.studies.verdict.axes.axes_study import AxesStudy
from actlab.studies.verdict.axes.churn import Churn, PairShares, find_churn
from actlab.studies.verdict.axes.column_evidence import Comparison, find_evidence, seeds_needed
from actlab.studies.verdict.axes.column_finding import ArmNumber, ColumnFinding, ColumnRelation
from actlab.studies.verdict.axes.seed_columns import CHURN, ChurnColumn, SeedColumn
from actlab.studies.verdict.outcomes import StudyFacts

__all__ = ["AxesVerdict", "UndefinedColumn", "find_axes"]

_Column: TypeAlias = SeedColumn | ArmColumn
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


def find_axes(study: AxesStudy) -> AxesVerdict | None:
    """Return how the arms compare on axes; None where the study has none, as those of earlier builds.

    Args:
        study: results, with the axes in its facts.
    """
    facts = study.facts
    if not facts.axes:
        return None
    churn, pairs = find_churn(study.rows, facts.baseline, study.interval)
    every = [
        _column(axis, name, column, study, churn=churn, pairs=pairs) for axis, name, column in _headlines(facts.axes)
    ]
    columns = [column for column in every if not column.is_empty]
    arms = [arm for arm in facts.arms if arm != facts.baseline]
    compared = {
        (column.axis, column.name, arm): found
        for column in columns
        for arm in arms
        if column.column.get("direction") is not None and (found := column.compared(arm)) is not None
    }
    stated, more = _statements(compared, facts.alpha)
    return AxesVerdict(
        baseline=facts.baseline,
        alpha=facts.alpha,
        columns=tuple(_finding(column, facts, stated, more) for column in columns),
        undefined=tuple(
            UndefinedColumn(axis=column.axis, column=column.name, reason=column.reason)
            for column in every
            if column.is_empty
        ),
        churn=churn,
        statements=sum(index >= 0 for index in stated.values()),
        comparisons=len(compared),
    )


def _headlines(axes: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    return [
        (axis, name, column)
        for axis in axes
        for name, column in axis["columns"].items()
        if column.get("headline", True)
    ]


def _column(
    axis: Mapping[str, Any],
    name: str,
    column: Mapping[str, Any],
    study: AxesStudy,
    *,
    churn: Churn | None,
    pairs: PairShares,
) -> _Column:
    if axis.get("level") == "arm":
        return ArmColumn(axis=axis["name"], name=name, column=column, study=study)
    if (axis["name"], name) == CHURN:
        return ChurnColumn(axis=axis["name"], name=name, column=column, study=study, churn=churn, pairs=pairs)
    return SeedColumn(axis=axis["name"], name=name, column=column, study=study)


def _statements(
    compared: Mapping[_Key, Comparison], alpha: float
) -> tuple[Mapping[_Key, int], Mapping[_Key, int | None]]:
    """Return the statement on each comparison, as an index or -1, and the differences that an undecided one needs."""
    found = find_statements(find_evidence(list(compared.values())), alpha).tolist()
    stated = dict(zip(compared, found, strict=True))
    still = [key for key, index in stated.items() if index < 0]
    needed = needed_for_statement(len(stated) - len(still), max(1, len(compared)), alpha)
    return stated, dict(zip(still, seeds_needed([compared[key] for key in still], needed), strict=True))


def _finding(
    column: _Column, facts: StudyFacts, stated: Mapping[_Key, int], more: Mapping[_Key, int | None]
) -> ColumnFinding:
    numbers = []
    for arm in facts.arms:
        key, number = (column.axis, column.name, arm), column.number(arm)
        relation = _relation(column, number, stated.get(key), facts)
        seeds = more.get(key) if relation == "undecided" else None
        needed = None if seeds is None or column.each is None else column.each * seeds
        numbers.append(replace(number, relation=relation, seeds_needed=needed))
    return ColumnFinding(
        axis=column.axis,
        column=column.name,
        direction=column.column.get("direction"),
        unit=str(column.column.get("unit") or ""),
        description=str(column.column.get("description") or ""),
        rope=column.region[0],
        rope_rule=column.region[1],
        arms=tuple(numbers),
    )


def _relation(column: _Column, number: ArmNumber, statement: int | None, facts: StudyFacts) -> ColumnRelation:
    if number.arm == facts.baseline:
        return "baseline"
    if number.difference is None:
        return "not compared"
    if column.column.get("direction") is None:
        return "described"
    if statement is None:  # it has no noise
        return number.relation
    return "undecided" if statement < 0 else _RELATIONS[STATEMENTS[statement]]
