"""Pairs of arms that the evidence does not separate, with the number of seeds that would."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from actlab.stats.racing import RaceState, forecast
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.finding import Findings, PairFinding
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
            when equivalent, when one of the two is ruled out and gets no more seeds, when 1,000 seeds would not suffice, or with
            fewer than two shared seeds.
    """

    arms: tuple[str, str]
    kind: Literal["equivalent", "undecided"]
    prob_equivalent: float | None
    seeds_needed: int | None


def find_ties(
    arms: Sequence[ArmSummary],
    outcomes: Mapping[str, Outcome],
    findings: Findings,
    state: RaceState,
    facts: StudyFacts,
) -> tuple[Tie, ...]:
    """Return the ties within the best set and those between the baseline and any other arm that was compared.

    Args:
        arms: every arm of the study, best first.
        outcomes: of every arm.
        findings: about them.
        state: of the race.
        facts: of the study.
    """
    # The e-value of one pair at which an arm of the best set is eliminated (see actlab.stats.racing).
    evidence = (len(facts.arms) - len(state.eliminated)) * max(1, len(facts.arms) - 1) / facts.alpha
    compared = [arm.spec for arm in arms if findings.of(arm.spec).is_compared]
    return tuple(
        _tie(outcomes[one], outcomes[other], pair, findings=findings, facts=facts, evidence=evidence)
        for one, other in combinations(compared, 2)
        if (pair := findings.pair(one, other)) is not None
        and findings.relation(one, other) in ("equivalent", "undecided")
    )


def _tie(
    one: Outcome, other: Outcome, pair: PairFinding, *, findings: Findings, facts: StudyFacts, evidence: float
) -> Tie:
    names, probability = (one.arm, other.arm), pair.prob_equivalent
    if pair.is_equivalent:
        return Tie(arms=names, kind="equivalent", prob_equivalent=probability, seeds_needed=None)
    seeds = (
        forecast(differences(one, other, facts), evidence=evidence, rope=facts.rope, level=1 - facts.alpha)
        if {*names} <= findings.running
        else None
    )
    return Tie(arms=names, kind="undecided", prob_equivalent=probability, seeds_needed=seeds)


def closest(ties: Sequence[Tie], findings: Findings) -> Tie | None:
    """Return the undecided tie that needs the fewest seeds, the first of equal ones; None where more seeds decide none.

    Args:
        ties: from :func:`find_ties`.
        findings: about the arms; a pair counts if both arms get more seeds when the study is extended.
    """
    undecided = [tie for tie in ties if tie.kind == "undecided" and {*tie.arms} <= findings.running]
    return min(undecided, key=lambda tie: math.inf if tie.seeds_needed is None else tie.seeds_needed, default=None)
