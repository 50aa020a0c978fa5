"""Practical equivalence keeps its error rate at every look; shares and posterior probabilities agree with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from actlab.stats.e_process import log_e_process
from actlab.stats.equivalence import log_equivalence, probability_equivalent, probability_superior

DIFFERENCES = np.array([0.8, -0.3, 1.7, 0.9, 0.2, 1.1])
EXACT = 1e-12  # sums of a few terms of order one are good to some 1e-15
# Differences of arms that are not equivalent, as their centre is exactly at the edge of the region of half width 1.
EDGE = {
    "Gaussian, spread as the region": lambda rng, shape: 1 + rng.normal(size=shape),
    "Gaussian, wide": lambda rng, shape: -1 + 5 * rng.normal(size=shape),
    "one size, either sign": lambda rng, shape: 1 + 0.9 * rng.choice([-1.0, 1.0], size=shape),
    "mostly at the edge": lambda rng, shape: 1 + rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0], size=shape),
    "heavy tails": lambda rng, shape: 1 + rng.standard_t(1.5, size=shape),
}


class TestEvidence:
    """2,000 studies of 30 seeds with a look after each; 5 % may err, more than 127 would at odds of 1 : 1,000."""

    STUDIES, SEEDS = 2000, 30
    LIMIT = int(stats.binom.ppf(0.999, 2000, 0.05))

    @pytest.mark.parametrize("draw", EDGE.values(), ids=EDGE.keys())
    def test_arms_that_differ_by_the_region_are_called_equivalent_in_at_most_alpha_of_the_studies(self, draw) -> None:
        d = draw(np.random.default_rng(3), (self.STUDIES, self.SEEDS))

        assert (log_equivalence(d, 1.0).max(axis=1) >= np.log(20)).sum() <= self.LIMIT

    def test_a_posterior_probability_that_is_looked_at_after_every_seed_is_caught(self) -> None:
        d = 1 + np.random.default_rng(3).normal(size=(400, self.SEEDS))
        looks = [[probability_equivalent(row[:n], 1.0) >= 0.95 for n in range(3, self.SEEDS + 1)] for row in d]

        assert np.mean(np.any(looks, axis=1)) > 2 * 0.05

    def test_equal_arms_are_soon_called_equivalent(self) -> None:
        d = 0.3 * np.random.default_rng(3).normal(size=(500, 20))
        reached = log_equivalence(d, 1.0) >= np.log(20)

        assert np.median(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, 99)) <= 6

    def test_it_is_the_smaller_one_of_two_processes(self) -> None:
        expected = np.minimum(log_e_process(1 - DIFFERENCES), log_e_process(1 + DIFFERENCES))

        assert expected == pytest.approx(log_equivalence(DIFFERENCES, 1.0), abs=EXACT)

    @pytest.mark.parametrize("rope", [0.0, 0.01])
    def test_identical_results_are_evidence_whatever_the_region(self, rope: float) -> None:
        evidence = np.exp(log_equivalence(np.zeros(8), rope))

        assert evidence[4] > 20
        assert evidence[7] > 200

    def test_without_a_region_one_difference_against_many_identical_results_stops_the_growth(self) -> None:
        d = np.array([0.0] * 6 + [0.1] + [0.0] * 4)
        evidence = log_equivalence(d, 0.0)

        assert evidence[6:].max() < evidence[5] - 4

    def test_an_arm_that_diverges_alone_is_never_equivalent_again(self) -> None:
        d = np.array([0.0, 0.0, np.inf, *[0.0] * 50])

        assert (log_equivalence(d, 1.0)[2:] == -np.inf).all()

    def test_a_seed_on_which_both_diverge_says_nothing(self) -> None:
        evidence = log_equivalence(np.array([0.1, -0.1, np.nan, np.nan]), 1.0)

        assert (evidence[2:] == evidence[1]).all()


class TestShares:
    def test_superiority_counts_a_tie_half(self) -> None:
        assert probability_superior([1.0, 0.0, -2.0, 3.0]) == 2.5 / 4
        assert probability_superior([]) is None

    def test_equivalence_is_the_mass_of_students_posterior_within_the_region(self) -> None:
        posterior = stats.t(5, loc=DIFFERENCES.mean(), scale=stats.sem(DIFFERENCES))
        expected = posterior.cdf(0.9) - posterior.cdf(-0.9)

        assert expected == pytest.approx(probability_equivalent(DIFFERENCES, 0.9), abs=EXACT)

    def test_equivalence_needs_two_differences(self) -> None:
        assert probability_equivalent([0.1], 1.0) is None

    @pytest.mark.parametrize("n", [2, 5, 20])
    def test_identical_results_become_equivalent_only_with_seeds(self, n: int) -> None:
        assert 2**n / (2**n + 1) == pytest.approx(probability_equivalent([0.0] * n, 0.01), abs=EXACT)
        assert 1 / (2**n + 1) == pytest.approx(probability_equivalent([0.1] * n, 0.01), abs=EXACT)

    def test_rounding_noise_is_no_spread(self) -> None:
        noisy = [0.1 + 0.2, 0.3, 0.1 + 0.2]

        assert pytest.approx(probability_equivalent(noisy, 0.5), abs=EXACT) == 8 / 9
