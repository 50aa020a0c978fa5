"""Effects have SciPy's p-values and the closed test's adjusted ones; differences within rounding are no effect."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from actlab.stats.paired_effect import classify_effects, estimate_effect, holm


@pytest.mark.parametrize("n", [2, 5, 30, 1500])
def test_the_p_value_is_that_of_scipys_paired_t_test(n):
    values = np.random.default_rng(0).normal(0.1, 1.0, n)

    assert estimate_effect(values, rounding=0.0).p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-9)


def test_the_interval_of_many_samples_is_students():
    values = np.random.default_rng(0).normal(0.1, 1.0, 3000)
    result = estimate_effect(values, rounding=0.0)
    wanted = stats.t.interval(0.95, 2999, values.mean(), stats.sem(values))

    assert (result.low, result.high) == pytest.approx(wanted, rel=1e-9)


def test_intervals_by_resampling_and_students_agree_where_they_meet():
    values = np.random.default_rng(0).normal(0.1, 1.0, 1000)
    result = estimate_effect(values, rounding=0.0)
    wanted = stats.t.interval(0.95, 999, values.mean(), stats.sem(values))

    assert (result.low, result.high) == pytest.approx(wanted, abs=0.005)  # 4,000 draws: 3 % of the half width, 0.062


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    result = [estimate_effect(random.exponential(1.0, 60) - 1.0, rounding=0.0) for _ in range(200)]
    hits = np.mean([one.low <= 0.0 <= one.high for one in result])

    assert 0.90 <= hits <= 0.985  # 0.95 with a standard error of 0.015, on skewed numbers


def closed(p):
    """Return the adjusted p values of the closed test: the largest Bonferroni p of any intersection that a hypothesis is in."""
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    return [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if k in s) for k in range(len(p))]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    p = np.random.default_rng(seed).uniform(0, 0.2, 6).tolist()

    assert holm(p) == pytest.approx(closed(p), rel=1e-12)


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


def test_differences_within_rounding_are_none_however_sure_they_are():
    result = estimate_effect(np.full(100, 3e-7) + np.random.default_rng(0).normal(0, 1e-9, 100), rounding=1e-6)

    assert (result.state, result.p) == ("none", 1.0)
    assert classify_effects([result], alpha=0.05)[0].state == "none"


def test_one_sample_beyond_rounding_is_enough_to_look():
    assert estimate_effect(np.array([0.0, 0.0, 0.1]), rounding=1e-6).state == "not distinguishable from zero"


def test_what_is_said_follows_the_adjusted_p_value():
    random = np.random.default_rng(1)
    strong, weak = random.normal(1.0, 1.0, 50), random.normal(0.0, 1.0, 50)
    weak += stats.t.isf(0.015, 49) * stats.sem(weak) - weak.mean()  # a p of 0.03: enough alone, not among four
    alone = classify_effects([estimate_effect(weak, rounding=0.0)], alpha=0.05)
    four = classify_effects([estimate_effect(v, rounding=0.0) for v in (strong, -strong, weak, weak)], alpha=0.05)

    assert alone[0].state == "worse"
    assert [result.state for result in four] == [
        "worse",
        "better",
        "not distinguishable from zero",
        "not distinguishable from zero",
    ]
    assert four[2].adjusted == pytest.approx(0.06)
    assert four[2].p == pytest.approx(0.03)


def test_equal_differences_are_certain():
    assert estimate_effect(np.full(5, 0.2), rounding=0.0).p == 0.0
