"""Scales: positions of values, round ticks, and ranges without outliers."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actlab.report.charts.scales import Scale, focus, scale_around

values = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@given(st.floats(0, 300), st.booleans())
def test_a_value_is_found_where_it_is_drawn(distance, log):
    scale = Scale(low=0.5, high=80.0, pixels=300, log=log)

    assert scale.at(scale.value(distance)) == pytest.approx(distance, abs=1e-6)


def test_equal_factors_are_equal_distances_on_a_logarithmic_scale():
    scale = Scale(low=1, high=100, pixels=200, log=True)

    assert [scale.at(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])


@given(values, values)
def test_ticks_are_few_round_and_on_the_scale(one, other):
    assume(abs(one - other) > 1e-3 * max(abs(one), abs(other), 1))
    scale = Scale(low=min(one, other), high=max(one, other), pixels=300)

    ticks = scale.ticks(5)

    assert 3 <= len(ticks) <= 9
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    step = ticks[1] - ticks[0]
    assert f"{step:.6e}"[0] in "125"


def test_logarithmic_ticks_are_powers_of_ten_and_their_simple_multiples():
    assert Scale(low=0.05, high=2.5, pixels=300, log=True).ticks(5) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])


def test_a_scale_is_logarithmic_only_where_it_pays():
    assert scale_around([0.1, 1.0], 100, log=True).log
    assert not scale_around([0.5, 1.0], 100, log=True).log
    assert not scale_around([-0.1, 1.0], 100, log=True).log
    assert not scale_around([0.1, 1.0], 100).log


def test_values_that_are_not_finite_do_not_stretch_a_scale():
    assert scale_around([1.0, math.inf, math.nan, 2.0], 100, room=0) == Scale(low=1.0, high=2.0, pixels=100)


@pytest.mark.parametrize("value", [0.0, 0.97, -300.0])
def test_a_single_value_has_a_scale_with_room_around_it(value):
    scale = scale_around([value], 100, room=0)

    assert scale.low < value < scale.high


def test_what_lies_beyond_is_known_with_its_side():
    scale = Scale(low=0, high=1, pixels=10)

    assert [scale.beyond(value) for value in (-0.1, 0, 1, 1.1)] == [-1, 0, 0, 1]


def test_one_hopeless_value_does_not_take_the_room_of_the_others():
    assert focus([0.95, 0.97, 0.98, 0.10], [0.97, 0.98]) == (0.95, 0.98)


def test_without_a_width_of_what_matters_all_is_shown():
    assert focus([0.0, 5.0, -3.0], [0.0, 0.0]) == (-3.0, 5.0)


@given(st.lists(values, min_size=1), st.lists(values, min_size=1, max_size=3))
def test_what_matters_is_always_shown(others, important):
    low, high = focus([*others, *important], important)

    assert low <= min(important) <= max(important) <= high
