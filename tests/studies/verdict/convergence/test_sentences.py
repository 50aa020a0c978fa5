"""The words of a verdict keep apart how fast an arm trains and how it ends."""

from __future__ import annotations

import pytest
from tests.studies.verdict.convergence.simulated import facts, judged, rows

from actlab.studies.target import Target
from actlab.studies.verdict.verdict import make_verdict

BASE = (60.0, 0.96)


def sentence(other, **more):
    verdict = judged({"relu": BASE, "gelu": other}, seeds=14, **more)
    return next(text for text in verdict.convergence.sentences if text.startswith("gelu"))


PLANTED = {
    "faster but equal": ((30.0, 0.96), "gelu trains faster than relu but ends equal: "),
    "slower but better": ((95.0, 0.98), "gelu trains slower than relu but ends better: "),
    "faster and better": ((30.0, 0.98), "gelu trains faster than relu and ends better: "),
    "slower and worse": ((95.0, 0.93), "gelu trains slower than relu and ends worse: "),
    "faster but worse": ((20.0, 0.93), "gelu trains faster than relu but ends worse: "),
    "equal speed, better": ((60.0, 0.98), "gelu ends better than relu, and no difference in speed is shown: "),
}


@pytest.mark.parametrize(("other", "start"), PLANTED.values(), ids=PLANTED)
def test_a_planted_arm_is_told_in_words(other, start):
    # of arms of equal speed the better one reaches a target below both ends a little earlier; a low target keeps that within a step
    target = Target(
        name="accuracy",
        value=0.6 if start.startswith("gelu ends") else 0.9,
        direction="max",
        rule="given before the study",
    )

    assert sentence(other, target=target).startswith(start)


def test_faster_and_better_are_never_confused_between_two_planted_arms():
    verdict = judged({"relu": BASE, "quick": (30.0, 0.96), "strong": (95.0, 0.98)}, seeds=16)
    texts = {text.split()[0]: text for text in verdict.convergence.sentences}

    assert "quick trains faster than relu but ends equal" in texts["quick"]
    assert "strong trains slower than relu but ends better" in texts["strong"]
    assert verdict.best_set == ("strong",)
    assert "at the end its accuracy is 0.02 higher on average" in texts["strong"]


def test_a_sentence_has_the_numbers_of_both_answers():
    text = sentence((30.0, 0.96))

    assert "the target is reached after 100 steps (median), with relu after 180 steps (median), on average " in text
    assert "on average" in text
    assert "within the region of practical equivalence" in text


def test_nothing_shown_is_said_for_both():
    text = sentence((60.0, 0.961), rope=0.0)

    assert text.startswith("gelu and relu: no difference is shown, neither in speed nor at the end: ")
    assert "which may be noise" in text


def test_a_target_out_of_reach_is_a_sentence():
    target = Target(name="accuracy", value=95.0, direction="max", rule="given before the study")
    texts = judged({"relu": BASE, "gelu": BASE}, target=target).convergence.sentences

    assert texts[0] == "Target: accuracy 95 (given before the study)."
    assert texts[1] == "No trial reached it within 400 steps: it is out of reach of this training."


def test_a_target_that_every_trial_meets_at_once_is_a_sentence():
    target = Target(name="accuracy", value=0.01, direction="max", rule="given before the study")
    texts = judged({"relu": BASE, "gelu": BASE}, target=target).convergence.sentences

    assert texts[1] == "Every trial met it when it was first evaluated, so it says nothing about speed."


def test_an_arm_that_never_reaches_the_target_is_named():
    texts = judged({"relu": BASE, "gelu": (60.0, 0.85)}).convergence.sentences

    assert texts[1] == "gelu never reached it within 400 steps."
    assert "gelu trains slower than relu and ends worse: the target is reached in no trial" in texts[2]


def test_without_a_target_the_reason_is_a_sentence():
    found = judged(
        {"relu": BASE, "gelu": BASE}, target=None, target_note="the study has fewer than 6 seeds"
    ).convergence

    assert found.sentences == ("No target of convergence: the study has fewer than 6 seeds.",)
    assert found.of("gelu").steps is None
    assert found.of("gelu").metric_area is not None


def test_a_target_of_a_series_that_was_not_recorded_is_a_sentence():
    target = Target(name="f1", value=0.9, direction="max", rule="given before the study")
    verdict = judged({"relu": BASE, "gelu": BASE}, target=target, metric="f1")

    assert verdict.convergence.sentences[1] == "The f1 was not recorded during the trials."


def test_the_unchanged_model_is_named_in_words():
    verdict = judged({"unchanged": BASE, "gelu": (30.0, 0.96)}, seeds=14)

    assert "gelu trains faster than the model as it is but ends equal" in verdict.convergence.sentences[1]


def reaching(places, **changes):
    """Rows of two arms of 10 seeds that reach the target at the evaluation with a number, or never for None."""
    found = rows({"relu": BASE, "gelu": BASE}, seeds=10)
    for row in found:
        place = places[row["arm"]]
        place = place[row["seed"]] if isinstance(place, list) else place
        row["series"]["accuracy"]["value"] = [0.95 if place is not None and at >= place else 0.3 for at in range(20)]
        row.update(changes if row["arm"] == "gelu" else {})
    return make_verdict(found, facts({"relu": BASE, "gelu": BASE}, 10), {}).convergence


def test_arms_that_each_reach_the_target_at_one_step_did_not_meet_it_at_once():
    found = reaching({"relu": 3, "gelu": 6})

    assert found.of("gelu").pace == "slower"
    assert not any("first evaluated" in text for text in found.sentences)
    assert any("first evaluated" in text for text in reaching({"relu": 0, "gelu": 0}).sentences)


def test_an_arm_whose_mean_points_the_other_way_than_the_evidence_is_not_called_faster():
    found = reaching({"relu": 8, "gelu": [7] * 9 + [None]})
    text = found.sentences[-1]

    assert found.of("gelu").p <= 0.05
    assert found.of("gelu").pace == "undecided"
    assert "no difference in speed is shown" in text
    assert "steps later" in text


def test_an_arm_of_which_every_trial_diverged_is_not_said_to_end_without_a_difference():
    found = reaching({"relu": 8, "gelu": 1}, status="diverged", metric=None)

    assert "gelu trains faster than relu, and the results at the end cannot be compared: " in found.sentences[-1]


def test_completed_trials_that_ended_early_without_the_target_are_told():
    found = reaching({"relu": 8, "gelu": None}, steps=120)

    assert "Trials that ended before step 400 without it count as never reaching it: 10 of gelu." in found.sentences
    assert found.of("relu").steps.ended_early == 0
    assert not any("ended before" in text for text in reaching({"relu": 8, "gelu": None}).sentences)
    lost = reaching({"relu": 8, "gelu": None}, steps=120, status="diverged", metric=None)
    assert not any("ended before" in text for text in lost.sentences)


def test_a_mean_at_the_end_that_points_the_other_way_than_the_evidence_is_told():
    found = rows({"relu": BASE, "gelu": (60.0, 0.98)}, seeds=14)
    found[-1]["metric"] = 0.1  # the last seed of gelu
    verdict = make_verdict(found, facts({"relu": BASE, "gelu": BASE}, 14), {})
    text = verdict.convergence.sentences[-1]

    assert "ends better" in text.split(":")[0]
    assert text.endswith("lower on average, although the evidence seed by seed is the other way.")
