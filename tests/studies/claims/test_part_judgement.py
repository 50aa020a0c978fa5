"""Judgements of parts: error rates by simulation, decisions of clear cases, intervals and power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.studies.claims.made_up import claim, part, row, rows

from actlab.studies.claims.claim import Exact, difference
from actlab.studies.claims.detectable_effect import detectable_effect, detectable_in_deviations
from actlab.studies.claims.part_judgement import decisions, judge_part

RUNS, SEEDS, ALPHA = 400, 20, 0.05
DRAW = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "of one size": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "heavy tails": lambda rng, shape: rng.standard_t(1.5, shape),
}


def judged(effects, kind="better", smallest=0.5):
    made = rows(a=[0.0] * len(effects), b=list(effects))
    asked = part(kind=kind, smallest=smallest)
    return judge_part(asked, claim(asked), {"main": made})


@pytest.mark.parametrize("shape", DRAW)
@pytest.mark.parametrize(
    ("kind", "centre", "wrong"),
    [("better", 0.0, "holds"), ("better", 0.5, "does not hold"), ("tie", 0.5, "holds"), ("tie", 0.0, "does not hold")],
)
def test_a_false_decision_is_as_rare_as_stated_with_a_look_after_every_seed(shape, kind, centre, wrong):
    effects = centre + DRAW[shape](np.random.default_rng(1), (RUNS, SEEDS))
    holds, fails = decisions(effects, kind, 0.5, ALPHA)
    ever = (holds if wrong == "holds" else fails).any(-1).mean()

    assert ever <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


@pytest.mark.parametrize(
    ("kind", "centre", "right"),
    [("better", 1.0, "holds"), ("better", -0.5, "does not hold"), ("tie", 0.0, "holds"), ("tie", 1.5, "does not hold")],
)
def test_clear_effects_are_decided(kind, centre, right):
    effects = centre + 0.3 * np.random.default_rng(2).standard_normal((100, SEEDS))
    holds, fails = decisions(effects, kind, 0.5, ALPHA)

    assert (holds if right == "holds" else fails)[:, -1].mean() > 0.9
    assert not (holds & fails).any()


def test_a_small_effect_that_is_surely_there_does_not_hold_where_one_that_matters_is_excluded():
    assert judged([0.1, 0.11, 0.09, 0.1, 0.1, 0.11, 0.09, 0.1]).decision == "does not hold"


def test_nothing_is_decided_by_four_seeds_and_it_is_said_how_many_more_are_needed():
    found = judged([1.0, 1.1, 0.9, 1.0])

    assert (found.decision, found.more) == ("undecided", 1)
    assert judged([1.0, 1.1, 0.9, 1.0, 1.0]).decision == "holds"


def test_the_interval_covers_the_centre_at_both_stated_rates():
    effects = np.random.default_rng(3).standard_normal((20, 8))
    found = [judged(one) for one in effects]

    assert np.mean([one.low > 0 for one in found]) <= 0.1
    assert np.mean([one.high < 0 for one in found]) <= 0.1
    assert all(one.low <= one.effect <= one.high for one in found)


def test_the_detectable_effect_is_found_with_the_stated_power_by_fresh_samples():
    size = detectable_in_deviations(12, ALPHA)
    holds, _ = decisions(size + np.random.default_rng(4).standard_normal((2000, 12)), "better", 1e-9, ALPHA)

    assert 0.77 <= holds.any(-1).mean() <= 0.83


def test_the_detectable_effect_has_the_unit_of_the_effects_and_leaves_out_diverged_seeds():
    effects = np.array([0.1, -0.2, 0.3, 0.05, -0.1, 0.2, math.inf, 0.1])

    assert detectable_effect(7 * effects, ALPHA) == pytest.approx(7 * detectable_effect(effects, ALPHA))
    assert detectable_effect(np.array([1.0]), ALPHA) is None


def test_a_side_that_diverges_on_every_seed_loses():
    made = [row("a", seed, status="diverged") for seed in range(6)] + [row("b", seed, 1.0) for seed in range(6)]
    asked = part()
    found = judge_part(asked, claim(asked), {"main": made})

    assert (found.decision, found.infinite, found.effect) == ("holds", 6, math.inf)
    assert found.to_dict()["effect"] is None


def test_seeds_on_which_both_sides_diverge_are_counted_and_say_nothing():
    made = [row(arm, seed, status="diverged") for arm in "ab" for seed in range(6)]
    asked = part()
    found = judge_part(asked, claim(asked), {"main": made})

    assert (found.decision, found.n, found.missing) == ("undecided", 0, 6)


def test_the_error_rate_is_divided_over_the_parts_that_rows_decide():
    parts = (part(), part(), part(effect=difference("c", "a")))

    assert judge_part(parts[0], claim(*parts), {"main": rows(a=[0.0], b=[1.0], c=[1.0])}).alpha == pytest.approx(
        ALPHA / 3
    )


def test_a_closed_form_holds_within_its_tolerance():
    def of(number, tolerance):
        asked = part(exact=Exact(compute=lambda: number, claimed=1.0, tolerance=tolerance))
        return judge_part(asked, claim(asked, studies=()), {})

    assert of(1.05, 0.1).decision == "holds"
    assert (of(1.5, 0.1).decision, of(1.5, 0.1).effect, of(1.5, 0.1).claimed) == ("does not hold", 1.5, 1.0)


def test_a_closed_form_without_a_value_decides_nothing():
    asked = part(exact=Exact(compute=lambda: math.nan, claimed=1.0, tolerance=0.1))
    judged = judge_part(asked, claim(asked), {})
    assert (judged.decision, judged.effect) == ("undecided", None)
