"""Independent reading of the rows of a study, without the code of `actlab.studies.verdict`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.simulated_studies import Simulated

from actlab.stats.e_process import anytime_p
from actlab.stats.racing import Race, RaceState, paired_gains
from actlab.studies.verdict.verdict import StudyFacts

__all__ = ["Reading"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the rows of a study say, read on their own."""

    facts: StudyFacts
    costs: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]
    results: dict[str, dict[int, float]]
    lost: dict[str, set[int]]
    failed: dict[str, set[int]]
    again: set[tuple[str, int]]
    withdrawn: set[str]
    state: RaceState

    @classmethod
    def of(cls, study: Simulated) -> Reading:
        """Read the rows and replay the race one round after the other."""
        facts = study.facts
        results: dict[str, dict[int, float]] = {arm: {} for arm in facts.arms}
        lost: dict[str, set[int]] = {arm: set() for arm in facts.arms}
        failed: dict[str, set[int]] = {arm: set() for arm in facts.arms}
        again = set()
        for row in study.rows:
            arm, seed, metric = row["arm"], row["seed"], row["metric"]
            if row["stage"] != "main" or arm not in facts.arms or seed not in facts.seeds:
                continue
            if row["status"] in ("failed", "out_of_memory"):
                failed[arm].add(seed)
                again |= {(arm, seed)} if row.get("provisional") else set()
            elif row["status"] == "completed" and metric is not None and math.isfinite(metric):
                results[arm][seed] = metric
            else:
                lost[arm].add(seed)
        withdrawn, state = _race(facts, results, lost, failed)
        return cls(
            facts=facts, costs=study.costs, rows=study.rows, results=results, lost=lost, failed=failed, again=again,
            withdrawn=withdrawn, state=state,
        )  # fmt: skip

    @property
    def sign(self) -> float:
        """1 when larger is better, else -1."""
        return 1.0 if self.facts.direction == "max" else -1.0

    @property
    def out(self) -> set[str]:
        """Arms that the race has eliminated."""
        return set(self.state.eliminated)

    @property
    def best(self) -> set[str]:
        """Arms that may be the best."""
        return {arm for arm in self.state.active if arm not in self.withdrawn and self.results[arm]}

    @property
    def compared(self) -> set[str]:
        """Arms of which something may be said."""
        return {arm for arm in self.best | self.out if self.results[arm]}

    @property
    def is_over(self) -> bool:
        """Whether one arm, or none, is left in the race."""
        alive = [arm for arm in self.state.active if arm not in self.withdrawn]
        return len(self.facts.arms) > 1 and self.state.rounds > 0 and len(alive) <= 1

    def mean(self, arm: str) -> float:
        """Return the mean of an arm's finite results."""
        return float(np.mean([self.results[arm][seed] for seed in self.facts.seeds if seed in self.results[arm]]))

    def difference(self, one: str, other: str) -> float | None:
        """Return the mean of ``one`` minus ``other`` over the seeds on which both have a result."""
        shared = self.results[one].keys() & self.results[other].keys()
        if not shared:
            return None
        return float(np.mean([self.results[one][s] - self.results[other][s] for s in sorted(shared)]))

    def is_better(self, one: str, other: str) -> bool:
        """Return whether the evidence of the pair, or a chain of arms that ruled each other out, shows ``one`` better than ``other``."""
        if not {one, other} <= self.compared:
            return False
        beaten, seen = other, set()
        while beaten in self.state.eliminated and beaten not in seen:
            seen.add(beaten)
            beaten = self.state.eliminated[beaten].rival
            if beaten == one:
                return True
        seeds = [s for s in self.facts.seeds if all(s in self.results[a] or s in self.lost[a] for a in (one, other))]
        values = [np.array([self.sign * self.results[a].get(s, math.nan) for s in seeds]) for a in (one, other)]
        p = anytime_p(paired_gains(*values), two_sided=False) if seeds else None
        return p is not None and p <= self.facts.alpha

    def times(self, one: str, other: str) -> tuple[float, float, float] | None:
        """Return the ratio of step times with the second smallest and second largest of nine blocks, widened by 1.5 %."""
        first, second = (self.costs.get(arm, {}).get("step_time_ratios") for arm in (one, other))
        if first is None or second is None:
            return None
        ratios = sorted(a / b for a, b in zip(first, second, strict=True))
        return ratios[4], ratios[1] / 1.015, ratios[7] * 1.015


def _race(
    facts: StudyFacts, results: dict[str, dict[int, float]], lost: dict[str, set[int]], failed: dict[str, set[int]]
) -> tuple[set[str], RaceState]:
    """Return the arms that a failure took out, and the state after the last complete round."""
    ended = {arm: set(results[arm]) | lost[arm] for arm in facts.arms}
    table: dict[str, dict[int, float | None]] = {
        arm: {s: results[arm].get(s) for s in ended[arm]} for arm in facts.arms if ended[arm]
    }
    withdrawn = {arm for arm in facts.arms if failed[arm] and not ended[arm]}
    race = Race(facts.arms, facts.direction, facts.alpha)
    state = race.replay({}, [])
    for number, seed in enumerate(facts.seeds):
        racing = set(state.active) - withdrawn if number else set(table)
        if number and len(racing) <= 1:
            break
        if len(racing) > 1 or not number:
            withdrawn |= {arm for arm in racing if seed in failed[arm]} if len(racing) > 1 else set()
        racing -= withdrawn
        if not racing or any(seed not in ended[arm] for arm in racing):
            break
        state = race.replay(table, facts.seeds[: number + 1], failed=withdrawn)
    if not state.rounds:  # no complete round: whoever has a result is still in
        state = race.replay(table, [], failed=withdrawn)
    return withdrawn, state
