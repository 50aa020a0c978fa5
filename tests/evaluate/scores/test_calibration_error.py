"""Calibration error by bins of equal mass and width."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from actlab.evaluate.scores.calibration_error import chance_error, reliability


def test_a_confidence_of_one_is_in_the_last_bin() -> None:
    """Torchmetrics 1.9.0 gives 0.525 for this: it has a bin of its own for 1.0 and takes its accuracy for that of an empty one."""
    confidence, correct = [0.95, 1.0], [True, False]
    assert reliability(confidence, correct, scheme="width", bins=15).error == pytest.approx(0.475)
    assert reliability(confidence, correct, scheme="mass", bins=1).error == pytest.approx(0.475)
    assert reliability([1.0] * 4, [1, 1, 1, 0], scheme="width").error == pytest.approx(0.25)


def test_equal_width_bins_give_the_sum_of_the_definition() -> None:
    draws = np.random.default_rng(0)
    confidence = draws.random(500)
    correct = draws.random(500) < confidence**2
    edges = np.linspace(0, 1, 11)
    wanted = 0.0
    for low, high in pairwise(edges):
        inside = (confidence >= low) & ((confidence < high) | (high == 1))
        if inside.any():
            wanted += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert reliability(confidence, correct, bins=10, scheme="width").error == pytest.approx(wanted, abs=1e-12)


def test_bins_of_equal_mass_hold_equal_shares() -> None:
    found = reliability(np.random.default_rng(0).random(300), np.ones(300), bins=15)
    assert found.count.tolist() == [20] * 15


def test_the_order_of_examples_does_not_matter_even_with_ties() -> None:
    draws = np.random.default_rng(1)
    confidence = draws.choice([0.5, 0.6, 0.9, 1.0], size=200)
    correct = draws.random(200) < 0.7
    order = draws.permutation(200)
    assert reliability(confidence, correct).error == pytest.approx(
        reliability(confidence[order], correct[order]).error, abs=1e-12
    )


def test_fewer_examples_than_bins_are_allowed() -> None:
    assert reliability([0.7], [1], bins=15).error == pytest.approx(0.3)


@pytest.mark.parametrize("confidence", [[], [1.1], [-0.1], [float("nan")]])
def test_what_is_no_probability_is_refused(confidence: list[float]) -> None:
    with pytest.raises(ValueError, match=r"no examples|probabilities are needed"):
        reliability(confidence, [1] * len(confidence))


def test_the_error_of_a_calibrated_model_is_that_of_chance() -> None:
    draws = np.random.default_rng(0)
    confidence = draws.uniform(0.5, 1, 400)
    chance = chance_error(confidence)
    found = [reliability(confidence, draws.random(400) < confidence).error for _ in range(200)]
    assert np.mean(found) == pytest.approx(chance.mean(), rel=0.1)
    assert reliability(confidence, draws.random(400) < confidence - 0.3).error > np.quantile(chance, 0.99)
