"""Pairs of arms that the evidence does not separate, with the number of seeds that would."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from actlab.stats.equivalence import probability_equivalent
from actlab.stats.racing import RaceState, forecast
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.outcomes import Outcome, StudyFacts, differences

__all__ = ["Tie", "closest", "find_ties"]


@dataclass(frozen=True, kw_only=True)
class Tie:
    """Two arms that the evidence does not separate.

    Attributes:
        arms: the two labels, in the order of the verdict's arms.
        kind: "equivalent" when they are practically equivalent with posterior probability 1 - alpha, else "undecided".
        prob_equivalent: that probability; None with fewer than two shared seeds.
        seeds_needed: seeds to add until the pair is decided either way, if its mean and spread stay the same; None
            when equivalent, when 1,000 seeds would not suffice, or with fewer than two shared seeds.
    """

    arms: tuple[str, str]
    kind: Literal["equivalent", "undecided"]
    prob_equivalent: float | None
    seeds_needed: int | None


def find_ties(
    arms: Sequence[ArmSummary],
    best: Sequence[str],
    outcomes: Mapping[str, Outcome],
    state: RaceState,
    facts: StudyFacts,
) -> tuple[Tie, ...]:
    """Return the ties within the best set and those between the baseline and any other arm.

    Args:
        arms: every arm of the study, best first.
        best: labels of the best set.
        outcomes: of every arm.
        state: of the race.
        facts: of the study.
    """
    # The e-value of one pair at which an arm of the best set is eliminated (see actlab.stats.racing).
    evidence = (len(facts.arms) - len(state.eliminated)) * max(1, len(facts.arms) - 1) / facts.alpha
    with_results = [arm for arm in arms if arm.n]
    return tuple(
        _tie(outcomes[one.spec], outcomes[other.spec], facts, evidence)
        for one, other in combinations(with_results, 2)
        if {one.spec, other.spec} <= set(best) or _ties_with_baseline(one, other, facts)
    )


def _ties_with_baseline(one: ArmSummary, other: ArmSummary, facts: StudyFacts) -> bool:
    """Return whether one of the two is the baseline and the other is not separated from it, or practically equivalent to it."""
    if facts.baseline not in (one.spec, other.spec):
        return False
    diff = one.diff or other.diff
    return diff is None or diff.p_corrected >= facts.alpha or (diff.prob_equivalent or 0.0) >= 1 - facts.alpha


def _tie(one: Outcome, other: Outcome, facts: StudyFacts, evidence: float) -> Tie:
    sample = differences(one, other, facts)
    probability = probability_equivalent(sample, facts.rope)
    if probability is not None and probability >= 1 - facts.alpha:
        return Tie(arms=(one.arm, other.arm), kind="equivalent", prob_equivalent=probability, seeds_needed=None)
    seeds = forecast(sample, evidence=evidence, rope=facts.rope, level=1 - facts.alpha)
    return Tie(arms=(one.arm, other.arm), kind="undecided", prob_equivalent=probability, seeds_needed=seeds)


def closest(ties: Sequence[Tie]) -> Tie | None:
    """Return the undecided tie that needs the fewest seeds, the first of equal ones; None without undecided ties."""
    undecided = [tie for tie in ties if tie.kind == "undecided"]
    return min(undecided, key=lambda tie: math.inf if tie.seeds_needed is None else tie.seeds_needed, default=None)
