"""A dry run chooses the sites and the baseline from the model, and lists every site with what becomes of it."""

import json

import pytest
from tests.studies.gated_nets import GatedUnit, Pooled, SqueezeExcitation
from tests.studies.test_arm_model import task_of
from tests.studies.tiny import FILE, tiny
from torch import nn

from actlab.errors import PlanError
from actlab.functions.activation import names
from actlab.studies.arm import EVERY_SITE, MAIN_FUNCTION, UNCHANGED
from actlab.studies.plan import Plan
from actlab.studies.prepare import draft
from actlab.study import compare, load_study


def swapped(drafted):
    return [site.path for site in drafted.sites if site.swapped_by]


def test_arms_swap_the_main_function_and_leave_gates_and_outputs_with_the_reason():
    drafted = draft(task_of(SqueezeExcitation), ["gelu", "silu"], seeds=6)

    assert [(site.function, bool(site.swapped_by), site.role) for site in drafted.sites] == [
        ("relu", True, "main function"),
        ("relu", True, "main function"),
        ("sigmoid", False, "gate"),
        ("relu", True, "main function"),
        ("tanh", False, "output"),
    ]
    assert [bool(site.reason) for site in drafted.sites] == [False, False, True, False, True]
    assert json.loads(json.dumps(drafted.to_dict()))["sites"][2]["reason"] == "its result multiplies another value"


@pytest.mark.parametrize(
    ("arms", "labels", "baseline"),
    [
        (["relu", "gelu"], ("relu", "gelu"), "relu"),
        (["gelu", "relu"], ("gelu", "relu"), "relu"),  # the model has relu: it is what she has
        (["gelu", "silu"], ("unchanged", "gelu", "silu"), "unchanged"),
        (["gelu"], ("unchanged", "gelu"), "unchanged"),
        (["gelu", "unchanged"], ("gelu", "unchanged"), "unchanged"),
        (["unchanged", "relu"], ("unchanged", "relu"), "unchanged"),  # as typed, though both are the same
        ([{"relu": "elu"}, "gelu"], ("unchanged", "relu=elu", "gelu"), "unchanged"),
        ([{"sigmoid": "sigmoid"}, "gelu"], ("sigmoid=sigmoid", "gelu"), "sigmoid=sigmoid"),
    ],
)
def test_the_model_as_it_is_is_the_default_baseline(arms, labels, baseline):
    plan = draft(task_of(SqueezeExcitation), arms, seeds=6).plan

    assert (plan.labels, plan.baseline) == (labels, baseline)


def test_a_map_that_names_few_sites_can_be_compared_with_a_spec_for_the_main_function():
    drafted = draft(task_of(SqueezeExcitation), ["unchanged", {"relu": "gelu"}, "silu", {"relu": "elu"}], seeds=6)

    assert drafted.plan.labels == ("unchanged", "relu=gelu", "silu", "relu=elu")
    assert [site.function for site in drafted.sites if site.swapped_by] == ["relu", "relu", "relu"]


def test_a_baseline_that_is_named_is_the_baseline():
    task = task_of(SqueezeExcitation)

    assert draft(task, ["relu", "gelu"], baseline="gelu").plan.baseline == "gelu"
    assert draft(task, ["gelu", "silu"], baseline="elu").plan.labels == ("elu", "gelu", "silu")
    assert draft(task, ["gelu", "silu"], baseline="unchanged").plan.labels == ("unchanged", "gelu", "silu")


def test_an_arm_with_other_parameters_is_not_the_model_as_it_is():
    def model(seed):
        return nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.LeakyReLU(), nn.Linear(8, 2))

    assert draft(tiny(model=model), ["leaky_relu", "relu"]).plan.labels == ("unchanged", "leaky_relu", "relu")


@pytest.mark.parametrize(
    ("sites", "functions"),
    [
        ("*", ["relu", "relu", "sigmoid", "relu"]),
        ("sigmoid", ["sigmoid"]),
        ("@:2", ["relu", "relu"]),
        (["@0", "re:.*sigmoid.*"], ["relu", "sigmoid"]),
        (["relu", "forward:torch.tanh@1"], ["relu", "relu", "relu", "tanh"]),
    ],
)
def test_named_sites_are_swapped_whatever_their_role(sites, functions):
    drafted = draft(task_of(SqueezeExcitation), ["gelu"], sites=sites)

    assert [site.function for site in drafted.sites if site.swapped_by] == functions


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ("sigmoyd", "No site matches 'sigmoyd'.*Did you mean 'sigmoid'"),
        ("re:(", "not a regular expression"),
        ([""], "sites is"),
        (7, "sites is 7"),
    ],
)
def test_sites_that_do_not_exist_are_refused(sites, said):
    with pytest.raises(PlanError, match=said):
        draft(task_of(SqueezeExcitation), ["gelu"], sites=sites)


def test_glu_and_poolers_are_left():
    assert len(swapped(draft(task_of(GatedUnit), ["relu"]))) == 1
    assert swapped(draft(task_of(Pooled), ["relu"])) == ["forward:F.gelu@1"]


def test_a_map_swaps_what_it_names_beside_arms_of_the_main_function():
    sites = draft(task_of(SqueezeExcitation), ["gelu", {"sigmoid": "hardsigmoid"}]).sites

    assert sites[2].swapped_by == ("sigmoid=hardsigmoid",)
    assert sites[2].reason
    assert sites[0].swapped_by == ("gelu",)


def test_a_plan_says_which_sites_its_arms_swap_where_that_is_not_every_one():
    task, arms = task_of(SqueezeExcitation), ["unchanged", "gelu"]
    plain, gated, every = draft(tiny(), arms).plan, draft(task, arms).plan, draft(task, arms, sites="*").plan

    assert (plain.sites, gated.sites, every.sites) == (EVERY_SITE, MAIN_FUNCTION, EVERY_SITE)
    assert len({gated.fingerprint, every.fingerprint}) == 2
    assert Plan.from_json(gated.to_json()) == gated
    assert '"sites"' not in json.dumps(plain.identity())  # the plan of before there was a choice
    (difference,) = gated.differences(every)
    assert "* in the store, those of the main function now" in difference


def test_the_word_for_the_model_as_it_is_names_no_activation():
    assert UNCHANGED not in set(names())


def test_the_sites_are_stored_with_the_study_and_reach_its_verdict_and_page(tmp_path):
    (tmp_path / "task.py").write_text(FILE.replace("nn.Linear(8, 2))", "nn.Linear(8, 2), nn.Tanh())"))
    store = tmp_path / "actlab.db"
    study = compare(tmp_path / "task.py", ["relu", "gelu"], seeds=2, jobs=1, store=store)

    verdict = load_study(store, study.name).verdict()

    assert [(site["function"], site["role"], site["swapped_by"]) for site in verdict.to_dict()["sites"]] == [
        ("relu", "main function", ["relu", "gelu"]),
        ("tanh", "output", []),
    ]
    assert "Left as they are: tanh (output)." in str(verdict)
    page = study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "left: output, the model returns its result" in page


def test_the_same_call_goes_on(tmp_path):
    studies = [
        compare(task_of(SqueezeExcitation), ["gelu"], seeds=n, jobs=1, store=tmp_path / "actlab.db") for n in (1, 2)
    ]

    assert studies[0].name == studies[1].name
    assert len(studies[0].rows()) == 4
