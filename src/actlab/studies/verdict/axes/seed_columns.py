"""Columns with a number for each seed, and the column of churn with one for each pair of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np

from actlab.stats.far_out import far_out
from actlab.studies.verdict.axes.axes_study import HeadlineColumn
from actlab.studies.verdict.axes.axis_numbers import ArmSeries, column_series
from actlab.studies.verdict.axes.churn import Churn, PairShares, jackknife_interval, separate_pairs
from actlab.studies.verdict.axes.column_evidence import Comparison, comparison
from actlab.studies.verdict.axes.column_finding import ArmNumber, ColumnDifference
from actlab.studies.verdict.axes.column_region import column_region
from actlab.studies.verdict.settled import leading_seeds

__all__ = ["CHURN", "ChurnColumn", "SeedColumn"]

#: Axis and column of churn.
CHURN: Final = ("churn", "disagreement")


@dataclass(frozen=True, kw_only=True)
class SeedColumn(HeadlineColumn):
    """A headline column that is measured of every trial."""

    #: Seeds that one more difference takes.
    each: ClassVar[int] = 1

    @cached_property
    def series(self) -> Mapping[str, ArmSeries]:
        """Numbers by arm."""
        return column_series(self.study.rows, self.axis, self.name)

    @cached_property
    def region(self) -> tuple[float, str]:
        """Half width of the region of practical equivalence, and how it was chosen."""
        return column_region(self.column, self.series[self.study.facts.baseline], self.study.facts.seeds)

    @property
    def is_empty(self) -> bool:
        """Whether no trial has a number."""
        return not any(series.values for series in self.series.values())

    @property
    def reason(self) -> str:
        """Why a trial has no number, one that says more than that it has no axes where there is one."""
        reasons = [reason for series in self.series.values() for reason in series.missing.values()]
        own = [reason for reason in reasons if not reason.startswith(("its training", "its trial", "not measured"))]
        return next(iter([*own, *reasons]), "no trial has ended")

    def compared(self, arm: str) -> Comparison | None:
        """Return the paired numbers of an arm and the baseline on the seeds that both have run without a gap."""
        outcomes, facts = self.study.outcomes, self.study.facts
        seeds = self._rounds(leading_seeds(outcomes[arm], outcomes[facts.baseline], facts))
        sign = -1.0 if self.column.get("direction") == "min" else 1.0
        return comparison(self.series[arm], self.series[facts.baseline], seeds, sign=sign, rope=self.region[0])

    def _rounds(self, seeds: list[int]) -> list[int]:
        return seeds

    def number(self, arm: str) -> ArmNumber:
        """Return mean, interval and difference of an arm, without a statement."""
        baseline = self.study.facts.baseline
        series, other = self.series[arm], self.series[baseline]
        values, name = np.array(list(series.values.values())), f"{self.axis} {self.name} {arm}"
        shared = [seed for seed in series.values if seed in other.values]
        apart = np.array([series.values[seed] - other.values[seed] for seed in shared])
        difference = None
        if arm != baseline and apart.size:
            ci = self.study.interval(apart, f"{name} - baseline")
            difference = ColumnDifference(mean=float(apart.mean()), ci=ci, seeds=apart.size)
        far = far_out(values, resolution=self.region[0]).tolist()
        return ArmNumber(
            arm=arm,
            n=values.size,
            trials=len(self.study.rows[arm]),
            mean=float(values.mean()) if values.size else None,
            ci=self.study.interval(values, name),
            missing=_by_reason(series.missing),
            far=tuple(seed for seed, is_far in zip(series.values, far, strict=True) if is_far),
            difference=difference,
        )


@dataclass(frozen=True, kw_only=True)
class ChurnColumn(SeedColumn):
    """The column of churn: means are over all pairs of seeds, and tests on pairs of which no two share a seed.

    Attributes:
        churn: of the arms; None where predictions were not recorded.
        pairs: shares by pair of seeds.
    """

    churn: Churn | None
    pairs: PairShares

    each: ClassVar[int] = 2

    @cached_property
    def series(self) -> Mapping[str, ArmSeries]:
        """Shares of pairs of which no two share a seed, by the first seed of the pair."""
        if self.churn is None:
            return column_series(self.study.rows, self.axis, self.name)
        found, seeds = {}, self.study.facts.seeds
        for arm, trials in self.study.rows.items():
            own, why = self.pairs.separate(arm, seeds), self.churn.of(arm).undefined
            missing = {seed: why for seed in trials if seed not in own and (not own or seed in seeds[::2])}
            found[arm] = ArmSeries(arm=arm, values=own, missing=missing)
        return found

    def _rounds(self, seeds: list[int]) -> list[int]:
        run = set(seeds)  # a pair counts when both of its seeds have run
        return [first for first, second in separate_pairs(self.study.facts.seeds) if {first, second} <= run]

    def number(self, arm: str) -> ArmNumber:
        """Return the churn of two trainings of an arm, over all pairs of seeds."""
        rows, baseline = self.study.rows[arm], self.study.facts.baseline
        churn = None if self.churn is None else self.churn.of(arm)
        own, other = self.pairs.shares.get(arm, {}), self.pairs.shares.get(baseline, {})
        apart = {pair: own[pair] - other[pair] for pair in own if pair in other}
        difference = None
        if arm != baseline and apart:
            mean, seeds = float(np.mean(list(apart.values()))), {seed for pair in apart for seed in pair}
            difference = ColumnDifference(mean=mean, ci=jackknife_interval(apart), seeds=len(seeds))
        within, used = None if churn is None else churn.within, {seed for pair in own for seed in pair}
        reason = "no pair with another seed" if churn is None or not churn.undefined else churn.undefined
        absent = {s: found if isinstance(found, str) else reason for s, found in rows.items() if s not in used}
        return ArmNumber(
            arm=arm,
            n=len(used),
            trials=len(rows),
            mean=None if within is None else within.mean,
            ci=(None, None) if within is None else within.ci,
            missing=_by_reason(absent),
            difference=difference,
        )


def _by_reason(missing: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for seed, reason in missing.items():
        found[reason] = (*found.get(reason, ()), seed)
    return found
