"""A plan refuses what makes no sense, and its fingerprint changes with everything but the seeds."""

import dataclasses
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.studies.tiny import model, tiny
from torch import nn

from actlab.errors import PlanError, SpecError, UnknownNameError
from actlab.functions.activation import activation, forget
from actlab.functions.formula import tanh
from actlab.functions.rule import forget_rule, rule
from actlab.studies.arm import Arm, parse_arm
from actlab.studies.plan import Plan, make_plan, task_digest
from actlab.studies.settings import parse_budget, parse_seeds
from actlab.study import compare
from actlab.tasks.task import Task, accuracy


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


RATE = 0.5
SHAPE = {"hidden": (8, 8), "names": ["a"]}
TABLE = torch.arange(4.0)


def reads_globals(seed):
    return nn.Linear(int(RATE), len(SHAPE), TABLE)


def uses(seed):
    return reads_globals(seed)


def closure(value):
    return lambda _: nn.Linear(2, value)


def defaulted(value):
    def build(seed, width=value):
        return nn.Linear(2, width)

    return build


def digest_of(build, **fields):
    parts = {"data": None, "loss": nn.functional.cross_entropy, "metric": accuracy, **fields}
    return task_digest(Task(name="t", model=build, **parts))


HELD = {
    "closure": lambda value: closure(value),  # noqa: PLW0108 # one line for each kind
    "default": defaulted,
    "partial": lambda value: partial(closure, value=value),
    "tensor": lambda value: closure(torch.full((3,), float(value))),
    "array": lambda value: closure(np.full(3, value)),
    "records": lambda value: closure(SimpleNamespace(width=value)),
    "deep": lambda value: closure({"a": [(value, {"b": "text"})]}),
    "two levels": lambda value: closure(closure(value)),
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_values_that_functions_hold_are_part_of_the_digest_of_a_task_built_in_code(held):
    assert digest_of(held(8)) == digest_of(held(8))
    assert digest_of(held(8)) != digest_of(held(9))


@pytest.mark.parametrize(
    ("name", "value"),
    [("RATE", 0.25), ("SHAPE", {"hidden": (8, 4), "names": ["a"]}), ("TABLE", torch.arange(1.0, 5.0))],
)
@pytest.mark.parametrize("build", [reads_globals, uses])
def test_globals_that_functions_read_are_part_of_it(build, name, value, monkeypatch):
    before = digest_of(build)
    monkeypatch.setitem(globals(), name, value)

    assert digest_of(build) != before


def test_what_has_no_values_keeps_the_digest_of_earlier_builds():
    def build(seed):
        return nn.Linear(2, 2)

    task = Task(name="t", model=build, data=None, loss=nn.functional.cross_entropy, metric=accuracy)

    assert task_digest(task) == task_digest(task, values=False)
    assert digest_of(closure(torch.zeros(2_000_000))) == digest_of(closure(torch.ones(2_000_000)))  # too large


def test_a_study_of_an_earlier_build_whose_digest_had_no_values_goes_on(tmp_path, monkeypatch):
    width = 3

    def build(seed):
        return model(seed + 0 * width)

    def run(seeds):
        return compare(tiny(model=build), ["relu", "gelu"], seeds=seeds, jobs=1, store=tmp_path / "a.db", target="none")

    with monkeypatch.context() as earlier:
        earlier.setattr("actlab.studies.plan.values_text", lambda _: "")
        first = run(1)
    before = [row["started"] for row in first.rows()]
    second = run(2)
    width = 4

    assert second.name == first.name
    assert [row["started"] for row in second.rows()][:2] == before
    assert run(2).name == first.name  # as its digest does not tell
