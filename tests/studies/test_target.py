"""Targets are read from text and mappings, and follow from a pilot trial by a stated rule."""

import numpy as np
import pytest

from actlab.errors import PlanError
from actlab.studies.target import TargetChoice, choose_target, parse_target, pilot_target


def series(values, name="accuracy"):
    steps = list(range(10, 10 * len(values) + 1, 10))
    return {name: {"step": steps, "seconds": [step / 100 for step in steps], "value": list(values)}}


@pytest.mark.parametrize(
    "given",
    ["accuracy=0.95", " accuracy = 0.95 ", {"accuracy": 0.95}, "accuracy=9.5e-1", {"accuracy": np.float64(0.95)}],
)
def test_the_forms_of_a_target_mean_the_same(given):
    target = parse_target(given, "accuracy", "max")

    assert (target.name, target.value, target.direction, target.began) == ("accuracy", 0.95, "max", False)


@pytest.mark.parametrize("given", [None, "none"])
def test_no_target_is_none(given):
    assert parse_target(given, "accuracy", "max") is None


def test_a_training_loss_is_reached_from_above_whatever_the_metric():
    target = parse_target("loss=0.1", "accuracy", "max")

    assert target.direction == "min"
    assert target.is_met([0.2, 0.1, 0.05]).tolist() == [False, True, True]
    assert str(target) == "training loss 0.1"


def test_a_metric_called_as_the_training_loss_has_a_name_of_its_own():
    assert parse_target("held-out loss=0.3", "loss", "min").name == "held-out loss"
    assert parse_target("loss=0.3", "loss", "min").is_loss


WRONG = {
    "another metric": ("f1=0.9", "The target names 'f1'; allowed are 'accuracy'"),
    "a typing error": ("acuracy=0.9", "Did you mean 'accuracy'"),
    "no value": ("accuracy", "needed is one name with one value"),
    "an inequality": ("accuracy>=0.9", "needed is one name with one value"),
    "two targets": ("accuracy=0.9,loss=0.1", "needed is one name with one value"),
    "two targets in a mapping": ({"accuracy": 0.9, "loss": 0.1}, "needed is one name with one value"),
    "an empty mapping": ({}, "needed is one name with one value"),
    "a number": (0.95, "needed is one name with one value"),
    "a word": ("accuracy=high", "a finite number is needed"),
    "no number": ("accuracy=nan", "a finite number is needed"),
    "infinity": ({"loss": float("inf")}, "a finite number is needed"),
    "a truth value": ({"accuracy": True}, "a finite number is needed"),
    "a percentage sign": ("accuracy=95%", "a finite number is needed"),
    "None": ({"accuracy": None}, "a finite number is needed"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_target_is_refused_with_what_is_allowed(given, message):
    with pytest.raises(PlanError, match=message.replace("?", r"\?")):
        parse_target(given, "accuracy", "max")


def test_the_pilot_target_is_the_lowest_value_of_the_second_quarter():
    values = [*np.linspace(0.1, 0.9, 10), *[0.9] * 10]
    target = pilot_target(series(values), "accuracy", "max")

    assert target.value == pytest.approx(min(values[4:10]), abs=1e-4)  # reached after a quarter, with its end
    assert target.rule == "the lowest accuracy in the second quarter of a trial of the baseline on another seed"


def test_early_values_that_are_closer_do_not_move_the_second_quarter():
    steps, values = [1, 2, 4, 8, 16, 32, 48, 64], [0.2, 0.3, 0.4, 0.5, 0.8, 0.9, 0.95, 0.96]
    curve = {"accuracy": {"step": steps, "seconds": steps, "value": values}}

    assert pilot_target(curve, "accuracy", "max").value == 0.8  # of steps 16 and 32

    curve["accuracy"]["step"] = [1, 2, 3, 4, 5, 6, 7, 64]
    assert pilot_target(curve, "accuracy", "max") is None


def test_the_pilot_target_of_an_error_is_the_highest_value_of_the_second_quarter():
    values = [5.0, 4.0, 3.0, 2.0, 1.5, 1.2, 1.0, 1.0]

    assert pilot_target(series(values, "error"), "error", "min").value == 4.0


def test_a_pilot_without_held_out_values_gives_a_target_of_the_training_loss():
    target = pilot_target(series(np.linspace(2.0, 0.1, 40), "loss"), "accuracy", "max")

    assert target.is_loss
    assert target.direction == "min"
    assert 1.0 < target.value < 1.6


MET_AT_ONCE = [0.5, 0.52, 0.49, 0.47, 0.51, 0.5, 0.55, 0.6]  # noise around the first value, then better


@pytest.mark.parametrize(
    "values", [[0.5] * 20, [0.9, *[0.1] * 19], [0.1, 0.9], [0.1, None, 0.5, 0.6, 0.7, 0.8], MET_AT_ONCE]
)
def test_a_pilot_without_progress_gives_no_target(values):
    assert pilot_target(series(values), "accuracy", "max") is None


def test_where_the_pilot_met_the_held_out_target_at_once_the_target_is_a_training_loss():
    both = {**series(MET_AT_ONCE), **series(np.linspace(2.0, 0.1, 40), "loss")}

    assert pilot_target(both, "accuracy", "max").is_loss


@pytest.mark.parametrize("stored", [None, {}])
def test_a_pilot_without_series_gives_no_target(stored):
    assert pilot_target(stored, "accuracy", "max") is None


def test_a_choice_is_stored_among_the_facts_and_read_again():
    for choice in (
        TargetChoice(by_pilot=True),
        TargetChoice(note="none was asked for"),
        TargetChoice(target=parse_target("accuracy=0.9", "accuracy", "max")),
    ):
        assert TargetChoice.from_fact(choice.to_fact()) == choice


def test_a_study_of_an_earlier_build_has_no_target():
    choice = TargetChoice.from_fact(None)

    assert (choice.target, choice.by_pilot) == (None, False)
    assert "earlier version" in choice.reason


@pytest.mark.parametrize(("seeds", "tuned", "by_pilot"), [(5, False, False), (6, False, True), (2, True, True)])
def test_a_pilot_runs_where_seeds_can_show_a_difference_or_tuning_trials_serve(seeds, tuned, by_pilot):
    choice = choose_target(None, None, seeds=seeds, alpha=0.05, tuned=tuned)

    assert choice.by_pilot == by_pilot
    assert by_pilot or "fewer than 6 seeds" in choice.reason


def test_a_given_target_and_none_need_no_pilot():
    target = parse_target("accuracy=0.9", "accuracy", "max")

    assert choose_target("accuracy=0.9", target, seeds=10, alpha=0.05, tuned=False) == TargetChoice(target=target)
    assert choose_target("none", None, seeds=10, alpha=0.05, tuned=False).reason == "none was asked for"
