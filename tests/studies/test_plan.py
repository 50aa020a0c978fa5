"""A plan refuses what makes no sense, and its fingerprint changes with everything but the seeds."""

import dataclasses
import json

import pytest
from tests.studies.tiny import tiny

from actlab.errors import PlanError, SpecError, UnknownNameError
from actlab.functions.activation import activation, forget
from actlab.functions.formula import tanh
from actlab.functions.rule import forget_rule, rule
from actlab.studies.arm import Arm, parse_arm
from actlab.studies.plan import Plan, make_plan
from actlab.studies.settings import parse_budget, parse_seeds


def plan(*arms, **settings):
    return make_plan(tiny(), arms or ("relu", "gelu"), **settings)


def test_an_arm_is_known_by_its_canonical_text():
    assert parse_arm("leaky_relu(0.01)") == Arm("leaky_relu", "leaky_relu")
    assert parse_arm(" leaky_relu( 0.02 ) ").label == "leaky_relu(negative_slope=0.02)"
    assert parse_arm({"1": "gelu", "*": "relu"}).for_swap() == {"1": "gelu", "*": "relu"}


def test_the_baseline_is_the_first_arm_unless_one_is_named():
    assert plan("gelu", "relu").baseline == "gelu"
    assert plan("gelu", "relu", baseline="relu").baseline == "relu"


def test_a_baseline_that_is_no_arm_joins_them():
    assert plan("gelu", "silu", baseline="relu").labels == ("relu", "gelu", "silu")
    assert plan("gelu", baseline="relu").labels == ("relu", "gelu")


