"""Record of what a study found about arms and pairs, from which every sentence is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

from actlab.stats.equivalence import probability_equivalent
from actlab.stats.racing import Race, RaceState
from actlab.studies.verdict.outcomes import Outcome, StudyFacts, differences, gains
from actlab.studies.verdict.settled import Settled, find_settled, leading_seeds

__all__ = ["ArmFinding", "Findings", "PairFinding", "Relation", "Standing", "make_findings"]

Standing: TypeAlias = Literal["best", "ruled out", "diverged", "withdrawn", "not run"]
Relation: TypeAlias = Literal["better", "worse", "equivalent", "undecided", "not compared"]


@dataclass(frozen=True, kw_only=True)
class ArmFinding:
    """What was found about one arm.

    Attributes:
        arm: its label.
        standing: "best" (it has results and is not ruled out), "ruled out" (by the evidence), "diverged" (no finite result, and not
            ruled out), "withdrawn" (a trial failed in a round that counts) or "not run" (no trial has ended).
        seeds: number of finite results.
        diverged: number of seeds without a finite result.
        beaten_by: the arm whose evidence ruled this one out, the arm that ruled that one out, and so on.
        after: number of rounds after which it was ruled out.
        e_value: evidence at that time.
        cause: why it is withdrawn, or why a trial failed that does not count.
        is_final: whether running the study again leaves a failed trial as it is; False where the trial will be tried again.
    """

    arm: str
    standing: Standing
    seeds: int
    diverged: int = 0
    beaten_by: tuple[str, ...] = ()
    after: int | None = None
    e_value: float | None = None
    cause: str | None = None
    is_final: bool = True

    @property
    def is_compared(self) -> bool:
        """Whether a sentence may say anything of its results."""
        return self.standing in ("best", "ruled out") and self.seeds > 0


@dataclass(frozen=True, kw_only=True)
class PairFinding:
    """What was found about two arms that were compared.

    Attributes:
        arms: the two labels, in the order of the plan.
        p_first: error rate of the whole study at which the second arm rules out the first
            (`actlab.stats.racing.Race.pair_p`); 1 without seeds.
        p_second: the same with the arms exchanged.
        prob_equivalent: posterior probability of practical equivalence, an estimate; None with fewer than two shared seeds.
        p_equivalent: error rate of the whole study at which the two are called practically equivalent.
        better: the arm that is shown to be better, or None.
        is_equivalent: whether the two are practically equivalent, shown at the error rate of the study, and their mean difference is
            inside the region. An arm may be better by less than matters.
    """

    arms: tuple[str, str]
    p_first: float
    p_second: float
    prob_equivalent: float | None
    p_equivalent: float
    better: str | None
    is_equivalent: bool


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found.

    Attributes:
        arms: one finding per arm, in the order of the plan.
        pairs: one finding for each pair that shares a seed, of the baseline with any arm and within the best set.
        baseline: label of the baseline.
        rounds: number of complete rounds.
        decided: whether the race ended because one arm, or none, is left.
    """

    arms: tuple[ArmFinding, ...]
    pairs: tuple[PairFinding, ...]
    baseline: str
    rounds: int
    decided: bool

    def of(self, arm: str) -> ArmFinding:
        """Return the finding about an arm."""
        return next(finding for finding in self.arms if finding.arm == arm)

    @property
    def best(self) -> tuple[str, ...]:
        """Labels of the best set, in the order of the plan."""
        return tuple(finding.arm for finding in self.arms if finding.standing == "best")

    @property
    def compared(self) -> tuple[str, ...]:
        """Labels of the arms about which sentences may speak."""
        return tuple(finding.arm for finding in self.arms if finding.is_compared)

    @property
    def left_out(self) -> tuple[ArmFinding, ...]:
        """Findings about the other arms."""
        return tuple(finding for finding in self.arms if not finding.is_compared)

    @property
    def running(self) -> frozenset[str]:
        """Labels of the arms that get more seeds when the study is extended: the best set and the baseline, until one arm is left."""
        return frozenset() if self.decided else frozenset({*self.best, self.baseline} & {*self.compared})

    def pair(self, one: str, other: str) -> PairFinding | None:
        """Return the finding about two arms, in any order."""
        return next((pair for pair in self.pairs if set(pair.arms) == {one, other}), None)

    def is_better(self, one: str, other: str) -> bool:
        """Return whether ``one`` is shown to be better than ``other``, by the evidence between the two or by that of arms between them."""
        if not (self.of(one).is_compared and self.of(other).is_compared):
            return False
        pair = self.pair(one, other)
        return one in self.of(other).beaten_by or (pair is not None and pair.better == one)

    def is_equivalent(self, one: str, other: str) -> bool:
        """Return whether two compared arms are practically equivalent."""
        pair = self.pair(one, other)
        return pair is not None and pair.is_equivalent and self.of(one).is_compared and self.of(other).is_compared

    def relation(self, one: str, other: str) -> Relation:
        """Return how ``one`` compares with ``other``."""
        if not (self.of(one).is_compared and self.of(other).is_compared):
            return "not compared"
        if self.is_equivalent(one, other):
            return "equivalent"
        if self.is_better(one, other):
            return "better"
        return "worse" if self.is_better(other, one) else "undecided"


