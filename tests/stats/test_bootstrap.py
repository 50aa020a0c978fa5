"""The interquartile mean and the bootstrap interval agree with SciPy and rliable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from actlab.stats.bootstrap import bootstrap_interval, iqm

DIFFERENCES = np.array([0.8, -0.3, 1.7, 0.9, 0.2, 1.1])
EXACT = 1e-12  # sums of a few terms of order one are good to some 1e-15


class TestMeansAndIntervals:
    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 10, 20, 21])
    def test_iqm_is_the_trimmed_mean_of_rliable(self, n: int) -> None:
        values = np.random.default_rng(n).normal(size=n)

        assert stats.trim_mean(values, 0.25) == pytest.approx(iqm(values), abs=EXACT)

    def test_iqm_of_nothing_is_none(self) -> None:
        assert iqm([]) is None

    def test_bootstrap_of_one_value_is_none(self) -> None:
        assert bootstrap_interval([0.5], seed=0) is None

    def test_bootstrap_of_equal_values_is_that_value(self) -> None:
        assert bootstrap_interval([0.25] * 7, seed=0) == (0.25, 0.25)

    @pytest.mark.parametrize("n", [2, 3, 5])
    def test_the_interval_of_a_handful_of_values_is_that_of_student(self, n: int) -> None:
        values = DIFFERENCES[:n]
        expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))

        assert expected == pytest.approx(bootstrap_interval(values, seed=0), abs=EXACT)

    def test_the_bootstrap_is_bca_of_scipy_at_the_widened_level(self) -> None:
        values = np.random.default_rng(3).exponential(size=12)
        wide = np.sqrt(12 / 11) * stats.t.ppf(0.975, 11)
        level = 1 - 2 * stats.norm.sf(wide)
        expected = stats.bootstrap(
            (values,), np.mean, confidence_level=level, n_resamples=100_000, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
        actual = bootstrap_interval(values, seed=1, resamples=100_000)

        assert expected == pytest.approx(actual, abs=0.02)  # quantiles at 1 % of 100,000 means with SD 0.3

    def test_the_same_seed_gives_the_same_interval_and_another_seed_another(self) -> None:
        assert bootstrap_interval(DIFFERENCES, seed=4) == bootstrap_interval(DIFFERENCES, seed=4)
        assert bootstrap_interval(DIFFERENCES, seed=4) != bootstrap_interval(DIFFERENCES, seed=5)

    @pytest.mark.parametrize("n", [3, 6, 10])
    def test_the_interval_holds_the_mean_of_gaussian_numbers_about_as_often_as_it_says(self, n: int) -> None:
        rng = np.random.default_rng(n)
        intervals = [bootstrap_interval(rng.normal(size=n), seed=i, resamples=800) for i in range(600)]
        held = np.mean([low <= 0 <= high for low, high in intervals])

        assert 0.91 <= held <= 0.98

    @pytest.mark.parametrize("scale", [1e-200, 1e200])
    def test_the_interval_scales_with_its_values(self, scale: float) -> None:
        expected = np.array(bootstrap_interval(DIFFERENCES, seed=0)) * scale

        assert expected == pytest.approx(bootstrap_interval(DIFFERENCES * scale, seed=0), rel=1e-9)
