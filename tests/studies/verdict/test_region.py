"""The region of practical equivalence follows the unit of the metric, and no later result moves it."""

from __future__ import annotations

import pytest

from actlab.studies.verdict.outcomes import Outcome, StudyFacts
from actlab.studies.verdict.region import Region, default_rule, find_region


def region(metric: str, results: dict[int, float], rope: float | None = None, **more: tuple[int, ...]) -> Region:
    facts = StudyFacts(
        name="s", task="t", metric=metric, arms=("relu", "gelu"), baseline="relu", seeds=(3, 0, 1, 2), rope=rope
    )
    outcomes = {"relu": Outcome(arm="relu", metrics=results, **more), "gelu": Outcome(arm="gelu", metrics={3: 1e9})}
    return find_region(outcomes, facts)


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        "Accuracy",
        "top-5 accuracy",
        "acc@1",
        "macro F1",
        "f1_macro",
        "F1",
        "ROC-AUC",
        "mIoU",
        "balanced accuracy",
        "R²",
        "r2_score",
    ],
)
def test_a_share_has_half_a_percentage_point(metric: str) -> None:
    assert region(metric, {3: 0.93}).width == region(metric, {}).width == 0.005


def test_a_share_in_percent_has_half_a_percentage_point_too() -> None:
    assert region("accuracy", {3: 93.0}).width == 0.5


@pytest.mark.parametrize("result", [-3.0, 0.0, 0.8])
def test_a_share_below_zero_is_not_in_percent(result: float) -> None:
    assert region("R2", {3: result}).width == 0.005


@pytest.mark.parametrize(
    "metric", ["accuracy loss", "log likelihood", "mean squared error", "map loss", "error", "step 1"]
)
def test_a_name_with_other_words_is_no_share(metric: str) -> None:
    assert region(metric, {3: 0.4}).width == pytest.approx(0.004)


def test_a_first_result_of_zero_says_nothing_of_the_size() -> None:
    found = region("reward", {3: 0.0, 0: -4.0, 1: 9.0})

    assert (found.width, found.rule) == (0.04, "1% of relu's result on seed 0")


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.4, 250.0, -0.7, 1e6])
def test_any_other_metric_has_a_share_of_the_baselines_first_result(size: float) -> None:
    found = region("loss", {3: size, 0: 5 * size})

    assert found.width == pytest.approx(abs(size) / 100)
    assert (found.rule, found.is_given) == ("1% of relu's result on seed 3", False)


def test_later_results_do_not_move_it() -> None:
    looks = [{3: 0.4}, {3: 0.4, 0: 0.9}, {3: 0.4, 0: 0.9, 1: 0.1, 2: 7.0}]

    assert {region("loss", results).width for results in looks} == {0.004}


def test_a_result_that_ends_before_that_of_an_earlier_seed_does_not_count() -> None:
    assert region("loss", {0: 0.9}).width == 0.0
    assert region("loss", {0: 0.9}, diverged=(3,)).width == pytest.approx(0.009)
    assert region("loss", {0: 0.9}, failed=(3,)).width == pytest.approx(0.009)
    assert region("loss", {0: 0.9}, failed=(3,), provisional=(3,)).width == 0.0  # it will be tried again


@pytest.mark.parametrize("rope", [0.0, 0.3])
def test_a_given_region_stays(rope: float) -> None:
    found = region("loss", {3: 0.4}, rope=rope)

    assert (found.width, found.is_given) == (rope, True)


def test_the_rule_is_told_before_there_are_results() -> None:
    assert default_rule("accuracy", "relu") == "within half a percentage point"
    assert default_rule("mean squared error", "relu") == "within 1% of relu's first result"