@pytest.mark.parametrize(
    ("arms", "settings", "error", "said"),
    [
        ((), {}, PlanError, "nothing to compare"),
        (("relu",), {}, PlanError, "Only one arm, relu"),
        (("relu", "gleu"), {}, UnknownNameError, "Did you mean .*'gelu'"),
        (("relu", "elu(alpha=)"), {}, SpecError, "elu"),
        (("leaky_relu", "leaky_relu(0.01)"), {}, PlanError, "named twice: leaky_relu"),
        (("relu", 3), {}, PlanError, "got int"),
        (("relu", {}), {}, PlanError, "got dict"),
        (("relu", "gelu"), {"seeds": 0}, PlanError, "seeds is 0"),
        (("relu", "gelu"), {"seeds": -3}, PlanError, "seeds is -3"),
        (("relu", "gelu"), {"seeds": "many"}, PlanError, "seeds is 'many'"),
        (("relu", "gelu"), {"seeds": [1, 1]}, PlanError, "different whole numbers"),
        (("relu", "gelu"), {"seeds": []}, PlanError, "different whole numbers"),
        (("relu", "gelu"), {"seeds": [1_000_000]}, PlanError, "from 0 to 999,999"),
        (("relu", "gelu"), {"seeds": True}, PlanError, "seeds is True"),
        (("relu", "gelu"), {"alpha": 0}, PlanError, "alpha is 0"),
        (("relu", "gelu"), {"alpha": 1.0}, PlanError, "a number between 0 and 1"),
        (("relu", "gelu"), {"alpha": float("nan")}, PlanError, "alpha is nan"),
        (("relu", "gelu"), {"alpha": "5%"}, PlanError, "alpha is '5%'"),
        (("relu", "gelu"), {"rope": -0.1}, PlanError, "rope is -0.1.*units of negative loss"),
        (("relu", "gelu"), {"init": "matchd"}, PlanError, "Did you mean 'matched'"),
        (("relu", "gelu"), {"tune": "learning_rate"}, PlanError, "allowed: None, 'lr'"),
        (("relu", "gelu"), {"baseline": "rleu"}, UnknownNameError, "rleu"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(arms, settings, error, said):
    with pytest.raises(error, match=said):
        make_plan(tiny(), arms, **settings)


def test_one_text_is_no_list_of_arms():
    with pytest.raises(PlanError, match="list of at least two"):
        make_plan(tiny(), "relu")


def test_the_fingerprint_is_the_same_for_more_seeds_and_differs_for_all_else():
    first = plan()

    assert first.fingerprint == plan(seeds=30).fingerprint == plan(rope=tiny().rope).fingerprint
    changed = [
        plan("relu", "silu"),
        plan("gelu", "relu"),
        plan(baseline="gelu"),
        plan(init="matched"),
        plan(tune="lr"),
        plan(alpha=0.01),
        plan(rope=0.5),
        plan(eliminate=False),
        make_plan(tiny(epochs=4), ["relu", "gelu"]),
        make_plan(tiny(source="another"), ["relu", "gelu"]),
        make_plan(tiny(metric=lambda *_: 0.0), ["relu", "gelu"]),
    ]
    prints = {other.fingerprint for other in changed} | {first.fingerprint}
    assert len(prints) == len(changed) + 1


def test_where_the_file_of_a_task_lies_is_no_part_of_the_identity():
    assert dataclasses.replace(plan(), file="elsewhere.py").fingerprint == plan().fingerprint


def test_a_formula_that_was_changed_is_another_plan():
    prints = []
    for scale in (1, 2):

        @activation(paper="a test")
        def scaled_tanh(x, scale=scale):
            """Tanh, scaled."""
            return tanh(x) * (3 if scale is None else 1) + (0 if prints else x)

        prints.append(plan("relu", "scaled_tanh"))
        forget("scaled_tanh")

    assert prints[0].fingerprint != prints[1].fingerprint
    assert prints[1].differences(prints[0]) == ["the formula of scaled_tanh has changed"]


def test_a_rule_that_was_changed_is_another_plan():
    plans = []
    for factor in (1, 2):

        @rule(paper="a test")
        def damped(x, factor=factor):
            """The gradient, damped."""
            return 1 / (1 + factor * x**2) if plans else 1 / (1 + factor * x**4)

        plans.append(plan("relu", "relu/damped"))
        forget_rule("damped")

    assert plans[0].fingerprint != plans[1].fingerprint
    assert plans[1].differences(plans[0]) == ["the formula of /damped has changed"]


def test_what_a_rule_borrows_is_part_of_the_plan():
    assert dict(plan("relu", "relu/grad(gelu)").definitions).keys() == {"relu", "gelu", "/grad"}


def test_a_plan_survives_its_json():
    first = plan("relu", {"1": "swish(beta=learned)"}, seeds=[3, 5], tune="lr")

    assert Plan.from_json(first.to_json()) == first


def test_a_stored_plan_has_no_field_that_earlier_builds_refuse_unless_it_needs_it():
    assert "tuning" not in json.loads(plan("relu", "gelu").to_json())
    assert json.loads(plan("relu", "gelu", tune="lr").to_json())["tuning"] == "halving"


def test_other_arms_are_no_changed_formulas():
    assert plan("relu", "elu").differences(plan("relu", "gelu")) == ["arms: relu, gelu in the store, relu, elu now"]


def test_differences_are_named():
    differences = plan(alpha=0.1).differences(plan("relu", "silu"))

    assert "alpha: 0.05 in the store, 0.1 now" in differences
    assert "arms: relu, silu in the store, relu, gelu now" in differences


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5 min", 90), ("45", 45), (45, 45), (0.5, 0.5), (None, None)],
)
def test_a_budget_is_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 days", "-5", "0", 0, -1, float("nan"), float("inf"), True])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(PlanError, match="allowed are times like 90s, 10m, 2h"):
        parse_budget(text)


def test_seeds_are_counted_from_0():
    assert parse_seeds(4) == (0, 1, 2, 3)


def test_the_decay_of_learned_numbers_belongs_to_the_plan_only_where_it_is_off():
    plain, off = plan(), plan(decay_learned=False)

    assert plan(decay_learned=True).fingerprint == plain.fingerprint != off.fingerprint
    assert "decay_learned" not in plain.identity()
    assert Plan.from_json(off.to_json()) == off
    assert off.differences(plain) == ["decay_learned: None in the store, False now"]
    assert plain.differences(off) == ["decay_learned: False in the store, None now"]
