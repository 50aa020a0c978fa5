"""Effects of claims from rows, against numbers computed by hand."""

from __future__ import annotations

import math

import pytest
from tests.studies.claims.made_up import row, rows

from actlab.errors import PlanError
from actlab.studies.claims.effect import Cell, Effect, column_value, difference, growth, value

ROWS = rows(a=[1.0, 2.0], b=[3.0, 5.0], c=[10.0, 20.0])
BESIDE = rows(a=[1.0, 1.0], b=[1.5, 2.5], c=[3.0, 7.0])


def approx(numbers):
    return pytest.approx(numbers)


def test_a_difference_is_paired_by_seed_and_positive_where_the_first_arm_is_better():
    assert difference("b", "a").by_seed({"main": ROWS}) == approx({0: 2.0, 1: 3.0})
    assert difference("b", "a", larger=False).by_seed({"main": ROWS}) == approx({0: -2.0, 1: -3.0})


def test_several_arms_are_averaged_before_the_difference():
    assert difference(("b", "c"), "a").by_seed({"main": ROWS}) == approx({0: 6.5 - 1, 1: 12.5 - 2})


def test_logarithms_are_taken_before_the_average():
    (found,) = (
        difference("c", ("a", "b"), scale="log10").by_seed({"main": rows(a=[10.0], b=[1000.0], c=[1.0])}).values()
    )

    assert found == approx(0 - (1 + 3) / 2)


def test_growth_is_the_difference_in_one_study_less_that_in_another():
    found = growth("b", "a", study="deep", beside="shallow").by_seed({"deep": ROWS, "shallow": BESIDE})

    assert found == approx({0: (3 - 1) - (1.5 - 1), 1: (5 - 2) - (2.5 - 1)})


def test_a_value_is_the_number_less_a_constant_and_its_sign_turns_where_smaller_numbers_support_the_claim():
    assert value("b", minus=4.0).by_seed({"main": ROWS}) == approx({0: -1.0, 1: 1.0})
    assert value("b", minus=4.0, larger=False).by_seed({"main": ROWS}) == approx({0: 1.0, 1: -1.0})


def test_a_difference_between_studies_takes_each_arm_from_its_own():
    found = difference("b", "a", study="deep", beside="shallow").by_seed({"deep": ROWS, "shallow": BESIDE})

    assert found == approx({0: 3 - 1.0, 1: 5 - 1.0})


def test_only_seeds_that_all_arms_have_count():
    assert list(difference("b", "a").by_seed({"main": [*ROWS, row("b", 2, 1.0)]})) == [0, 1]
    assert difference("b", "a").by_seed({}) == {}


def test_a_diverged_training_is_worse_than_any_other_and_two_of_them_say_nothing():
    diverged = [row("a", 0, status="diverged"), row("b", 0, 1.0), row("a", 1, 1.0), row("b", 1, status="diverged")]
    both = [row("a", 2, status="diverged"), row("b", 2, status="diverged")]
    better = difference("b", "a").by_seed({"main": [*diverged, *both]})
    lower = difference("b", "a", larger=False).by_seed({"main": [*diverged, *both]})

    assert (better[0], better[1], math.isnan(better[2])) == (math.inf, -math.inf, True)
    assert (lower[0], lower[1], math.isnan(lower[2])) == (math.inf, -math.inf, True)


def test_a_trial_that_failed_for_another_reason_says_nothing():
    found = difference("b", "a").by_seed({"main": [row("a", 0, status="failed"), row("b", 0, 1.0)]})

    assert math.isnan(found[0])


def test_the_share_of_diverged_trainings_is_a_column_of_its_own():
    diverged = [row("a", 0, status="diverged"), row("b", 0, 1.0)]

    assert difference("b", "a", column="diverged", larger=False).by_seed({"main": diverged}) == {0: 1.0}


def test_columns_of_a_trial_are_read_from_its_curve_its_metrics_and_its_axes():
    curve = [{"step": step, "loss": loss} for step, loss in ((10, 4.0), (20, 2.0), (30, 1.0), (40, 1.0))]
    trial = row("a", 0, 0.5, curve=curve, metrics={"f1": 0.7}, axes={"calibration": {"numbers": {"ece": 0.1}}})

    found = {
        name: column_value(trial, name)
        for name in ("mean_loss", "loss@0.5", "loss@0", "metrics.f1", "axes.calibration.ece")
    }
    assert found == {"mean_loss": 2.0, "loss@0.5": 2.0, "loss@0": 4.0, "metrics.f1": 0.7, "axes.calibration.ece": 0.1}
    assert column_value(row("a", 0, 0.5), "mean_loss") is None


def test_a_column_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(PlanError, match=r"There is no column 'acuracy'.*loss@SHARE"):
        column_value(row("a", 0, 0.5), "acuracy")


def test_a_weighted_sum_of_cells_is_an_effect_too():
    both = Effect(
        cells=(Cell(arms=("a",), column="metric", weight=2.0), Cell(arms=("b",), column="metric", weight=-1.0)),
        minus=1.0,
    )

    assert both.by_seed({"main": ROWS}) == approx({0: 2 - 3 - 1, 1: 4 - 5 - 1})
