"""Number formatting: the same everywhere, and missing values are dashes."""

from __future__ import annotations

import math

import pytest

from actlab.report.content import format as amounts

MISSING = [None, math.nan, math.inf]


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize(
    "write",
    [amounts.plain, amounts.p_value, amounts.chance, amounts.ratio, amounts.count, amounts.size, amounts.duration],
)
def test_what_is_missing_is_a_dash(write, value):
    assert write(value) == "—"


@pytest.mark.parametrize("value", MISSING)
def test_a_missing_metric_or_difference_is_a_dash(value):
    assert [amounts.fixed(value, 3), amounts.signed(value, 3)] == ["—", "—"]


def test_an_interval_with_a_missing_end_is_a_dash():
    assert [amounts.interval((None, None), 3), amounts.interval((0.1, None), 3), amounts.interval(None, 3)] == ["—"] * 3


def test_a_difference_always_has_its_sign():
    assert [amounts.signed(x, 2) for x in (0.1, -0.1, 0.0)] == ["+0.10", f"{amounts.MINUS}0.10", "+0.00"]


def test_decimals_give_the_narrowest_interval_two_digits():
    assert [amounts.decimals(width) for width in (12.0, 1.2, 0.12, 0.012, 0.0012)] == [1, 1, 2, 3, 4]


def test_decimals_stay_readable_when_widths_are_zero_tiny_or_unknown():
    assert [amounts.decimals(), amounts.decimals(0.0, None, math.nan), amounts.decimals(1e-4)] == [3, 3, 5]


def test_a_metric_of_a_millionth_is_told_from_another():
    places = amounts.decimals(1e-8)

    shown = [amounts.fixed(value, places) for value in (1.002e-6, 1.101e-6, 0.951234)]
    shown += [amounts.signed(value, places) for value in (9.9e-8, -9.9e-8, 0.0)]

    assert [text.replace(amounts.MINUS, "-") for text in shown] == [
        "1.002e-06", "1.101e-06", "0.951234", "+9.9e-08", "-9.9e-08", "+0.000000",
    ]  # fmt: skip  # one row a column


def test_a_p_value_below_a_thousandth_is_only_said_to_be_below():
    assert [amounts.p_value(p) for p in (1.0, 0.0312, 0.001, 0.00099, 0.0)] == [
        "1.000",
        "0.031",
        "0.001",
        "<0.001",
        "<0.001",
    ]


def test_a_chance_short_of_certainty_is_not_written_as_certain():
    assert [amounts.chance(p) for p in (0.0, 0.001, 0.5, 0.994, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (999, "999"), (1000, "1k"), (12_812, "12.8k"), (999_600, "1M"), (5_000_000, "5M")]
)
def test_counts_have_three_digits_and_a_unit(value, shown):
    assert amounts.count(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(512, "512 B"), (3_480_000, "3.48 MB"), (2e9, "2 GB")])
def test_sizes_have_three_digits_and_a_decimal_unit(value, shown):
    assert amounts.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (2.34, "2.3 s"), (8, "8 s"), (59.6, "1:00 min"), (72.4, "1:12 min"), (7500, "2:05 h")],
)
def test_durations_are_said_as_a_person_says_them(seconds, shown):
    assert amounts.duration(seconds) == shown
