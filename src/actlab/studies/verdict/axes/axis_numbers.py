"""Numbers of a study's trials in one column of an axis, with the reason where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from actlab.studies.trials.stage import MAIN
from actlab.studies.verdict.outcomes import Outcome, Row, StudyFacts

__all__ = ["ArmSeries", "AxisRows", "column_series", "read_axis_rows"]

#: What the axes of a trial gave, by arm and seed; a reason where it has none.
AxisRows: TypeAlias = Mapping[str, Mapping[int, Mapping[str, Any] | str]]
_UNMEASURED = "not measured in this trial"


@dataclass(frozen=True, kw_only=True)
class ArmSeries:
    """Numbers of one arm in one column.

    Attributes:
        arm: its label.
        values: by seed, in the order of the plan's seeds.
        missing: reason, for each seed that has ended without a number.
    """

    arm: str
    values: Mapping[int, float]
    missing: Mapping[int, str]


def read_axis_rows(rows: Iterable[Row], outcomes: Mapping[str, Outcome], facts: StudyFacts) -> AxisRows:
    """Return what the axes gave for every main trial that has ended, by arm and seed in the order of the plan.

    Args:
        rows: trials of the study.
        outcomes: of every arm.
        facts: of the study.
    """
    found = {(row["arm"], row["seed"]): row for row in rows if row.get("stage", MAIN) == MAIN}
    return {
        arm: {seed: _of_trial(found[arm, seed], outcomes[arm], seed) for seed in facts.seeds if (arm, seed) in found}
        for arm in facts.arms
    }


def _of_trial(row: Row, outcome: Outcome, seed: int) -> Mapping[str, Any] | str:
    if seed not in outcome.metrics:
        return "its training diverged" if seed in outcome.diverged else "its trial failed"
    return row.get("axes") or _UNMEASURED


def column_series(rows: AxisRows, axis: str, column: str) -> dict[str, ArmSeries]:
    """Return the numbers of every arm in a column.

    Example:
        >>> rows = {"relu": {0: {"own": {"numbers": {"x": 0.5}}}, 1: "its training diverged"}}
        >>> series = column_series(rows, "own", "x")["relu"]
        >>> series.values, series.missing
        ({0: 0.5}, {1: 'its training diverged'})
    """
    return {arm: _series(arm, trials, axis, column) for arm, trials in rows.items()}


def _series(arm: str, trials: Mapping[int, Mapping[str, Any] | str], axis: str, column: str) -> ArmSeries:
    values: dict[int, float] = {}
    missing: dict[int, str] = {}
    for seed, found in trials.items():
        if isinstance(found, str):
            missing[seed] = found
            continue
        result = found.get(axis) or {}
        number = result.get("numbers", {}).get(column)
        if number is None:
            missing[seed] = result.get("error") or result.get("undefined", {}).get(column) or _UNMEASURED
        else:
            values[seed] = float(number)
    return ArmSeries(arm=arm, values=values, missing=missing)
