"""Data series of the charts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from actlab.report.content import series


def test_trials_that_tuned_the_learning_rate_are_left_out(trials):
    assert {row["stage"] for row in trials} == {"main", "tune"}
    assert {row["stage"] for row in series.main_trials(trials)} == {"main"}


def test_a_curve_is_the_median_over_seeds_with_the_middle_half_around_it(made_up):
    rows = [_trial("gelu", seed, [(10, loss)]) for seed, loss in enumerate([1.0, 2.0, 3.0, 4.0, 100.0])]

    assert series.curves(made_up, rows) == [
        {"arm": "gelu", "step": 10, "median": 3.0, "low": 2.0, "high": 4.0, "seeds": 5}
    ]


def test_one_seed_has_a_band_of_no_width(made_up):
    assert series.curves(made_up, [_trial("gelu", 0, [(10, 1.5)])]) == [
        {"arm": "gelu", "step": 10, "median": 1.5, "low": 1.5, "high": 1.5, "seeds": 1}
    ]


def test_losses_that_are_not_finite_are_left_out_of_a_curve(made_up):
    rows = [_trial("gelu", 0, [(10, 1.0), (20, math.nan)]), _trial("gelu", 1, [(10, 3.0), (20, None)])]

    assert [(point["step"], point["median"]) for point in series.curves(made_up, rows)] == [(10, 2.0)]


def test_a_trial_without_a_curve_is_no_trouble(made_up):
    assert series.curves(made_up, [{**_trial("gelu", 0, []), "curve": None}]) == []


def test_curves_stand_in_the_order_of_the_verdict_and_of_the_steps(made_up, trials):
    points = series.curves(made_up, reversed(trials))

    arms = list(dict.fromkeys(point["arm"] for point in points))
    assert arms == [arm.spec for arm in made_up.arms]
    assert all(a["step"] < b["step"] for a, b in pairwise(points) if a["arm"] == b["arm"])


def test_smoothing_keeps_a_straight_line_straight_to_its_ends():
    line = [{"arm": "a", "step": n, "median": 2.0 * n, "low": n - 1.0, "high": n + 1.0} for n in range(100)]

    for before, after in zip(line, series.smoothed(line), strict=True):
        assert [after[name] for name in ("median", "low", "high")] == pytest.approx(
            [before[name] for name in ("median", "low", "high")]
        )


def test_smoothing_damps_what_jumps_and_mixes_no_arms():
    jumps = [
        {"arm": arm, "step": n, "median": float(n % 2) + 10 * (arm == "b"), "low": 0.0, "high": 1.0}
        for arm in "ab"
        for n in range(100)
    ]

    smooth = series.smoothed(jumps)

    assert all(
        abs(point["median"] - 0.5 - 10 * (point["arm"] == "b")) <= 0.06 for point in smooth if 4 <= point["step"] < 96
    )


def test_a_short_curve_is_left_as_it_is():
    short = [{"arm": "a", "step": n, "median": float(n % 2), "low": 0.0, "high": 1.0} for n in range(20)]

    assert series.smoothed(short) == short


def test_differences_are_those_of_the_verdict_without_the_baseline(made_up):
    expected = [(arm.spec, arm.diff.mean, *arm.diff.ci) for arm in made_up.arms if arm.spec != "relu"]

    assert [tuple(row.values()) for row in series.differences(made_up)] == expected


def test_a_seed_counts_where_both_arm_and_baseline_have_a_result(made_up):
    rows = [_trial("relu", 0, metric=0.5), _trial("gelu", 0, metric=0.75), _trial("gelu", 1, metric=0.9)]

    assert series.seed_differences(made_up, rows) == [{"arm": "gelu", "seed": 0, "difference": 0.25}]


def test_the_mean_of_the_single_seeds_is_the_difference_of_the_verdict(made_up, trials):
    seeds = series.seed_differences(made_up, trials)

    for row in series.differences(made_up):
        mine = [dot["difference"] for dot in seeds if dot["arm"] == row["arm"]]
        assert sum(mine) / len(mine) == pytest.approx(row["mean"])


def test_an_arm_without_a_measured_time_has_no_place_among_the_costs(made_up, replaced):
    unmeasured = replaced(made_up, "gelu", step_time_ratio=None)

    assert "gelu" in {row["arm"] for row in series.costs(made_up)}
    assert "gelu" not in {row["arm"] for row in series.costs(unmeasured)}


def _trial(arm, seed, points=(), metric=None):
    curve = [{"step": step, "loss": loss} for step, loss in points]
    return {"stage": "main", "arm": arm, "seed": seed, "curve": curve, "metric": metric}
