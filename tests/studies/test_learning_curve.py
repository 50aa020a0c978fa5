"""Curves of a row are its series, with the training loss smoothed."""

from __future__ import annotations

import numpy as np

from actlab.studies.learning_curve import LearningCurve


def curve(values):
    steps = np.arange(1.0, len(values) + 1)
    return LearningCurve(step=steps, seconds=steps, value=np.asarray(values, dtype=float))


def test_a_smoothed_value_is_the_mean_of_the_last_five_and_of_fewer_at_the_beginning():
    values = np.random.default_rng(0).normal(size=120)
    by_hand = [values[max(0, at - 4) : at + 1].mean() for at in range(120)]

    np.testing.assert_allclose(curve(values).smoothed().value, by_hand, rtol=1e-12, atol=1e-12)


def test_a_short_curve_is_not_smoothed():
    np.testing.assert_array_equal(curve(range(39)).smoothed().value, range(39))


def test_small_losses_after_a_very_large_one_are_kept():
    values = [1e18, *[0.5] * 150]

    np.testing.assert_allclose(curve(values).smoothed().value[5:], 0.5)
