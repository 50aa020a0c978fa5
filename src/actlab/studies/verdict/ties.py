"""Pairs of arms that the evidence does not separate, with the number of seeds that would."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from actlab.stats.forecast import forecast
from actlab.stats.racing import Race, RaceState
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.finding import Findings, PairFinding
from actlab.studies.verdict.outcomes import Outcome, StudyFacts, gains
from actlab.studies.verdict.settled import find_settled, leading_seeds

__all__ = ["Tie", "closest", "find_ties"]


@dataclass(frozen=True, kw_only=True)
class Tie:
    """Two arms that the evidence does not separate.

    Attributes:
        arms: the two labels, in the order of the verdict's arms.
        kind: "equivalent" when they are shown to be practically equivalent at the error rate of the study, else "undecided".
        prob_equivalent: posterior probability of that, an estimate; None with fewer than two shared seeds.
        seeds_needed: seeds to add until the pair is decided either way, if its results so far repeat; None
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
    compared = [arm.spec for arm in arms if findings.of(arm.spec).is_compared]
    tied = [
        (one, other, pair)
        for one, other in combinations(compared, 2)
        if (pair := findings.pair(one, other)) is not None
        and findings.relation(one, other) in ("equivalent", "undecided")
    ]
    needed = _seeds_needed([pair for *_, pair in tied], outcomes, findings, state, facts)
    return tuple(
        Tie(
            arms=(one, other),
            kind="equivalent" if pair.is_equivalent else "undecided",
            prob_equivalent=pair.prob_equivalent,
            seeds_needed=needed.get(pair.arms),
        )
        for one, other, pair in tied
    )


def _seeds_needed(
    pairs: Sequence[PairFinding],
    outcomes: Mapping[str, Outcome],
    findings: Findings,
    state: RaceState,
    facts: StudyFacts,
) -> dict[tuple[str, str], int | None]:
    """Return the forecast for the undecided pairs that get more seeds."""
    race, settled = Race(facts.arms, facts.direction, facts.alpha), find_settled(outcomes, state, facts)
    needed = {}
    for pair in pairs:
        if not pair.is_equivalent and {*pair.arms} <= findings.running:
            first, second = (outcomes[arm] for arm in pair.arms)
            needed[pair.arms] = forecast(
                gains(first, second, facts, seeds=leading_seeds(first, second, facts)),
                better=race.needed_e(state, second.arm),
                worse=race.needed_e(state, first.arm),
                rope=facts.rope or 0.0,
                equivalent=settled.needed(*pair.arms),
            )
    return needed


def closest(ties: Sequence[Tie], findings: Findings) -> Tie | None:
    """Return the undecided tie that needs the fewest seeds, the first of equal ones; None where more seeds decide none.

    Args:
        ties: from :func:`find_ties`.
        findings: about the arms; a pair counts if both arms get more seeds when the study is extended.
    """
    undecided = [tie for tie in ties if tie.kind == "undecided" and {*tie.arms} <= findings.running]
    return min(undecided, key=lambda tie: math.inf if tie.seeds_needed is None else tie.seeds_needed, default=None)
