"""Practical equivalence of all pairs of a study, decided together and valid at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np

from actlab.stats.closed_test import closed_evidence, needed_evidence
from actlab.stats.e_process import Floats, exp_limited
from actlab.stats.equivalence import log_equivalence
from actlab.stats.racing import RaceState
from actlab.studies.verdict.outcomes import Outcome, StudyFacts

__all__ = ["Settled", "find_settled", "leading_seeds"]

Pair: TypeAlias = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Evidence for practical equivalence.

    Attributes:
        evidence: for each pair of arms, the largest evidence so far, corrected for all pairs; the two are practically equivalent from
            1/alpha on, and remain so.
        latest: evidence of each pair after the last round, before the correction.
        bound: 1/alpha.
    """

    evidence: Mapping[Pair, float]
    latest: Mapping[Pair, float]
    bound: float

    def p(self, one: str, other: str) -> float:
        """Return the error rate of the whole study at which the two are called practically equivalent."""
        return 1 / max(1.0, self.evidence[Pair({one, other})])

    def needed(self, one: str, other: str) -> float:
        """Return the evidence that the pair needs before the correction, if that of all other pairs stays as it is."""
        others = [value for pair, value in self.latest.items() if pair != {one, other}]
        return max(1.0, needed_evidence(np.array(others), self.bound))


def find_settled(outcomes: Mapping[str, Outcome], state: RaceState, facts: StudyFacts) -> Settled:
    """Return the evidence for practical equivalence of every pair of the plan.

    A pair counts the seeds that both arms have run in complete rounds; a pair with an arm that was eliminated and runs no more keeps
    its evidence. A pair of which one arm diverged alone is not equivalent, also when it was called so before.

    Args:
        outcomes: of every arm of the plan.
        state: of the race over them.
        facts: of the study.
    """
    pairs = list(combinations(facts.arms, 2))
    baseline = outcomes[facts.baseline]
    rounds = state.rounds if baseline.failed else min(state.rounds, len(leading_seeds(baseline, baseline, facts)))
    apart = np.array([_apart(outcomes[one], outcomes[other], rounds, facts) for one, other in pairs])
    paths = exp_limited(log_equivalence(apart.reshape(len(pairs), rounds), facts.rope or 0.0)).T
    corrected = closed_evidence(paths).max(axis=0, initial=1.0)
    latest = paths[-1] if rounds else np.ones(len(pairs))
    corrected = np.where(latest > 0, corrected, 1.0)
    keys = [Pair(pair) for pair in pairs]
    return Settled(
        evidence=dict(zip(keys, corrected.tolist(), strict=True)),
        latest=dict(zip(keys, latest.tolist(), strict=True)),
        bound=1 / facts.alpha,
    )


def leading_seeds(one: Outcome, other: Outcome, facts: StudyFacts) -> list[int]:
    """Return the seeds on which both arms ended with or without a finite result, up to the first on which one did not.

    Args:
        one: outcome of an arm.
        other: that of another.
        facts: of the study.
    """
    leading = []
    for seed in facts.seeds:
        if not all(seed in outcome.metrics or seed in outcome.diverged for outcome in (one, other)):
            break
        leading.append(seed)
    return leading


def _apart(first: Outcome, second: Outcome, rounds: int, facts: StudyFacts) -> Floats:
    """Return the differences of a pair by round: infinite where one arm diverged, NaN where both did and after the shared rounds."""
    seeds = leading_seeds(first, second, facts)[:rounds]
    apart = np.full(rounds, np.nan)
    results = first.on(seeds), second.on(seeds)
    apart[: len(seeds)] = np.where(np.isnan(results[0]) != np.isnan(results[1]), np.inf, results[0] - results[1])
    return apart
