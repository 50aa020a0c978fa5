"""Braille plots."""

from __future__ import annotations

import math

from actlab.report.terminal.braille import curve

EMPTY = chr(0x2800)


def test_a_line_rises_from_bottom_left_to_top_right():
    top, bottom = curve([0.0, 1.0], width=4, height=2, low=0.0, high=1.0)

    assert (top[0], bottom[-1]) == (EMPTY, EMPTY)
    assert EMPTY not in (bottom[0], top[-1])


def test_a_flat_line_fills_one_row_of_dots():
    assert curve([0.0] * 8, width=4, height=1, low=0.0, high=1.0) == ["⣀⣀⣀⣀"]


def test_a_jump_is_closed_by_a_vertical_run():
    assert curve([0.0, 1.0], width=1, height=2, low=0.0, high=1.0)[0] != EMPTY


def test_values_that_are_not_finite_leave_a_gap():
    (line,) = curve([0.0, 0.0, math.nan, math.nan, 0.0, 0.0], width=3, height=1, low=0.0, high=1.0)

    assert line == f"⣀{EMPTY}⣀"


def test_values_outside_the_frame_are_cut():
    (line,) = curve([5.0, 5.0, -5.0, -5.0], width=2, height=1, low=0.0, high=1.0)

    assert line != EMPTY * 2  # the fall between them crosses the frame
    assert curve([5.0] * 4, width=2, height=1, low=0.0, high=1.0) == [EMPTY * 2]


def test_a_frame_of_no_height_draws_nothing():
    assert curve([1.0, 1.0], width=1, height=1, low=1.0, high=1.0) == [EMPTY]
