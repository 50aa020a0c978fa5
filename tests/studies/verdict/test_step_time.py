"""Step times are compared by interleaved blocks; a difference within the interval is none."""

from __future__ import annotations

import numpy as np

from actlab.studies.verdict.step_time import cheapest, compare_times


def blocks(*ratios: float) -> dict[str, list[float]]:
    return {"step_time_ratios": list(ratios)}


def test_the_interval_is_that_of_the_order_statistics_widened_for_the_process() -> None:
    values = np.linspace(1.1, 1.3, 9)
    found = compare_times({"relu": blocks(*[1.0] * 9), "gelu": blocks(*values)}, "gelu", "relu")

    assert found is not None
    assert (found.low, found.ratio, found.high) == (values[1] / 1.015, values[4], values[7] * 1.015)


def test_two_arms_are_compared_block_by_block() -> None:
    """Both slow down together in some blocks, by far more than they differ."""
    load = np.array([1, 3, 1, 2, 1, 1, 5, 1, 2.0])
    costs = {"gelu": blocks(*1.2 * load), "mish": blocks(*1.3 * load)}
    found = compare_times(costs, "mish", "gelu")

    assert found is not None
    assert found.is_known
    assert abs(found.ratio - 1.3 / 1.2) < 1e-9


def test_costs_without_blocks_compare_nothing() -> None:
    assert compare_times({"relu": {"step_time_ratio": 1.0}, "gelu": {"step_time_ratio": 3.0}}, "gelu", "relu") is None
    assert compare_times({"relu": blocks(*[1.0] * 9), "gelu": blocks(1.0, 2.0)}, "gelu", "relu") is None
    assert compare_times({"relu": blocks(1.0, 1.0), "gelu": blocks(3.0, 3.0)}, "gelu", "relu") is None
    assert compare_times({}, "gelu", "relu") is None


def test_the_first_arm_stays_unless_another_is_shown_to_be_faster() -> None:
    noisy = np.array([0.95, 1.05, 1.0, 0.97, 1.03, 1.0, 0.99, 1.01, 1.02])
    costs = {"a": blocks(*1.01 * noisy), "b": blocks(*noisy[::-1]), "c": blocks(*0.5 * noisy)}

    assert cheapest(costs, ["a", "b"]) == "a"
    assert cheapest(costs, ["a", "b", "c"]) == "c"
    assert cheapest({}, ["a", "b"]) == "a"


def test_the_cheapest_is_shown_to_be_faster_than_the_first() -> None:
    """b is not slower than c, but not faster than a either."""
    wide = np.array([0.8, 1.2, 1.0, 0.9, 1.1, 1.0, 1.0, 1.0, 1.0])
    costs = {"a": blocks(*[1.2] * 9), "b": blocks(*1.2 * wide), "c": blocks(*[1.1] * 9)}

    assert cheapest(costs, ["a", "b", "c"]) == "c"
