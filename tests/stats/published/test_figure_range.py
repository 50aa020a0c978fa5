"""Ranges contain the results of all numbers that printed figures may stand for."""

from __future__ import annotations

import numpy as np

from actlab.stats.published.figure_range import Range, printed


def test_a_range_contains_what_arithmetic_with_its_members_gives():
    random = np.random.default_rng(0)
    for a, b, c, d in random.normal(size=(200, 4)):
        first, second = Range(low=min(a, b), high=max(a, b)), Range(low=min(c, d), high=max(c, d))
        x, y = random.uniform(first.low, first.high), random.uniform(second.low, second.high)

        for value, values in ((x + y, first + second), (x - y, first - second), (abs(x), abs(first))):
            assert values.low <= value <= values.high
        if abs(second).low > 0:
            quotient = abs(first).over(abs(second))
            assert quotient.low <= abs(x) / abs(y) <= quotient.high


def test_nothing_over_nothing_is_nothing_and_anything_else_over_nothing_is_infinite():
    nothing = Range(low=0.0, high=0.0)

    assert nothing.over(nothing) == nothing
    assert Range(low=0.0, high=1.0).over(nothing) == Range(low=0.0, high=float("inf"))


def test_rounding_up_down_and_cutting_off_stay_within_a_printed_figure():
    for value in np.random.default_rng(1).uniform(80, 90, size=200):
        for shown in (round(value, 2), np.floor(value * 100) / 100, np.ceil(value * 100) / 100):
            assert printed(float(shown), 0.01).low <= value <= printed(float(shown), 0.01).high


def test_a_float32_that_is_printed_in_full_may_stand_for_the_number_before_it_was_rounded():
    value = 87.123456789
    shown = float(np.float32(value))

    assert printed(shown, 1e-14).low <= value <= printed(shown, 1e-14).high
