"""Tests from summaries equal those of scipy on data; runs needed equal a direct search with scipy's noncentral t."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from actlab.stats.published.sample_summary import Summary, largest_spread, power, runs_needed, welch_p_values


def test_p_values_equal_those_of_scipy_on_the_runs_themselves():
    random = np.random.default_rng(3)
    samples = [random.normal(i * 0.3, 1 + i, size=4 + 3 * i) for i in range(5)]
    summaries = [Summary(mean=x.mean(), sd=x.std(ddof=1), runs=x.size) for x in samples]

    found = welch_p_values(summaries)

    for i, first in enumerate(samples):
        for j, second in enumerate(samples):
            expected = math.nan if i == j else stats.ttest_ind(first, second, equal_var=False).pvalue
            np.testing.assert_allclose(found[i, j], expected, rtol=1e-10)


@pytest.mark.parametrize(
    "row",
    [Summary(mean=1.0, sd=0.1, runs=1), Summary(mean=1.0, sd=math.nan, runs=9), Summary(mean=1.0, sd=0.1, runs=0)],
    ids=["one run", "no spread", "unknown runs"],
)
def test_a_row_that_cannot_be_tested_has_no_p_value(row):
    others = [Summary(mean=0.0, sd=0.1, runs=5), Summary(mean=0.5, sd=0.1, runs=5)]

    found = welch_p_values([row, *others])

    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1, 2])


def test_two_rows_without_any_spread_are_not_tested_but_one_is():
    found = welch_p_values([Summary(mean=0.0, sd=s, runs=5) for s in (0.0, 0.0, 0.1)])

    assert math.isnan(found[0, 1])
    assert found[0, 2] == 1.0


@pytest.mark.parametrize(
    ("difference", "first", "second"), [(0.5, 0.5, 0.5), (0.11, 0.397, 0.472), (2.0, 0.1, 3.0), (5.0, 0.4, 0.4)]
)
def test_the_runs_needed_are_the_fewest_with_that_power(difference, first, second):
    def reference(n):
        v1, v2 = first**2, second**2
        df = (n - 1) * (v1 + v2) ** 2 / (v1**2 + v2**2)
        shifted = stats.nct(df, difference / math.sqrt((v1 + v2) / n))
        bound = stats.t.ppf(0.975, df)
        return shifted.sf(bound) + shifted.cdf(-bound)

    runs = runs_needed(difference, first, second, alpha=0.05)

    assert reference(runs) >= 0.8
    assert runs == 2 or reference(runs - 1) < 0.8
    assert power(difference, first, second, runs, 0.05) == pytest.approx(reference(runs), abs=1e-6)


def test_the_power_is_the_share_of_simulated_studies_that_find_the_difference():
    random = np.random.default_rng(0)
    first, second = random.normal(0.4, 0.3, size=(4000, 8)), random.normal(0, 0.5, size=(4000, 8))
    found = (stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue <= 0.05).mean()

    assert power(0.4, 0.3, 0.5, 8, 0.05) == pytest.approx(found, abs=4 * math.sqrt(0.25 / 4000))


def test_no_difference_needs_no_number_of_runs_and_a_tiny_one_does_not_hang():
    assert runs_needed(0.0, 0.4, 0.4, alpha=0.05) is None
    assert runs_needed(0.1, math.nan, 0.4, alpha=0.05) is None
    assert runs_needed(1e-6, 0.4, 0.4, alpha=0.05) > 10**12
    assert runs_needed(1e-300, 0.4, 0.4, alpha=0.05) is None


def test_at_the_largest_spread_a_difference_is_just_significant():
    spread = largest_spread(0.7, 4, 6, 0.05)

    p = stats.ttest_ind_from_stats(0.7, spread, 4, 0.0, spread, 6).pvalue
    assert p == pytest.approx(0.05)
    assert 2 * stats.norm.sf(0.7 / (math.sqrt(2) * largest_spread(0.7, 1, 1, 0.05))) == pytest.approx(0.05)
