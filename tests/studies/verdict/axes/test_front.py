"""Pareto fronts of the int8 metric and what arms take on devices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from tests.studies.verdict.axes.fronts import FOUR, study

from actlab.report.html.study import html
from actlab.studies.verdict.axes.front import find_fronts, on_front


def test_arms_that_another_one_beats_on_both_are_not_on_the_front() -> None:
    instructions, flash = find_fronts(study(FOUR)[0].axes)
    assert instructions.cost.name == "device instructions"
    assert flash.cost.name == "device flash"
    assert instructions.arms == flash.arms == ("relu", "gelu")


def test_where_smaller_metrics_are_better_the_front_turns() -> None:
    assert find_fronts(study(FOUR, "min")[0].axes)[0].arms == ("relu", "tanh")


@pytest.mark.parametrize("seed", range(20))
def test_fronts_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = {str(i): (int(a), int(b)) for i, (a, b) in enumerate(rng.integers(0, 4, size=(6, 2)))}
    beaten = {
        one
        for (one, (cost, gain)), (_, (other, more)) in product(places.items(), repeat=2)
        if other <= cost and more >= gain and (other < cost or more > gain)
    }
    assert on_front(places.items()) == set(places) - beaten


def test_the_verdict_says_which_arms_are_on_the_front() -> None:
    found = study(FOUR)[0].axes
    assert found is not None
    said = (
        "Pareto front of int8 metric over device instructions and device flash, by the means: relu and gelu; no other arm is at least as "
        "good on both and better on one."
    )
    assert [text for text in found.sentences if "front" in text] == [said]


def test_arms_without_figures_are_left_out_and_without_a_compiler_there_is_no_front() -> None:
    verdict, _ = study({**FOUR, "gelu": (0.92, None)})
    assert find_fronts(verdict.axes)[0].arms == ("relu", "mish")
    verdict, rows = study({arm: (metric, None) for arm, (metric, _) in FOUR.items()})
    assert find_fronts(verdict.axes) == ()
    assert verdict.axes is not None
    assert "Undefined: device (flash and instructions), as no compiler. Install gcc." in verdict.axes.sentences
    assert 'id="front-' not in html(verdict, rows)
