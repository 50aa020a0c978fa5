"""Warnings about seeds that do not reach a script."""

import pytest

from actlab.studies.verdict.script_seeds import seed_warnings


def rows(weights, metric=lambda seed: 0.5 + seed / 100):
    return [
        {"stage": "main", "arm": arm, "seed": seed, "metric": metric(seed), "inputs": {"weights": weights(seed)}}
        for arm in ("relu", "gelu")
        for seed in range(3)
    ]


def test_weights_that_differ_by_seed_are_no_reason_to_warn():
    assert list(seed_warnings(rows(lambda seed: f"of {seed}"))) == []


def test_equal_weights_and_equal_results_mean_that_the_seed_does_not_reach_the_script():
    (sentence,) = seed_warnings(rows(lambda _: "same", lambda _: 0.5))
    assert "weights and results are the same on all 3 seeds" in sentence
    assert "{seed}" in sentence


def test_equal_weights_and_other_results_may_be_those_of_a_file():
    (sentence,) = seed_warnings(rows(lambda _: "same"))
    assert "Unless they are loaded from a file" in sentence


@pytest.mark.parametrize("change", [{"inputs": None}, {"metric": None}, {"stage": "tune"}])
def test_rows_that_say_nothing_are_left_out(change):
    assert list(seed_warnings([row | change for row in rows(lambda _: "same")])) == []


def test_one_seed_says_nothing():
    assert list(seed_warnings(rows(lambda _: "same")[::3])) == []
