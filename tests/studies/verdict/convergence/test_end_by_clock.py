"""Trials of a training function that a clock ends are compared in seconds, and never called slower for fewer steps."""

from __future__ import annotations

import numpy as np
import pytest
from tests.studies.verdict.convergence.simulated import facts

from actlab.report.content.convergence import convergence_columns, convergence_record, reached_curves
from actlab.studies.target import Target
from actlab.studies.verdict.verdict import make_verdict

SEEDS = 8


def row(arm, seed, steps, seconds, *, loading=0.0, scale=150.0):
    """A trial of so many steps in so many seconds, whose accuracy depends on the steps alone; it reports twenty times."""
    at = np.linspace(steps / 20, steps, 20).astype(int)
    accuracy = 0.97 * (1 - np.exp(-at / scale))
    times = (loading + at * seconds / steps).tolist()
    series = {name: {"step": at.tolist(), "seconds": times, "value": accuracy.tolist()} for name in ("accuracy",)}
    return {
        "stage": "main", "arm": arm, "seed": seed, "lr": 0.0, "status": "completed", "metric": float(accuracy[-1]), "parameters": 9,
        "error": None, "steps": int(at[-1]), "series": series,
    }  # fmt: skip  # one trial, one block


def study(trials, **more):
    arms = dict.fromkeys(trial["arm"] for trial in trials)
    target = Target(name="accuracy", value=0.9, direction="max", rule="given before the study")
    return make_verdict(trials, facts(arms, SEEDS, target=target, **more), {})


def boxed(step_times, *, box=20.0, loading=0.0):
    """Trials of twenty seconds, on a machine whose speed differs by a few percent from trial to trial."""
    draws, found = np.random.default_rng(3), []
    for arm, step_time in step_times.items():
        for seed in range(SEEDS):
            steps = int(box / (step_time * (1 + 0.03 * draws.normal())))
            found.append(row(arm, seed, steps, box * (1 + 0.002 * draws.normal()), loading=loading))
    return found


def early(spread, *, loading=0.0):
    """Trials of one step time that end early at steps of their own."""
    draws, found = np.random.default_rng(4), []
    for arm in ("relu", "gelu"):
        for seed in range(SEEDS):
            steps = int(1000 * (1 + spread * draws.normal()))
            found.append(row(arm, seed, steps, 0.02 * steps * (1 + 0.02 * draws.normal()), loading=loading))
    return found


@pytest.mark.parametrize("loading", [0.0, 60.0])
@pytest.mark.parametrize("slow", [0.03, 0.06, 0.012])
def test_an_arm_with_longer_steps_is_not_called_slower_in_steps(slow, loading):
    # of 20 s, with an accuracy of 0.9 after 391 steps: at 0.06 s a step it is out of reach
    verdict = study(boxed({"relu": 0.02, "gelu": slow}, loading=loading))
    text = verdict.convergence.sentences[-1]

    assert "trains slower" not in text
    assert "trains faster" not in text
    assert " steps" not in text
    assert "how fast it trains was not tested" in text
    assert text.startswith("gelu ")
    assert "with relu after" in text
    assert " s (median" in text
    assert [entry.pace for entry in verdict.convergence.arms] == ["not compared"] * 2


def test_the_verdict_says_that_a_clock_ends_the_trials_and_shows_no_steps_to_the_target():
    verdict = study(boxed({"relu": 0.02, "gelu": 0.03}))
    columns = {column.name: column.value(verdict.arms[0]) for column in convergence_columns(verdict)}

    assert any("end after a time and not after a number of steps" in text for text in verdict.convergence.sentences)
    assert columns["steps to target"] is None
    assert columns["seconds to target"] == pytest.approx(8.0, rel=0.2)
    assert convergence_record(verdict, verdict.arms[0])["speed"] is None
    assert reached_curves(verdict) == []


def test_a_trial_without_the_target_at_the_end_of_its_time_is_censored_there():
    verdict = study(boxed({"relu": 0.02, "gelu": 0.06}))
    times = verdict.convergence.of("gelu").seconds

    assert times.censored == SEEDS
    assert times.ended_early == 0
    within = next(text for text in verdict.convergence.sentences if text.startswith("gelu never reached it within "))
    assert within.endswith(" s.")
    assert times.horizon == pytest.approx(20.0, rel=0.02)


@pytest.mark.parametrize("loading", [0.0, 60.0])
@pytest.mark.parametrize("spread", [0.0, 0.01, 0.05, 0.2])
def test_trials_that_end_early_by_what_they_learned_are_compared_in_steps(spread, loading):
    verdict = study(early(spread, loading=loading))

    assert not verdict.convergence.by_clock
    assert verdict.convergence.of("gelu").steps is not None


def test_trials_of_equal_steps_are_compared_in_steps_however_their_seconds_differ():
    trials = [row(arm, seed, 1000, t) for arm, t in (("relu", 20.0), ("gelu", 30.0)) for seed in range(SEEDS)]

    assert not study(trials).convergence.by_clock
