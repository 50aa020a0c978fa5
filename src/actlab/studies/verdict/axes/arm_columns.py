"""Columns that are measured once for each arm, such as latencies and counts of operations.

Times are measured for all arms in turn, in nine blocks, of each of which the median counts. The logarithms of the blocks' ratios to the
baseline are taken as Gaussian: the p-value of a t-test, made an e-value by 1 / (2 sqrt p), is evidence for statements of the same family
as the others. Ratios differ by up to 1.5 % from one process to another (:mod:`actlab.studies.verdict.step_time`), which blocks of one
process do not show. So a time is better or worse where it is so by more than that, and the region of practical equivalence is 3 %, of
which half is left for it. Counts have no noise: they are compared as they are, and belong to no family.

Source: Vovk & Wang (2021), arXiv 1912.06116, for e-values from p-values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import stdtr

from actlab.stats.e_process import Floats
from actlab.stats.median_interval import median_interval
from actlab.studies.verdict.axes.axes_study import HeadlineColumn
from actlab.studies.verdict.axes.column_evidence import Comparison
from actlab.studies.verdict.axes.column_finding import ArmNumber, ColumnDifference, ColumnRelation

__all__ = ["ArmColumn"]

_BETWEEN_PROCESSES: Final = 0.015
_SAME_TIME: Final = 0.03
_SAME_COUNT: Final = 0.01
_FINEST: Final = 1e-4  # spread of ratios below which blocks are not believed
_SMALLEST_P: Final = 1e-100


@dataclass(frozen=True, kw_only=True)
class ArmColumn(HeadlineColumn):
    """A headline column that is measured once for each arm."""

    #: More seeds do not change it.
    each: ClassVar[None] = None

    def _found(self, arm: str) -> Mapping[str, Any]:
        return (self.study.costs.get(arm, {}).get("axes") or {}).get(self.axis) or {}

    def _value(self, arm: str) -> float | None:
        value = self._found(arm).get("numbers", {}).get(self.name)
        return None if value is None else float(value)

    def _why(self, arm: str) -> str:
        found = self._found(arm)
        return found.get("error") or found.get("undefined", {}).get(self.name) or "not measured for this arm"

    @property
    def is_empty(self) -> bool:
        """Whether no arm has a number."""
        return all(self._value(arm) is None for arm in self.study.facts.arms)

    @property
    def reason(self) -> str:
        """Why the first arm has no number."""
        return self._why(self.study.facts.arms[0])

    @property
    def region(self) -> tuple[float, str]:
        """Half width of the region of practical equivalence, and how it was chosen."""
        baseline = self._value(self.study.facts.baseline)
        if self.column.get("rope") is not None:
            return abs(float(self.column["rope"])), "given by the axis"
        share = _SAME_TIME if self._is_timed else _SAME_COUNT
        why = f"{share:.0%} of the baseline's" + (", as times of other processes differ" if self._is_timed else "")
        return (0.0, "none without a number of the baseline") if baseline is None else (share * abs(baseline), why)

    @property
    def _is_timed(self) -> bool:
        return any(self._found(arm).get("ratios", {}).get(self.name) for arm in self.study.facts.arms)

    def _ratios(self, arm: str) -> Floats | None:
        """Return the ratios to the baseline by block; None where there are none, or they are not finite."""
        ratios = self._found(arm).get("ratios", {}).get(self.name)
        found = None if not ratios else np.asarray(ratios, dtype=np.float64)
        return found if found is not None and np.isfinite(found).all() else None

    def compared(self, arm: str) -> Comparison | None:
        """Return the evidence from the blocks of an arm; None where there are none."""
        ratios, baseline = self._ratios(arm), self._value(self.study.facts.baseline)
        if ratios is None or not baseline or ratios.min() <= 0 or ratios.size < 2:
            return None
        gains = (-1 if self.column.get("direction") == "min" else 1) * np.log(ratios)
        rope = max(0.0, np.log1p(self.region[0] / abs(baseline)) - _BETWEEN_PROCESSES)
        mean, error = float(gains.mean()), max(float(gains.std(ddof=1)), _FINEST) / np.sqrt(gains.size)
        distances = np.array([rope - abs(mean), mean - _BETWEEN_PROCESSES, -mean - _BETWEEN_PROCESSES])
        p = np.maximum(stdtr(gains.size - 1, -distances / error), _SMALLEST_P)
        return Comparison.of_known(-np.log(2 * np.sqrt(p)), gains)

    def number(self, arm: str) -> ArmNumber:
        """Return the number of an arm and its difference, with the statement where there is no noise."""
        value, baseline = self._value(arm), self._value(self.study.facts.baseline)
        difference = None
        if arm != self.study.facts.baseline and value is not None and baseline is not None:
            ratios = self._ratios(arm)  # of the same measurement, where the numbers may be of two
            apart = value - baseline if ratios is None else baseline * (float(np.median(ratios)) - 1)
            difference = ColumnDifference(mean=apart, ci=self._interval(arm, baseline), seeds=0)
        return ArmNumber(
            arm=arm,
            n=0 if value is None else 1,
            trials=1,
            mean=value,
            ci=(None, None),
            missing={} if value is not None else {self._why(arm): ()},
            difference=difference,
            relation="undecided" if difference is None or self._is_timed else self._exact(difference),
        )

    def _interval(self, arm: str, baseline: float) -> tuple[float | None, float | None]:
        ratios = self._ratios(arm)
        if ratios is None:
            return None, None
        low, high = median_interval(ratios) or (float("nan"), float("nan"))
        ends = baseline * (low / (1 + _BETWEEN_PROCESSES) - 1), baseline * (high * (1 + _BETWEEN_PROCESSES) - 1)
        return ends if np.isfinite(ends).all() else (None, None)

    def _exact(self, difference: ColumnDifference) -> ColumnRelation:
        if abs(difference.mean) <= self.region[0]:
            return "tie"
        return "better" if (difference.mean > 0) == (self.column.get("direction") == "max") else "worse"
