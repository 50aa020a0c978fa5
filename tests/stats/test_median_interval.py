"""Order statistics enclose the median as often as they say."""

import numpy as np
import pytest
from scipy.stats import binom

from actlab.stats.median_interval import median_interval


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (17, 5), (50, 18)])
def test_the_ranks_are_those_of_the_sign_test(n, rank):
    """The k-th smallest lies above the median when fewer than k of n values lie below it."""
    assert median_interval(range(1, n + 1)) == (rank, n + 1 - rank)
    assert 2 * binom.cdf(rank - 1, n, 0.5) <= 0.05 < 2 * binom.cdf(rank, n, 0.5)


@pytest.mark.parametrize("n", range(6))
def test_too_few_values_have_no_interval(n):
    assert median_interval(range(n)) is None


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
def test_the_interval_contains_the_median_at_its_level_whatever_the_distribution(draw):
    generator = np.random.default_rng(0)
    median = {"normal": 0.0, "exponential": np.log(2), "standard_cauchy": 0.0}[draw]
    intervals = [median_interval(getattr(generator, draw)(size=9)) for _ in range(4000)]

    share = np.mean([low <= median <= high for low, high in intervals])

    assert abs(share - (1 - 2 * binom.cdf(1, 9, 0.5))) < 4 * np.sqrt(0.04 * 0.96 / 4000)


def test_the_order_of_the_values_does_not_matter():
    values = np.random.default_rng(1).normal(size=15)

    assert median_interval(values) == median_interval(np.sort(values)[::-1])
