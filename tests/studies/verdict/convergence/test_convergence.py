"""Times to a target, areas and best steps are those of the series, and trials that never reach the target are censored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.studies.verdict.convergence.simulated import STEPS, facts, judged, rows

from actlab.stats.survival import area_under_curve
from actlab.studies.target import Target
from actlab.studies.verdict.verdict import make_verdict

FAST = {"relu": (60.0, 0.97), "gelu": (30.0, 0.97)}
SLOW = {"relu": (60.0, 0.97), "snake": (95.0, 0.97)}


def loss_target(value):
    return Target(name="loss", value=value, direction="min", rule="given before the study")


def without(found, *seeds, arm, **changes):
    """The rows with changes to some seeds of an arm."""
    return [{**row, **changes} if row["arm"] == arm and row["seed"] in seeds else row for row in found]


def test_the_median_is_the_middle_of_the_first_evaluations_at_the_target():
    found = rows(FAST, seeds=9)
    verdict = make_verdict(found, facts(FAST, 9), {})
    firsts = [
        next(
            s
            for s, v in zip(row["series"]["accuracy"]["step"], row["series"]["accuracy"]["value"], strict=True)
            if v >= 0.9
        )
        for row in found
        if row["arm"] == "gelu"
    ]
    times = verdict.convergence.of("gelu").steps

    assert (times.n, times.censored) == (9, 0)
    assert times.median == np.median(firsts)
    assert times.restricted_mean == pytest.approx(np.mean(firsts))
    assert times.horizon == STEPS
    assert verdict.convergence.of("gelu").epochs.median == np.median(firsts) / 20
    assert verdict.convergence.of("gelu").seconds.median == pytest.approx(np.median(firsts) * 0.01)


def test_trials_that_never_reach_the_target_are_censored_and_not_dropped():
    found = rows(FAST, seeds=10)
    for row in found:
        if row["arm"] == "gelu" and row["seed"] < 6:
            row["series"]["accuracy"]["value"] = [0.5] * 20
    times = make_verdict(found, facts(FAST, 10), {}).convergence.of("gelu").steps

    assert (times.n, times.censored) == (10, 6)
    assert times.median is None
    assert times.restricted_mean > 0.6 * STEPS
    assert times.curve[-1] == (STEPS, pytest.approx(0.6))


def test_a_diverged_trial_never_reaches_the_target_and_a_failed_one_does_not_count():
    short = {
        "accuracy": {"step": [20], "seconds": [0.2], "value": [0.3]},
        "loss": {"step": [1], "seconds": [0.0], "value": [2.0]},
    }
    found = without(rows(FAST, seeds=8), 0, arm="gelu", status="diverged", metric=None, steps=30, series=short)
    found = without(found, 1, arm="gelu", status="failed", metric=None, error="no memory", steps=30, series=short)
    times = make_verdict(found, facts(FAST, 8), {}).convergence.of("gelu").steps

    assert (times.n, times.censored) == (7, 1)
    assert times.curve[-1][0] == STEPS  # censored at the end, not at step 30, where it diverged


def test_a_trial_that_was_stopped_early_without_the_target_is_censored_at_the_end():
    found = without(rows(FAST, seeds=8), 2, arm="gelu", steps=200)
    next(row for row in found if row["arm"] == "gelu" and row["seed"] == 2)["series"]["accuracy"]["value"] = [0.1] * 20
    entry = make_verdict(found, facts(FAST, 8), {}).convergence.of("gelu")

    assert entry.steps.censored == entry.seconds.censored == 1
    assert entry.steps.curve[-1][0] == STEPS


def test_the_gain_is_the_mean_paired_difference_of_restricted_times():
    verdict = judged(FAST)
    relu, gelu = (verdict.convergence.of(arm).steps for arm in FAST)

    assert gelu.gain.mean == pytest.approx(relu.restricted_mean - gelu.restricted_mean)
    assert gelu.gain.ci[0] < gelu.gain.mean < gelu.gain.ci[1]
    assert relu.gain is None


@pytest.mark.parametrize(
    ("arms", "pace"), [(FAST, "faster"), (SLOW, "slower"), ({"relu": (60.0, 0.97), "silu": (60.0, 0.97)}, "undecided")]
)
def test_an_arm_is_called_faster_or_slower_at_the_error_rate_of_the_study(arms, pace):
    verdict = judged(arms)
    entry = verdict.convergence.of(list(arms)[1])

    assert entry.pace == pace
    assert (entry.p <= 0.05) == (pace != "undecided")
    assert verdict.convergence.of("relu").pace == "not compared"


def test_equal_arms_are_rarely_called_faster_or_slower_in_studies_of_five():
    draws, wrong = np.random.default_rng(3), 0
    arms = {f"arm{i}": (60.0, 0.97) for i in range(5)}
    template = rows(arms, seeds=10)
    for _ in range(60):
        for row in template:
            row["series"] = {
                "accuracy": {
                    "step": [int(draws.integers(100, 140)), STEPS],
                    "seconds": [1.0, 2.0],
                    "value": [0.95, 0.96],
                }
            }
        found = make_verdict(template, facts(arms, 10), {}).convergence
        wrong += any(entry.pace in ("faster", "slower") for entry in found.arms)

    assert wrong <= 7  # 3 expected at most at 5 %; more than 7 of 60 comes with probability 0.4 %


def test_a_target_given_after_the_beginning_has_no_error_rate():
    late = Target(name="accuracy", value=0.9, direction="max", rule="given after 12 trials", began=True)
    found = judged(FAST, target=late).convergence

    assert found.of("gelu").pace == "not compared"
    assert found.of("gelu").p is None
    assert "estimates without an error rate" in " ".join(found.sentences)
    assert "trains faster" not in " ".join(found.sentences)


def test_areas_of_loss_and_held_out_metric_are_separate():
    found = rows(FAST)
    verdict = make_verdict(found, facts(FAST), {})
    entry = verdict.convergence.of("gelu")
    curves = [row["series"]["accuracy"] for row in found if row["arm"] == "gelu"]

    assert entry.metric_area.mean == pytest.approx(
        np.mean([area_under_curve(it["step"], it["value"]) for it in curves])
    )
    assert entry.metric_area.difference.mean > 0 > entry.loss_area.difference.mean
    assert 0.05 < entry.loss_area.mean < 0.5


def test_the_best_step_is_the_median_of_the_first_best_evaluations():
    found = rows(FAST, seeds=5)
    for row in found:
        peak = 60 if row["arm"] == "gelu" else STEPS
        row["series"]["accuracy"]["value"] = [
            0.9 - abs(step - peak) / 1000 for step in row["series"]["accuracy"]["step"]
        ]
    found = make_verdict(found, facts(FAST, 5), {}).convergence

    assert (found.of("gelu").best_step, found.of("gelu").best_epoch, found.of("gelu").best_last) == (60, 3.0, 0)
    assert (found.of("relu").best_step, found.of("relu").best_last) == (STEPS, 5)


def test_a_series_without_a_finite_value_has_no_best_step():
    found = rows(FAST, seeds=5)
    for row in found:
        if row["arm"] == "gelu":
            row["series"]["accuracy"]["value"] = [None] * 20
    entry = make_verdict(found, facts(FAST, 5), {}).convergence.of("gelu")

    assert (entry.best_step, entry.evaluated, entry.steps.censored) == (None, 0, 5)


def test_rows_without_a_number_of_steps_have_those_of_their_series():
    found = [{**row, "steps": None} for row in rows(FAST, seeds=5)]

    assert make_verdict(found, facts(FAST, 5), {}).convergence.horizon == STEPS


def test_a_target_of_the_training_loss_is_met_by_the_smoothed_loss():
    found = rows(FAST)
    for row in found:
        values = row["series"]["loss"]["value"]
        values[3] = 0.0  # one lucky batch
    entry = make_verdict(found, facts(FAST, target=loss_target(0.2)), {}).convergence.of("relu")

    assert entry.steps.median > 100
    assert entry.steps.censored == 0


def test_seconds_of_stacked_trials_are_steps_times_the_step_time_of_the_arm():
    found = [{**row, "versions": {"trainer": "stacked"}} for row in rows(FAST)]
    costs = {"relu": {"step_time": 0.001}, "gelu": {"step_time": 0.004}}
    verdict = make_verdict(found, facts(FAST), costs)
    gelu = verdict.convergence.of("gelu")

    assert verdict.convergence.seconds_from == "step times"
    assert gelu.seconds.median == pytest.approx(0.004 * gelu.steps.median)
    assert make_verdict(found, facts(FAST), {}).convergence.of("gelu").seconds is None


@pytest.mark.parametrize("trainer", ["single", "stacked"])
def test_in_seconds_a_trial_that_ended_early_counts_with_the_longest_trial_as_it_does_in_steps(trainer):
    found = without(rows(FAST, seeds=8), *range(8), arm="gelu", status="diverged", metric=None, steps=30)
    for row in found:
        row["versions"] = {"trainer": trainer}
        if row["arm"] == "gelu":
            row["series"] = {"accuracy": {"step": [20], "seconds": [0.2], "value": [0.3]}}
    costs = {arm: {"step_time": 0.01} for arm in FAST}
    gelu = make_verdict(found, facts(FAST, 8), costs).convergence.of("gelu")

    assert gelu.seconds.restricted_mean == pytest.approx(0.01 * gelu.steps.restricted_mean)
    assert gelu.seconds.gain.mean == pytest.approx(0.01 * gelu.steps.gain.mean)
    assert gelu.seconds.gain.mean < 0


def test_a_faster_arm_with_slower_steps_may_be_slower_in_seconds():
    found = rows(FAST, seconds={"relu": 0.01, "gelu": 0.05})
    gelu = make_verdict(found, facts(FAST), {}).convergence.of("gelu")

    assert gelu.steps.gain.mean > 0 > gelu.seconds.gain.mean


def test_rows_of_earlier_builds_have_no_convergence():
    old = [{name: value for name, value in row.items() if name not in ("series", "steps")} for row in rows(FAST)]

    assert make_verdict(old, facts(FAST), {}).convergence is None
    assert make_verdict([{**row, "series": None} for row in old], facts(FAST), {}).convergence is None


def test_rows_of_two_builds_are_read_as_far_as_they_go():
    found = without(rows(FAST), *range(6), arm="gelu", series=None)
    convergence = make_verdict(found, facts(FAST), {}).convergence

    assert convergence.of("gelu").steps.n == 6
    assert convergence.of("gelu").steps.gain.seeds == 6
    assert convergence.of("gelu").p == 1.0 or convergence.of("gelu").p is None  # no leading seed is shared


def test_the_verdict_with_its_convergence_is_plain_json():
    values = json.loads(json.dumps(judged(FAST).to_dict(), allow_nan=False))

    assert values["convergence"]["target"]["value"] == 0.9
    assert values["convergence"]["arms"][1]["steps"]["median"] > 0


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_study_of_few_seeds_has_numbers_and_decides_nothing(seeds):
    entry = judged(FAST, seeds).convergence.of("gelu")

    assert entry.steps.n == seeds
    assert entry.pace == "undecided"


def test_a_series_with_missing_values_and_without_seconds_is_read():
    found = rows(FAST, seeds=3)
    for row in found:
        row["series"]["accuracy"]["value"][2] = None
        row["series"]["accuracy"]["seconds"] = [None] * 20
        row["series"]["loss"]["seconds"] = [None] * 200
    entry = make_verdict(found, facts(FAST, 3), {}).convergence.of("gelu")

    assert entry.steps.censored == 0
    assert entry.seconds is None
    assert entry.metric_area is None
