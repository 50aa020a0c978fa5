"""Survival curves equal closed forms, and restricted means and paired differences are those of min(T, horizon)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from actlab.stats.bootstrap import bootstrap_interval
from actlab.stats.survival import (
    area_under_curve,
    common_horizon,
    kaplan_meier,
    restricted_gains,
    restricted_times,
)


def by_hand(times, reached):
    """Return the product of 1 - events / at risk over the different times, in exact fractions of integers."""
    survival, curve = 1.0, {}
    for time in sorted(set(times)):
        at_risk = sum(other >= time for other in times)
        events = sum(other == time and event for other, event in zip(times, reached, strict=True))
        survival *= 1 - events / at_risk
        curve[time] = survival
    return curve


def test_the_curve_of_freireich_1963_is_that_of_the_textbooks():
    # Remission times of leukaemia patients on 6-mercaptopurine; survival as in Kalbfleisch & Prentice (2002), section 1.1 and table 1.1.
    events = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    curve = kaplan_meier(events + censored, [True] * len(events) + [False] * len(censored))

    known = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert {time: round(curve.at(time), 3) for time in known} == known
    assert curve.median == 23


@pytest.mark.parametrize("seed", range(20))
def test_random_times_with_ties_give_the_product_over_events(seed):
    draws = np.random.default_rng(seed)
    times, reached = draws.integers(0, 12, size=15).astype(float).tolist(), (draws.random(15) < 0.6).tolist()
    curve = kaplan_meier(times, reached)

    expected = by_hand(times, reached)
    assert curve.times.tolist() == sorted(expected)
    np.testing.assert_allclose(curve.survival, list(expected.values()), rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_the_curve_is_that_of_scipy(seed):
    draws = np.random.default_rng(seed)
    times = draws.exponential(size=40) if seed % 2 else draws.integers(0, 12, size=40).astype(float)
    reached = draws.random(40) < (0.0, 0.3, 0.8, 1.0)[seed % 4]
    theirs = stats.ecdf(stats.CensoredData(uncensored=times[reached], right=times[~reached])).sf
    ours = kaplan_meier(times, reached)

    assert ours.times.tolist() == theirs.quantiles.tolist()
    np.testing.assert_allclose(ours.survival, theirs.probabilities, rtol=0, atol=1e-15)


def test_without_censoring_the_restricted_mean_is_the_mean_of_min():
    times = np.random.default_rng(0).exponential(size=50)
    curve = kaplan_meier(times, np.ones(50, bool))

    assert curve.restricted_mean(0.7) == pytest.approx(np.minimum(times, 0.7).mean(), abs=1e-12)
    assert curve.restricted_mean(1e6) == pytest.approx(times.mean(), abs=1e-9)


def test_with_censoring_the_restricted_mean_estimates_that_of_the_exponential_distribution():
    draws = np.random.default_rng(1)
    events, ends = draws.exponential(size=20_000), draws.uniform(0.2, 4.0, size=20_000)
    curve = kaplan_meier(np.minimum(events, ends), events <= ends)

    # the mean of min(T, 1) is 1 - exp(-1); its standard error is 0.0025
    assert curve.restricted_mean(1.0) == pytest.approx(1 - np.exp(-1), abs=0.01)
    assert curve.median == pytest.approx(np.log(2), abs=0.03)


def test_the_restricted_mean_beyond_the_last_censored_time_is_unknown():
    curve = kaplan_meier([2.0, 4.0], [True, False])

    assert curve.restricted_mean(4.0) == pytest.approx(3.0)
    assert curve.restricted_mean(5.0) is None


def test_the_median_is_unknown_while_more_than_half_never_reach_the_target():
    assert kaplan_meier([3.0, 5.0, 5.0], [True, False, False]).median is None
    assert kaplan_meier([3.0, 4.0, 5.0, 5.0], [True, True, False, False]).median == 4.0
    assert kaplan_meier([5.0], [False]).median is None


def test_times_censored_at_one_horizon_have_the_paired_differences_of_min():
    horizon = common_horizon([3.0, 8.0, 10.0, 10.0], [True, True, False, False])
    one = restricted_times([3.0, 8.0, 10.0, 10.0], [True, True, False, False], horizon)
    other = restricted_times([5.0, 10.0, 4.0, 10.0], [True, False, True, False], horizon)

    assert horizon == 10.0
    assert restricted_gains(one, other).tolist() == [2.0, 2.0, -6.0, 0.0]
    gap = kaplan_meier([5.0, 10.0, 4.0, 10.0], [True, False, True, False]).restricted_mean(horizon)
    gap -= kaplan_meier([3.0, 8.0, 10.0, 10.0], [True, True, False, False]).restricted_mean(horizon)
    assert restricted_gains(one, other).mean() == pytest.approx(gap, abs=1e-12)


def test_a_pair_with_a_time_censored_before_the_horizon_is_left_out():
    one = restricted_times([2.0, 4.0], [True, False], 6.0)

    assert restricted_gains(one, np.array([3.0, 6.0])).tolist() == [1.0]


def test_a_time_that_never_comes_does_not_limit_the_horizon():
    assert common_horizon([3.0, np.inf, 6.0], [True, False, False]) == 6.0
    assert restricted_times([np.inf], [False], 6.0).tolist() == [6.0]
    assert common_horizon([np.inf], [False]) == 0.0


def test_a_planted_error_of_dropping_censored_times_is_seen_in_the_restricted_mean():
    times, reached = np.array([1.0, 2.0, 10.0, 10.0]), np.array([True, True, False, False])

    dropped = times[reached].mean()
    assert kaplan_meier(times, reached).restricted_mean(10.0) == 5.75 > 3 * dropped


def test_the_interval_of_equal_restricted_times_is_a_point():
    assert bootstrap_interval(restricted_times([7.0] * 8, [True] * 8, 9.0), seed=0) == (7.0, 7.0)


def test_the_area_is_the_integral_of_a_line_over_its_length_for_any_steps():
    steps = np.sort(np.random.default_rng(0).choice(1000, size=40, replace=False)).astype(float)
    line = 3.0 - 0.002 * steps

    assert area_under_curve(steps, line) == pytest.approx(3.0 - 0.002 * (steps[0] + steps[-1]) / 2, abs=1e-12)


def test_the_area_of_one_point_or_of_an_infinite_value_is_unknown():
    assert area_under_curve([5], [1.0]) is None
    assert area_under_curve([5, 5], [1.0, 2.0]) is None
    assert area_under_curve([1, 2], [1.0, np.inf]) is None
