"""Outcomes of claims from their parts: all of them, under conditions, shown only."""

from __future__ import annotations

import pytest
from tests.studies.claims.made_up import claim, part, rows

from actlab.errors import PlanError
from actlab.studies.claims.claim import ClaimStudy, difference
from actlab.studies.claims.claim_outcome import judge_claim

SIX = range(6)
UP, DOWN, OPEN = [1 + 0.01 * i for i in SIX], [-1 - 0.01 * i for i in SIX], [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]


def outcome(*parts, **effects):
    """Judge parts on studies, one for each effect of b beside a."""
    made = {key: rows(a=[0.0] * 6, b=numbers, c=numbers) for key, numbers in effects.items()}
    return judge_claim(claim(*parts, studies=tuple(effects), alpha=0.05 * len(parts)), made)


def under(key, **more):
    return part(effect=difference("b", "a", study=key), condition=key, **more)


def test_a_claim_holds_where_all_of_its_parts_do():
    one, two = (part(effect=difference("b", "a", study=key)) for key in ("x", "y"))

    assert outcome(one, two, x=UP, y=UP).result == "holds"
    assert outcome(one, two, x=UP, y=DOWN).result == "does not hold"
    assert outcome(one, two, x=UP, y=OPEN).result == "undecided"


def test_a_claim_holds_only_if_where_conditions_differ():
    found = outcome(under("x"), under("y"), x=UP, y=DOWN)

    assert (found.result, found.text) == ("holds only if", "holds only if x")
    assert found.conditions == {"x": "holds", "y": "does not hold"}
    assert outcome(under("x"), under("y"), x=UP, y=UP).result == "holds"
    assert outcome(under("x"), under("y"), x=DOWN, y=DOWN).result == "does not hold"


def test_an_open_condition_beside_one_that_holds_leaves_the_claim_undecided_and_says_what_holds():
    found = outcome(under("x"), under("y"), x=UP, y=OPEN)

    assert found.result == "undecided"
    assert "holds if x" in found.text
    assert outcome(under("x"), under("y"), under("z"), x=UP, y=OPEN, z=DOWN).text == "holds only if x; undecided if y"


def test_parts_without_a_condition_must_hold_in_any_case():
    always = part(effect=difference("b", "a", study="y"))

    assert outcome(under("x"), always, x=UP, y=DOWN).result == "does not hold"


def test_a_part_that_is_shown_only_has_no_bearing():
    shown = part(effect=difference("b", "a", study="y"), judged=False)

    assert outcome(part(effect=difference("b", "a", study="x")), shown, x=UP, y=DOWN).result == "holds"


def test_a_claim_whose_parts_do_not_fit_its_studies_is_refused():
    with pytest.raises(PlanError, match="reads 'd', which is no arm of the study 'main': a, b, c"):
        claim(part(effect=difference("d", "a")))
    with pytest.raises(PlanError, match="reads the study 'deep'; the claim has main"):
        claim(part(effect=difference("b", "a", study="deep")))
    with pytest.raises(PlanError, match="has no part that is judged"):
        claim(part(judged=False))
    with pytest.raises(PlanError, match="smallest > 0"):
        part(smallest=0.0)
    with pytest.raises(PlanError, match="1 <= seeds <= most"):
        ClaimStudy(task="digits", arms=("relu",), seeds=9, most=8)


def test_one_seed_is_too_few_for_a_forecast_and_said_so():
    found = judge_claim(claim(part()), {"main": rows(a=[0.0], b=[1.0])})

    assert found.text == "undecided at this power (too few seeds for a forecast)"


@pytest.mark.parametrize("column", ["nix", "loss@half", "loss@2", "loss@0", "metrics.", "axes.calibration"])
def test_a_column_that_cannot_be_is_refused_before_anything_is_trained(column):
    with pytest.raises(PlanError, match="There is no column"):
        claim(part(effect=difference("b", "a", column=column)))


def test_an_axis_on_which_the_study_is_not_judged_is_refused():
    with pytest.raises(PlanError, match=r"not judged on that axis.*add 'calibration'"):
        claim(part(effect=difference("b", "a", column="axes.calibration.ece")))
