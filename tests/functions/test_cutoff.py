"""The threshold of softplus: part of the spec where it shows, and no part of the formula at torch's default."""

from __future__ import annotations

import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.errors import SpecError
from actlab.functions.activation import get
from actlab.functions.analysis.stored_facts import fingerprint, known_facts
from actlab.functions.grammar import parse
from actlab.nn.recognition.torch_activations import UNKNOWN, describe_call, describe_module, recognise
from actlab.studies.plan import make_plan
from actlab.tasks.registry import resolve

GRID = torch.cat([torch.linspace(-3, 3, 1201), torch.logspace(-6, 4, 200), -torch.logspace(-6, 4, 200)]).double()
CASES = [(1.0, 20.0), (10.0, 0.4), (0.5, -1.0), (3.0, 50.0), (2.0, 0.0), (1.0, 5.0)]


def text(beta, threshold):
    return f"softplus(beta={beta}, threshold={threshold})"


@pytest.mark.parametrize(("beta", "threshold"), CASES)
def test_a_layer_with_a_threshold_is_the_function_of_torch_to_the_bit(beta, threshold):
    assert torch.equal(actlab.layer(text(beta, threshold))(GRID), F.softplus(GRID, beta, threshold))


@pytest.mark.parametrize(("beta", "threshold"), CASES[1:])
@pytest.mark.parametrize("fast", [False, True])
def test_formula_and_kernel_have_the_threshold_in_values_and_gradients(beta, threshold, fast):
    made = actlab.layer(text(beta, threshold), native=False, fast=fast)
    if fast:
        made.set_fast(always=True)
    x, theirs = GRID.clone().requires_grad_(), GRID.clone().requires_grad_()

    made(x).sum().backward()
    F.softplus(theirs, beta, threshold).sum().backward()

    torch.testing.assert_close(made(x), F.softplus(theirs, beta, threshold), rtol=1e-14, atol=1e-16)
    torch.testing.assert_close(x.grad, theirs.grad, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize(
    ("module", "spec"),
    [
        (nn.Softplus(), "softplus"),
        (nn.Softplus(3), "softplus(beta=3)"),
        (nn.Softplus(10, 0.4), "softplus(beta=10, threshold=0.4)"),
        (nn.Softplus(threshold=-1), "softplus(threshold=-1)"),
        (nn.Softplus(1, 50), "softplus(threshold=50)"),
        (nn.Softplus(1, float("inf")), None),  # no spec has an infinite number
        (nn.Softplus(-1), None),
    ],
)
def test_a_module_is_the_spec_that_computes_the_same(module, spec):
    running = describe_module(module)

    assert (running.name, running.spec) == ("softplus", spec)
    if spec:
        assert torch.equal(actlab.layer(spec)(GRID), module(GRID))


@pytest.mark.parametrize(
    ("function", "arguments", "keywords", "spec"),
    [
        (F.softplus, [2.0, 1.0], {}, "softplus(beta=2, threshold=1)"),
        (F.softplus, [], {"threshold": 3}, "softplus(threshold=3)"),
        (torch._C._nn.softplus, [], {"beta": 2, "threshold": 20}, "softplus(beta=2)"),
        (partial(F.softplus, threshold=2), [], {}, "softplus(threshold=2)"),
        (F.softplus, [1.0, UNKNOWN], {}, None),
    ],
)
def test_a_call_is_the_spec_that_computes_the_same(function, arguments, keywords, spec):
    assert describe_call(recognise(function), arguments, keywords).spec == spec


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.act, self.out = nn.Linear(1, 4), nn.Softplus(10, 0.4), nn.Linear(4, 1)

    def forward(self, x):
        return self.out(F.softplus(self.act(self.linear(x)), 2.0, threshold=0.1))


@pytest.mark.parametrize("transform", [actlab.fast, actlab.slim_])
def test_fast_and_slim_keep_a_threshold(transform):
    torch.manual_seed(0)
    model = Functional().double()
    x = GRID[:, None]
    want = model(x)

    transform(model, x)

    torch.testing.assert_close(model(x), want, rtol=1e-12, atol=1e-14)


def test_a_swap_puts_a_threshold_into_a_model():
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))

    actlab.swap_(model, "softplus(10, 0.4)")

    assert actlab.find(model)[0].spec == "softplus(beta=10, threshold=0.4)"


def test_specs_with_a_threshold_travel_as_text_and_as_pickles():
    spec = parse("softplus(10, 0.4)")

    assert parse(str(spec)) == pickle.loads(pickle.dumps(spec)) == spec
    assert parse("softplus(threshold=20)") == parse("softplus")
    assert str(parse("softplus(beta=learned, threshold=5)")) == "softplus(beta=learned, threshold=5)"
    layer = pickle.loads(pickle.dumps(actlab.layer("softplus(10, 0.4)", native=False)))
    assert torch.equal(layer(GRID), actlab.layer("softplus(10, 0.4)", native=False)(GRID))


def test_a_threshold_cannot_be_learned():
    with pytest.raises(SpecError, match="threshold, which has no gradient"):
        parse("softplus(threshold=learned)")


def test_plans_and_facts_of_plain_softplus_are_as_before():
    assert str(get("softplus").formula) == "softplus(beta*x)/beta"
    assert fingerprint(get("softplus")) == "cae9b728fed87c14"
    assert known_facts(get("softplus")).smoothness == float("inf")
    plan = make_plan(resolve("digits"), ["relu", "softplus", "softplus(beta=2, threshold=1)"])
    assert dict(plan.definitions) == {
        "relu": "maximum(x, 0)",
        "softplus": "softplus(beta*x)/beta",
        "softplus with its cutoff": "where(beta*x > threshold, x, softplus(beta*x)/beta)",
    }


def test_the_facts_of_a_threshold_show_the_jump():
    facts = actlab.facts("softplus(10, 0.4)")

    assert (facts.smoothness, facts.monotone) == (-1.0, False)
