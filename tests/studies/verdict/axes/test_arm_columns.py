"""What is measured once for each arm: times are tested on blocks, counts are compared as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.studies.verdict.axes.simulated import facts, row

from actlab.studies.verdict.axes.axes_verdict import AxesVerdict
from actlab.studies.verdict.verdict import make_verdict

COST = {
    "name": "cost",
    "level": "arm",
    "columns": {
        "latency": {"direction": "min", "unit": "s"},
        "flops": {"direction": "min", "unit": ""},
        "energy": {"direction": "min", "unit": "J"},
    },
}


def blocks(ratio: float, spread: float = 0.004) -> list[float]:
    numbers: list[float] = (ratio * (1 + spread * np.random.default_rng(1).normal(size=9))).tolist()
    return numbers


def cost(latency: float, flops: float, ratios: list[float] | None) -> dict[str, Any]:
    numbers = {"latency": latency, "flops": flops}
    return {"numbers": numbers, "ratios": {"latency": ratios} if ratios else {}, "undefined": {"energy": "no counter"}}


def judged(costs: dict[str, dict[str, Any]]) -> AxesVerdict:
    arms = tuple(costs)
    rows = [row(arm, seed, {}) for arm in arms for seed in range(3)]
    by_arm = {arm: {"axes": {"cost": entry}} if entry else {} for arm, entry in costs.items()}
    found = make_verdict(rows, facts(arms, 3, axes=(COST,)), by_arm).axes
    assert found is not None
    return found


def relations(found: AxesVerdict, column: str) -> list[str]:
    finding = found.of("cost", column)
    assert finding is not None
    return [number.relation for number in finding.arms]


def test_a_slower_arm_is_worse_a_faster_one_better_and_one_within_the_region_ties() -> None:
    arms = {"relu": (1.0, 1.0), "gelu": (1.4, 1.4), "tanh": (0.7, 0.7), "mish": (1.005, 1.005)}
    found = judged({arm: cost(time, 100.0, blocks(ratio)) for arm, (time, ratio) in arms.items()})
    assert relations(found, "latency") == ["baseline", "worse", "better", "tie"]
    assert found.comparisons == 3


@pytest.mark.parametrize("ratio", [1.012, 0.988])
def test_a_difference_between_processes_is_no_statement_that_an_arm_is_slower(ratio: float) -> None:
    found = judged({"relu": cost(1.0, 1.0, blocks(1.0, 0.0)), "gelu": cost(ratio, 1.0, blocks(ratio, 0.001))})
    assert relations(found, "latency")[1] in ("undecided", "tie")


def test_counts_are_compared_as_they_are_and_belong_to_no_family() -> None:
    found = judged(
        {
            "relu": cost(1, 100, None),
            "gelu": cost(1, 150, None),
            "tanh": cost(1, 100.5, None),
            "mish": cost(1, 50, None),
        }
    )
    assert relations(found, "flops") == ["baseline", "worse", "tie", "better"]
    assert found.comparisons == found.statements == 0


def test_the_interval_of_a_difference_is_that_of_the_ratios_widened() -> None:
    ratios = [1.30, 1.31, 1.32, 1.33, 1.34, 1.35, 1.36, 1.37, 1.38]
    number = judged({"relu": cost(2.0, 1, [1.0] * 9), "gelu": cost(2.7, 1, ratios)}).of("cost", "latency").of("gelu")
    assert number.difference.mean == pytest.approx(2.0 * 0.34)  # of the median block
    assert number.difference.ci == (pytest.approx(2 * (1.31 / 1.015 - 1)), pytest.approx(2 * (1.37 * 1.015 - 1)))


def test_what_no_arm_has_is_undefined_and_what_one_lacks_is_named() -> None:
    found = judged({"relu": cost(1, 100, blocks(1.0)), "gelu": {}})
    assert [(it.column, it.reason) for it in found.undefined] == [("energy", "no counter")]
    assert relations(found, "latency") == ["baseline", "not compared"]
    assert any(
        "cost latency and cost flops of gelu have no number (not measured for this arm)" in text
        for text in found.cautions
    )


def test_the_difference_is_that_of_the_blocks_where_numbers_are_of_two_measurements() -> None:
    found = judged({"relu": cost(1.0, 1.0, blocks(1.0, 0.0)), "gelu": cost(7.0, 1.0, blocks(1.5, 0.0))})
    finding = found.of("cost", "latency")
    assert finding is not None
    number = finding.of("gelu")
    assert number.difference is not None
    assert (number.mean, number.difference.mean) == (7.0, pytest.approx(0.5))


def test_a_number_with_noise_whose_ratios_are_not_known_is_undecided() -> None:
    unknown: Any = [None] * 9
    found = judged({"relu": cost(1.0, 1.0, unknown), "gelu": cost(2.0, 1.0, unknown)})
    assert relations(found, "latency") == ["baseline", "undecided"]
