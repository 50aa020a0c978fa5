"""Practical equivalence is decided over all pairs, at the error rate of the study, and no later result takes it back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from actlab.studies.verdict.outcomes import Outcome, StudyFacts, replay_race
from actlab.studies.verdict.settled import Settled, find_settled

ARMS = ("relu", "gelu", "silu", "tanh", "elu")


def settled(values: np.ndarray, *, rope: float = 1.0, hidden: dict[str, int] | None = None) -> Settled:
    """The evidence from rows of results, NaN where a trial diverged; ``hidden`` arms have only so many seeds."""
    arms, seeds = ARMS[: len(values)], tuple(range(values.shape[1]))
    facts = StudyFacts(
        name="s", task="t", metric="accuracy", arms=arms, baseline=arms[0], seeds=seeds, rope=rope, alpha=0.05
    )
    outcomes = {}
    for arm, row in zip(arms, values.tolist(), strict=True):
        shown = dict(enumerate(row[: (hidden or {}).get(arm, len(row))]))
        outcomes[arm] = Outcome(
            arm=arm,
            metrics={s: v for s, v in shown.items() if np.isfinite(v)},
            diverged=tuple(s for s, v in shown.items() if not np.isfinite(v)),
        )
    return find_settled(outcomes, replay_race(outcomes, facts), facts)


def test_arms_that_are_the_same_are_settled_and_others_are_not() -> None:
    values = 0.2 * np.random.default_rng(0).normal(size=(4, 20)) + np.array([0, 0, 0, 5.0])[:, None]
    found = settled(values)

    assert found.p("relu", "gelu") <= 0.05
    assert found.p("gelu", "silu") <= 0.05
    assert found.p("relu", "tanh") == 1.0


@pytest.mark.parametrize("arms", [2, 4])
@pytest.mark.parametrize("spread", [0.4, 1.0])
def test_a_pair_just_outside_the_region_is_called_equivalent_in_at_most_alpha_of_the_studies(
    arms: int, spread: float
) -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(200):
        values = spread * rng.normal(size=(arms, 15)) + 1.001 * (np.arange(arms) % 2)[:, None]
        found = settled(values)
        wrong += any(found.p(one, other) <= 0.05 for one in ARMS[:arms:2] for other in ARMS[1:arms:2])

    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)


def test_what_is_settled_stays_settled() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        values = 0.6 * rng.normal(size=(3, 16)) + np.array([0, 0.3, 2.5])[:, None]
        looks = [settled(values[:, :n]) for n in range(1, 17)]

        for pair in (("relu", "gelu"), ("relu", "silu"), ("gelu", "silu")):
            assert all(later.p(*pair) <= earlier.p(*pair) for earlier, later in pairwise(looks))


def test_an_open_round_does_not_count() -> None:
    values = 0.2 * np.random.default_rng(3).normal(size=(3, 12))

    assert settled(values, hidden={"gelu": 8, "silu": 8}).evidence == settled(values[:, :8]).evidence
    assert settled(values, hidden={"relu": 8}).evidence == settled(values[:, :8]).evidence


def test_a_pair_with_an_arm_that_runs_no_more_keeps_its_evidence() -> None:
    values = 0.2 * np.random.default_rng(4).normal(size=(3, 20)) + np.array([0, 0, -9.0])[:, None]
    found = settled(values, hidden={"silu": 8})

    first = settled(values[:, :8])

    assert found.latest[frozenset({"relu", "silu"})] == first.latest[frozenset({"relu", "silu"})]
    assert found.latest[frozenset({"gelu", "silu"})] == first.latest[frozenset({"gelu", "silu"})]
    assert found.latest[frozenset({"relu", "gelu"})] > 1000


def test_arms_that_run_on_after_their_elimination_can_still_be_settled() -> None:
    values = 0.2 * np.random.default_rng(5).normal(size=(3, 20)) + np.array([0, 0, 9.0])[:, None]

    assert settled(values).p("relu", "gelu") < settled(values, hidden={"gelu": 8}).p("relu", "gelu")


def test_an_arm_that_diverged_alone_is_equivalent_to_none() -> None:
    values = 0.1 * np.random.default_rng(6).normal(size=(3, 20))
    values[1, 2] = np.nan
    found = settled(values)

    assert found.p("relu", "gelu") == 1.0
    assert found.p("relu", "silu") <= 0.05


def test_the_needed_evidence_of_the_only_pair_is_one_over_alpha() -> None:
    assert settled(np.zeros((2, 3))).needed("relu", "gelu") == pytest.approx(20.0)


def test_one_arm_has_no_pairs() -> None:
    assert settled(np.zeros((1, 3))).evidence == {}


def test_without_rounds_nothing_is_settled() -> None:
    assert settled(np.zeros((2, 0))).p("relu", "gelu") == 1.0
