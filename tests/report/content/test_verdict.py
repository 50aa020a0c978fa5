"""Sentences about a verdict, also for empty and single-arm studies."""

from __future__ import annotations

import dataclasses

from actlab.report.content.format import MINUS
from actlab.report.content.verdict import (
    best_set_sentence,
    confidence_sentences,
    cost_text,
    curve_text,
    difference_text,
    headline_gain,
    progress_text,
    tie_text,
)


def test_the_best_set_is_told_in_one_sentence(made_up, found):
    arms = tuple(arm.spec for arm in made_up.arms)

    def told(*best):
        return best_set_sentence(
            dataclasses.replace(made_up, best_set=best, findings=found(best, arms if best else ()))
        )

    assert told("gelu", "silu") == "At an error rate of 5%, 2 of 6 arms may be the best; the others are ruled out."
    assert told("gelu") == "At an error rate of 5%, gelu is the best of 6 arms; the others are ruled out."
    assert told(*(arm.spec for arm in made_up.arms)) == "At an error rate of 5%, none of the 6 arms is ruled out."
    assert told() == "No arm has a result to compare."


def test_no_arm_that_was_not_compared_is_called_ruled_out(made_up, found):
    def told(best, others=(), **left_out):
        return best_set_sentence(dataclasses.replace(made_up, best_set=best, findings=found(best, others, left_out)))

    assert told(("gelu",), ("tanh",), relu="withdrawn", elu="not run") == (
        "At an error rate of 5%, gelu is the best of 2 arms that were compared; the other is ruled out. "
        "Not compared: relu (failed) and elu (not run)."
    )
    assert told(("gelu",), relu="withdrawn") == (
        "Only gelu has a result: nothing was compared. Not compared: relu (failed)."
    )
    assert told(("gelu", "relu"), elu="diverged").endswith(
        "none of the 2 arms that were compared is ruled out. Not compared: elu (no finite result)."
    )


def test_a_tie_says_whether_it_is_sameness_or_want_of_seeds(made_up):
    same, open_ = made_up.ties
    never = dataclasses.replace(open_, seeds_needed=None)
    one = dataclasses.replace(open_, seeds_needed=1)

    assert tie_text(same, made_up) == "practically equivalent, within ±0.005 accuracy"
    assert tie_text(open_, made_up) == "undecided; about 23 more seeds needed"
    assert tie_text(one, made_up) == "undecided; about 1 more seed needed"
    assert tie_text(never, made_up) == "undecided; the number of seeds needed is unknown"


def test_how_sure_ends_with_the_closest_call(made_up):
    assert confidence_sentences(made_up)[-1] == "Closest tie: gelu and silu (undecided; about 23 more seeds needed)."
    assert len(confidence_sentences(dataclasses.replace(made_up, closest=None))) == 2


def test_the_headline_number_is_what_the_best_set_gains(made_up):
    gains = sorted(arm.diff.mean for arm in made_up.arms if arm.spec in made_up.best_set)

    name, value, note = headline_gain(made_up)

    assert (name, note) == ("Best set compared with relu", "mean difference in accuracy")
    assert value == f"+{gains[0]:.4f} to +{gains[-1]:.4f}"


def test_the_headline_number_of_one_best_arm_has_its_interval(made_up):
    name, value, note = headline_gain(dataclasses.replace(made_up, best_set=("tanh",)))

    assert (name, value[0]) == ("Compared with relu", MINUS)
    assert note.startswith("95% interval [")


def test_the_headline_number_is_the_mean_when_only_the_baseline_is_best(made_up):
    relu = next(arm for arm in made_up.arms if arm.spec == "relu")

    name, value, _ = headline_gain(dataclasses.replace(made_up, best_set=("relu",)))

    assert (name, value) == ("Mean accuracy", f"{relu.mean:.4f}")


def test_a_study_without_any_result_still_has_words(made_up, found):
    empty = dataclasses.replace(made_up, arms=(), best_set=(), ties=(), closest=None, findings=found(()))

    assert headline_gain(empty)[1] == "—"
    assert confidence_sentences(empty) == ["No arm has a result to compare."]


def test_the_texts_for_those_who_cannot_see_the_charts_carry_the_numbers(made_up, trials):
    assert "gelu +0.00" in difference_text(made_up)
    assert "within 0.005 of zero" in difference_text(made_up)
    assert "gelu 0.9" in cost_text(made_up)
    assert "at 1.09x [1.07, 1.11]" in cost_text(made_up)
    assert curve_text(made_up, trials).startswith("Median training loss at the last step, lowest first: ")


def test_progress_in_one_line_leaves_out_what_is_not_known():
    told = progress_text(0, 48, leader=None, out=[], seconds_left=None)

    assert told == "0 of 48 trials"


def test_the_condition_of_the_error_rate_stands_beside_it(made_up):
    sentences = confidence_sentences(made_up)

    assert sentences[0].startswith("At an error rate of 5%")
    assert "independent seeds and symmetric differences" in sentences[1]
