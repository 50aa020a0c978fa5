"""The sentences about a verdict say what is so, also at the edges."""

from __future__ import annotations

import dataclasses

from actlab.report.content import verdict as words
from actlab.report.content.format import MINUS


def test_names_are_listed_as_a_person_lists_them():
    assert [words.listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_the_best_set_is_told_in_one_sentence(made_up):
    def told(*best):
        return words.best_set(dataclasses.replace(made_up, best_set=best))

    assert told("gelu", "silu") == "At an error rate of 5%, 2 of 6 arms may be the best; the rest are ruled out."
    assert told("gelu") == "At an error rate of 5%, gelu is the only one of 6 arms that may be the best."
    assert (
        told(*(arm.spec for arm in made_up.arms))
        == "At an error rate of 5%, the evidence rules out none of the 6 arms."
    )
    assert told() == "No arm has a result that could be compared."


def test_a_tie_says_whether_it_is_sameness_or_want_of_seeds(made_up):
    same, open_ = made_up.ties
    never = dataclasses.replace(open_, seeds_needed=None)
    one = dataclasses.replace(open_, seeds_needed=1)

    assert words.tie_words(same, made_up) == "practically the same, within ±0.005 accuracy"
    assert words.tie_words(open_, made_up) == "undecided; about 23 more seeds would settle it"
    assert words.tie_words(one, made_up) == "undecided; about 1 more seed would settle it"
    assert words.tie_words(never, made_up) == "undecided; how many more seeds would settle it cannot be said"


def test_how_sure_ends_with_the_closest_call(made_up):
    assert (
        words.how_sure(made_up)[-1] == "Closest call: gelu and silu (undecided; about 23 more seeds would settle it)."
    )
    assert len(words.how_sure(dataclasses.replace(made_up, closest=None))) == 2


def test_the_headline_number_is_what_the_best_set_gains(made_up):
    gains = sorted(arm.diff.mean for arm in made_up.arms if arm.spec in made_up.best_set)

    name, value, note = words.gain_words(made_up)

    assert (name, note) == ("Best set against relu", "mean difference in accuracy")
    assert value == f"+{gains[0]:.4f} to +{gains[-1]:.4f}"


def test_the_headline_number_of_one_best_arm_has_its_interval(made_up):
    name, value, note = words.gain_words(dataclasses.replace(made_up, best_set=("tanh",)))

    assert (name, value[0]) == ("Against relu", MINUS)
    assert note.startswith("95% interval [")


def test_the_headline_number_is_the_mean_when_only_the_baseline_is_best(made_up):
    relu = next(arm for arm in made_up.arms if arm.spec == "relu")

    name, value, _ = words.gain_words(dataclasses.replace(made_up, best_set=("relu",)))

    assert (name, value) == ("Mean accuracy", f"{relu.mean:.4f}")


def test_a_study_without_any_result_still_has_words(made_up):
    empty = dataclasses.replace(made_up, arms=(), best_set=(), ties=(), closest=None)

    assert words.gain_words(empty)[1] == "—"
    assert words.how_sure(empty) == ["No arm has a result that could be compared."]


def test_the_texts_for_those_who_cannot_see_the_charts_carry_the_numbers(made_up, trials):
    assert "gelu +0.00" in words.difference_words(made_up)
    assert "within 0.005 of zero" in words.difference_words(made_up)
    assert "gelu 0.9" in words.cost_words(made_up)
    assert "at 1.09x" in words.cost_words(made_up)
    assert words.curve_words(made_up, trials).startswith("Median training loss at the last step, lowest first: ")


def test_progress_in_one_line_leaves_out_what_is_not_known():
    told = words.progress_words(0, 48, leader=None, out=[], seconds_left=None)

    assert told == "0 of 48 trials"
