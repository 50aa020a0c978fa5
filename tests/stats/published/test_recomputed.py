"""Recomputed figures equal those of scipy on data, by every method, and ranges contain them after rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from actlab.stats.published.figure_range import Range, printed
from actlab.stats.published.recomputed import (
    SummaryRange,
    difference_half_widths,
    effect_sizes,
    mean_half_widths,
    p_values,
    paired_effect_sizes,
    paired_half_widths,
    paired_p_values,
)


def _exact(x, ddof=1):
    mean, sd = float(x.mean()), float(x.std(ddof=ddof))
    return SummaryRange(mean=Range(low=mean, high=mean), sd=Range(low=sd, high=sd), runs=x.size)


@pytest.fixture
def runs():
    random = np.random.default_rng(5)
    return random.normal(87.5, 0.4, size=9), random.normal(87.0, 0.7, size=6)


def _same(found, expected):
    assert found.low == pytest.approx(expected, rel=1e-9)
    assert found.high == pytest.approx(expected, rel=1e-9)


def test_p_values_equal_those_of_scipy(runs):
    a, b = runs
    found = p_values(_exact(a), _exact(b))

    _same(found["Welch"], stats.ttest_ind(a, b, equal_var=False).pvalue)
    _same(found["Student"], stats.ttest_ind(a, b).pvalue)
    _same(found["Student, one-sided"], stats.ttest_ind(a, b, alternative="greater").pvalue)
    _same(found["Student, one-sided against the difference"], stats.ttest_ind(a, b, alternative="less").pvalue)
    _same(found["normal"], 2 * stats.norm.sf(abs(stats.ttest_ind(a, b, equal_var=False).statistic)))


def test_standard_deviations_with_divisor_n_give_the_same_p_values(runs):
    a, b = runs

    _same(p_values(_exact(a, 0), _exact(b, 0))["Student from SDs with divisor n"], stats.ttest_ind(a, b).pvalue)


def test_intervals_equal_those_of_scipy(runs):
    a, b = runs
    t = stats.ttest_1samp(a, 0).confidence_interval(0.9)
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)

    _same(mean_half_widths(_exact(a), 0.9)["t"], (t.high - t.low) / 2)
    _same(difference_half_widths(_exact(a), _exact(b), 0.9)["Welch"], (welch.high - welch.low) / 2)


def test_effect_sizes_follow_their_definitions(runs):
    a, b = runs
    difference = a.mean() - b.mean()
    pooled = math.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2))
    found = effect_sizes(_exact(a), _exact(b))

    _same(found["pooled SD"], difference / pooled)
    _same(found["SD of the reference"], difference / b.std(ddof=1))
    # Hedges' correction is about 1 - 3 / (4 df - 1)
    assert found["Hedges' g"].low == pytest.approx(difference / pooled * (1 - 3 / (4 * 13 - 1)), rel=1e-3)


def test_paired_figures_lie_within_the_range_over_all_correlations():
    random = np.random.default_rng(6)
    for share in (-0.9, 0.0, 0.9, 0.999):
        a = random.normal(size=8)
        b = share * a + math.sqrt(1 - share**2) * random.normal(size=8) + 0.3
        test = stats.ttest_rel(a, b)
        interval = test.confidence_interval()
        numbers = {
            test.pvalue: paired_p_values,
            abs((a - b).mean() / (a - b).std(ddof=1)): paired_effect_sizes,
            (interval.high - interval.low) / 2: lambda x, y: paired_half_widths(x, y, 0.95),
        }
        for number, ranges in numbers.items():
            assert ranges(_exact(a), _exact(b)).meets(Range(low=number, high=number))


def test_paired_figures_need_equal_run_counts(runs):
    a, b = runs

    assert paired_p_values(_exact(a), _exact(b)) is None


def test_the_ranges_of_rounded_figures_contain_the_unrounded_results_by_every_method():
    random = np.random.default_rng(7)
    for _ in range(40):
        samples = [
            random.normal(random.uniform(0.5, 0.9), random.uniform(0.001, 0.05), size=random.integers(2, 30))
            for _ in "ab"
        ]
        exact = [_exact(x) for x in samples]
        places = int(random.integers(2, 5))
        shown = [
            SummaryRange(
                mean=printed(round(x.mean.low, places), 10.0**-places),
                sd=Range(
                    low=max(0.0, round(x.sd.low, places) - 10.0**-places), high=round(x.sd.low, places) + 10.0**-places
                ),
                runs=x.runs,
            )
            for x in exact
        ]
        for figures in (p_values, effect_sizes, lambda a, b: difference_half_widths(a, b, 0.95)):
            for method, expected in figures(*exact).items():
                assert figures(*shown)[method].meets(expected), method
