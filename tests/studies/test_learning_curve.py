"""Curves of a row are its series, with the training loss smoothed."""

from __future__ import annotations

import numpy as np

from actlab.studies.learning_curve import LearningCurve


def curve(values):
    steps = np.arange(1.0, len(values) + 1)
    return LearningCurve(step=steps, seconds=steps, value=np.asarray(values, dtype=float))


def test_a_smoothed_value_is_the_mean_of_the_last_five_and_there_is_none_before():
    values = np.random.default_rng(0).normal(size=120)
    smooth = curve(values).smoothed()

    np.testing.assert_allclose(smooth.value, [values[at - 4 : at + 1].mean() for at in range(4, 120)], rtol=1e-12)
    np.testing.assert_array_equal(smooth.step, np.arange(5, 121))
    np.testing.assert_array_equal(smooth.seconds, smooth.step)


def test_one_lucky_batch_at_the_beginning_meets_no_target():
    values = [0.1, *np.linspace(3.0, 1.0, 99)]

    assert curve(values).smoothed().first(curve(values).smoothed().value <= 1.5).step > 70


def test_a_short_curve_is_not_smoothed():
    np.testing.assert_array_equal(curve(range(39)).smoothed().value, range(39))


def test_small_losses_after_a_very_large_one_are_kept():
    values = [1e18, *[0.5] * 150]

    np.testing.assert_allclose(curve(values).smoothed().value[1:], 0.5)