def make_findings(outcomes: Mapping[str, Outcome], state: RaceState, facts: StudyFacts) -> Findings:
    """Return what was found.

    Args:
        outcomes: of every arm of the plan.
        state: of the race over them, from :func:`actlab.studies.verdict.outcomes.replay_race`.
        facts: of the study.
    """
    arms = tuple(_arm(outcomes[arm], state) for arm in facts.arms)
    return Findings(
        arms=arms,
        pairs=tuple(_pairs(arms, outcomes, state, facts)),
        baseline=facts.baseline,
        rounds=state.rounds,
        decided=len(facts.arms) > 1 and len(state.active) <= 1 and state.rounds > 0,
    )


def _arm(outcome: Outcome, state: RaceState) -> ArmFinding:
    standing = _standing(outcome, state)
    after, _, e_value = state.eliminated.get(outcome.arm, (None, "", None))
    return ArmFinding(
        arm=outcome.arm,
        standing=standing,
        seeds=len(outcome.metrics),
        diverged=len(outcome.diverged),
        beaten_by=tuple(_chain(outcome.arm, state)),
        after=after,
        e_value=e_value,
        cause=_cause(outcome),
        is_final=not outcome.provisional,
    )


def _standing(outcome: Outcome, state: RaceState) -> Standing:
    if outcome.arm in state.eliminated:
        return "ruled out"
    if not outcome.trials:
        return "not run"
    if outcome.arm not in state.active:
        return "withdrawn"
    return "best" if outcome.metrics else "diverged"


def _cause(outcome: Outcome) -> str | None:
    return f"seed {outcome.failed[0]}: {outcome.troubles[outcome.failed[0]]}" if outcome.failed else None


def _chain(arm: str, state: RaceState) -> Iterator[str]:
    """Yield the arm that ruled this one out, then the arm that ruled that one out, and so on."""
    seen = {arm}
    while arm in state.eliminated and (rival := state.eliminated[arm].rival) not in seen:
        yield rival
        seen.add(rival)
        arm = rival


def _pairs(
    arms: tuple[ArmFinding, ...], outcomes: Mapping[str, Outcome], state: RaceState, facts: StudyFacts
) -> Iterator[PairFinding]:
    settled = find_settled(outcomes, state, facts)
    for one, other in combinations(arms, 2):
        both_best = one.standing == other.standing == "best"
        if both_best or facts.baseline in (one.arm, other.arm):
            first, second = outcomes[one.arm], outcomes[other.arm]
            if gains(first, second, facts).size:
                yield _pair(first, second, state, facts, settled=settled, both_best=both_best)


def _pair(
    first: Outcome, second: Outcome, state: RaceState, facts: StudyFacts, *, settled: Settled, both_best: bool
) -> PairFinding:
    race, seeds = Race(facts.arms, facts.direction, facts.alpha), leading_seeds(first, second, facts)
    second_gains = gains(second, first, facts, seeds=seeds)
    p_first = race.pair_p(state, second_gains, better=second.arm, worse=first.arm)
    p_second = race.pair_p(state, -second_gains, better=first.arm, worse=second.arm)
    better = second.arm if p_first < min(facts.alpha, p_second) else first.arm if p_second < facts.alpha else None
    p_equivalent, apart = settled.p(first.arm, second.arm), differences(first, second, facts)
    # Evidence remains once it was reached; a mean that has left the region since is called nothing.
    is_inside = apart.size > 0 and abs(float(apart.mean())) <= (facts.rope or 0.0)
    return PairFinding(
        arms=(first.arm, second.arm),
        p_first=p_first,
        p_second=p_second,
        prob_equivalent=probability_equivalent(apart, facts.rope or 0.0),
        p_equivalent=p_equivalent,
        better=None if both_best else better,
        is_equivalent=p_equivalent <= facts.alpha and is_inside,
    )
