"""Choice of an arm's learning rate on tuning seeds, by the full grid or by successive halving over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from math import log

import numpy as np

from actlab.studies.plan import Plan
from actlab.studies.rungs import Rung
from actlab.studies.settings import HALVING_FACTORS, LR_FACTORS, TUNING_SEEDS
from actlab.studies.trials.stage import MAIN, is_tuning
from actlab.studies.trials.trial_key import TrialKey, TrialSummary

__all__ = ["ArmTuning", "tuned_grid", "tunings"]


class ArmTuning:
    """Tuning of one arm: the trials that it still needs and the rate it has chosen, a function of the results alone.

    On each rung all rates that are left run on the tuning seeds. The best mean validation results go on to the next rung, of equal ones
    the nearest to the task's own rate; on the first rung of successive halving they are smoothed over neighbours, and the task's own rate
    goes on with the best other one. A trial that diverged or failed counts as the worst, and a rate with one does not go on. The last rate
    left is chosen. Where none is left on a later rung, it is the best of the rung before that is smaller, as training diverges at large
    rates; where there is none, the task's own.

    Args:
        arm: its label.
        plan: gives the direction and the kind of tuning.
        default: the task's own learning rate.
    """

    def __init__(self, arm: str, plan: Plan, default: float) -> None:
        factors = LR_FACTORS if plan.tuning == "grid" else HALVING_FACTORS
        self._rungs = plan.rungs
        self._arm, self._default, self._sign = arm, default, 1 if plan.direction == "max" else -1
        self.grid = tuple(default * factor for factor in factors)
        self._values: dict[TrialKey, float] = {}
        self._rung, self._rates, self._earlier = 0, list(self.grid), 0
        self._reserve: list[float] = []  # rates of the rung before, best first
        self.rate: float | None = None  # chosen
        self._is_settled = False

    def add(self, result: TrialSummary) -> None:
        """Add the result of a tuning trial of this arm."""
        value = -math.inf if result.validation is None else self._sign * result.validation
        self._values[result.key] = value
        while self.rate is None and not self.missing:
            self._finish_rung()

    def settle(self, rate: float) -> None:
        """End the tuning with the rate of a main trial that has a result, where it has not ended.

        A tuning trial that was lost, as at its time limit, counts in the run in which that happened; later it counts as not run. It must
        not change the rate of an arm between two of its seeds.
        """
        if self.rate is None:
            self.rate, self._is_settled = rate, True

    @property
    def missing(self) -> list[TrialKey]:
        """Trials of the open rung without a result."""
        return [] if self.rate is not None else [key for key in self._keys() if key not in self._values]

    @property
    def work_left(self) -> float:
        """Largest number of trials without a result, each counted as its share of the steps of a main trial."""
        opened = len(self.missing) * self._rungs[self._rung].share
        return opened + sum(rung.rates * rung.share for rung in self._later()) * len(TUNING_SEEDS)

    @property
    def total(self) -> int:
        """Largest number of trials, with those that have a result."""
        if self._is_settled:
            return len(self._values)
        return self._earlier + len(self._keys()) + sum(rung.rates for rung in self._later()) * len(TUNING_SEEDS)

    @property
    def is_at_edge(self) -> bool:
        """Whether the chosen rate is the smallest or the largest of the grid, so that a better one may lie beyond it."""
        return self.rate in (self.grid[0], self.grid[-1])

    def _later(self) -> Sequence[Rung]:
        """Return the rungs after the open one, which may turn out smaller or not to be needed."""
        return () if self.rate is not None else self._rungs[self._rung + 1 :]

    def _keys(self) -> list[TrialKey]:
        return [key for rate in self._rates for key in self._keys_of(rate)]

    def _keys_of(self, rate: float) -> list[TrialKey]:
        stage = self._rungs[self._rung].stage
        return [TrialKey(stage, self._arm, seed, rate) for seed in TUNING_SEEDS]

    def _finish_rung(self) -> None:
        kept = self._best()
        if len(kept) > 1:
            self._earlier += len(self._keys())
            self._reserve = self._ranked()
            self._rung, self._rates = self._rung + 1, sorted(kept)
        else:
            smaller = [rate for rate in self._reserve if rate < self._rates[0]]
            self.rate = next(iter(kept or smaller), self._default)

    def _best(self) -> list[float]:
        """Return the rates that go on, best first."""
        ranked, later = self._ranked(), self._later()
        if not later:
            return ranked[:1]
        kept = ranked[: later[0].rates]
        if later[0].with_own and self._default in ranked and self._default not in kept:
            kept[-1] = self._default
        return kept

    def _ranked(self) -> list[float]:
        """Return the rates of the open rung without a lost trial, best first."""
        means = [float(np.mean([self._values[key] for key in self._keys_of(rate)])) for rate in self._rates]
        scores = _smoothed(means) if self._rungs[self._rung].smooth else means
        ranked = sorted(
            ((score, -abs(log(rate / self._default)), rate) for score, rate in zip(scores, self._rates, strict=True)),
            reverse=True,
        )
        return [rate for score, _, rate in ranked if math.isfinite(score)]


def _smoothed(means: Sequence[float]) -> list[float]:
    """Return half of each value and a quarter of each neighbour; its own in the place of one that is missing or not finite."""

    def at(place: int, own: float) -> float:
        return means[place] if 0 <= place < len(means) and math.isfinite(means[place]) else own

    return [own / 2 + (at(place - 1, own) + at(place + 1, own)) / 4 for place, own in enumerate(means)]


def tunings(plan: Plan, default: float, results: Iterable[TrialSummary] = ()) -> dict[str, ArmTuning]:
    """Return the tuning of every arm of a plan, with these results; none where the plan tunes nothing.

    Args:
        plan: of the study.
        default: the task's own learning rate.
        results: of any stage and in any order.
    """
    if plan.tune is None:
        return {}
    found = {arm: ArmTuning(arm, plan, default) for arm in plan.labels}
    known = [result for result in results if result.key.arm in found]
    for result in known:
        if is_tuning(result.key.stage):
            found[result.key.arm].add(result)
    for result in known:
        if result.key.stage == MAIN:
            found[result.key.arm].settle(result.key.lr)
    return found


def tuned_grid(plan: Plan, default: float) -> list[float]:
    """Return the learning rates among which each arm's is chosen; none where the plan tunes nothing.

    Args:
        plan: of the study.
        default: the task's own learning rate.
    """
    return [rate for tuning in list(tunings(plan, default).values())[:1] for rate in tuning.grid]
