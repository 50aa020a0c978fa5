"""Label placement: labels are close to their points and do not overlap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actlab.report.charts.label_layout import Box, beside, shortened, spread

positions = st.lists(st.floats(0, 300), max_size=20)


@given(positions)
def test_spread_labels_keep_their_distance_order_and_frame(wanted):
    placed = spread(wanted, gap=14, low=0, high=300)
    gap = min(14, 300 / max(1, len(wanted) - 1))

    ordered = sorted(placed)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(ordered))
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in placed)
    assert [placed[i] for i in sorted(range(len(wanted)), key=lambda i: wanted[i])] == ordered


@given(positions)
def test_labels_with_room_stay_where_they_want_to_be(wanted):
    apart = [20.0 * index for index in range(len(wanted))]

    assert spread(apart, gap=14, low=0, high=400) == apart


def test_labels_that_touch_share_the_shift_between_them():
    assert spread([100.0, 100.0, 100.0], gap=10, low=0, high=300) == [90.0, 100.0, 110.0]


def test_a_name_that_fits_is_not_shortened():
    assert shortened("gelu", 4) == "gelu"


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_name_has_at_most_the_length_asked_for(name, longest):
    assert len(shortened(name, longest)) <= longest


def test_boxes_overlap_by_the_area_both_cover():
    box = Box(x=0, y=5, width=10, height=10)

    assert box.overlap(Box(x=5, y=10, width=10, height=10)) == 25
    assert box.overlap(Box(x=10, y=5, width=10, height=10)) == 0


def test_labels_of_points_that_crowd_do_not_cover_one_another():
    points = [(100.0, 100.0), (112.0, 104.0), (96.0, 112.0), (300.0, 20.0), (395.0, 100.0)]
    boxes = beside(points, ["gelu", "silu", "relu", "tanh", "squared_relu"], font_size=12, frame=(400, 200))

    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert [a.overlap(b) for a, b in pairs] == [0] * len(pairs)
    assert all(box.x >= 0 and box.x + box.width <= 400 for box in boxes)


def test_a_label_stands_to_the_right_of_a_lonely_point():
    (box,) = beside([(100.0, 50.0)], ["gelu"], font_size=12, frame=(400, 100))

    assert (box.x, box.y) == pytest.approx((109, 50))
