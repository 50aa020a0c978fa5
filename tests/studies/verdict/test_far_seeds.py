"""An arm that fails on rare seeds is named, also where the seeds themselves differ, and no other arm is."""

from __future__ import annotations

import numpy as np
import pytest

from actlab.studies.verdict.far_seeds import find_far_seeds
from actlab.studies.verdict.outcomes import Outcome
from actlab.studies.verdict.verdict import StudyFacts, make_verdict

ARMS = ("relu", "gelu", "silu", "tanh")


def results(arms: int, seeds: int = 10, by_seed: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    return 0.9 + by_seed * rng.normal(size=seeds) + 0.01 * rng.normal(size=(arms, seeds))


def outcomes_of(values: np.ndarray) -> dict[str, Outcome]:
    return {
        arm: Outcome(arm=arm, metrics=dict(enumerate(row))) for arm, row in zip(ARMS, values.tolist(), strict=False)
    }


@pytest.mark.parametrize("arms", [2, 3, 4])
@pytest.mark.parametrize("by_seed", [0.0, 0.2])
def test_the_arm_that_collapses_is_named_with_its_seed(arms: int, by_seed: float) -> None:
    values = results(arms, by_seed=by_seed)
    values[1, 3] -= 3.0

    assert find_far_seeds(outcomes_of(values), ARMS[:arms], 0.005) == {"gelu": (3,)}


@pytest.mark.parametrize("arms", [1, 2, 4])
def test_a_seed_that_is_bad_for_all_arms_is_no_exception(arms: int) -> None:
    values = results(arms)
    values[:, 3] -= 3.0

    assert find_far_seeds(outcomes_of(values), ARMS[:arms], 0.005) == {}


def test_seeds_that_differ_by_less_than_matters_are_none() -> None:
    values = np.full((3, 10), 0.9)
    values[1, 3] -= 0.004

    assert find_far_seeds(outcomes_of(values), ARMS[:3], 0.005) == {}


def test_the_verdict_warns_and_says_what_it_means_for_the_error_rate() -> None:
    values = results(3)
    values[1, 3] = 0.1
    rows = [
        {"stage": "main", "arm": arm, "seed": seed, "status": "completed", "metric": metric}
        for arm, row in zip(ARMS, values.tolist(), strict=False)
        for seed, metric in enumerate(row)
    ]
    facts = StudyFacts(name="s", task="t", metric="accuracy", arms=ARMS[:3], baseline="relu", seeds=tuple(range(10)))
    warnings = make_verdict(rows, facts, {}).warnings

    assert any(
        text.startswith("gelu is much farther from the other arms on 1 seed (seed 3: 0.1) than") for text in warnings
    )
    assert sum("much farther from" in text for text in warnings) == 1
