"""Gradient rules in the rest of the package: swapped, skipped or refused, and never lost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import actlab
from actlab.codegen.cpu import kernel as cpu
from actlab.codegen.forward_backward import passes
from actlab.codegen.gpu import kernel as gpu
from actlab.codegen.saved_for_backward import saved_for_backward
from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.functions.rule import rules
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.nn.layers.memory_saving import SlimLayer
from actlab.testing.rule_checks import RULE_CHECKS


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


X = torch.linspace(-1, 1, 32).reshape(4, 8)


def weight_gradient(model: nn.Sequential) -> torch.Tensor:
    model.zero_grad()
    torch.manual_seed(1)
    model(X).square().sum().backward()
    return model[0].weight.grad.clone()


def test_it_is_swapped_in_found_and_taken_out():
    model, before = net(), weight_gradient(net())

    changes = actlab.swap_(model, "relu/0.5")

    assert [site.spec for site in actlab.find(model)] == ["relu/0.5"] * 2
    assert not torch.equal(weight_gradient(model), before)
    changes.undo()
    assert torch.equal(weight_gradient(model), before)


@pytest.mark.parametrize("spec", ["relu/jam", "sign/arctan", "relu/rectangular_jam"])
def test_slimming_leaves_it_alone_and_says_so(spec):
    model = net()
    actlab.swap_(model, spec)
    before = weight_gradient(model)

    changes = actlab.slim_(model, X)

    assert "keeps what its gradient rule needs" in str(changes)
    assert isinstance(model[1], CustomGradientLayer)
    assert torch.equal(weight_gradient(model), before)


def test_fast_keeps_it():
    model = net()
    actlab.swap_(model, "telu/0.5")
    before = weight_gradient(model)

    actlab.fast(model)

    torch.testing.assert_close(weight_gradient(model), before)


@pytest.mark.parametrize(
    "lose",
    [
        lambda spec: passes(parse(spec)),
        lambda spec: cpu.kernel(parse(spec)).forward(X),
        lambda spec: gpu.kernel(parse(spec)).text,
        lambda spec: SlimLayer(spec, "bits"),
        lambda spec: actlab.mixed(["relu", spec]),
        lambda spec: actlab.ActLinear(spec, nn.Linear(8, 2)),
    ],
    ids=["passes", "cpu", "gpu", "slim", "mixed", "act_linear"],
)
def test_what_would_lose_it_refuses(lose):
    with pytest.raises(ActlabError):
        lose("relu/rect")


def test_what_a_forward_function_keeps_is_not_said_of_a_rule():
    assert saved_for_backward("relu") is not None
    assert saved_for_backward("relu/jam") is None


def test_gain_and_facts_are_those_of_the_forward_function():
    assert actlab.gain("step/rect") == actlab.gain("step")
    assert actlab.facts("step/rect") == actlab.facts("step")


@pytest.mark.parametrize("check", RULE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", rules())
def test_every_rule_passes_its_conformance_checks(check, name):
    spec = {"grad": "relu/grad(silu)", "through": "dorefa/through", "ewgs": "dorefa/ewgs"}.get(name, f"sigmoid/{name}")

    check(spec)


def test_the_checks_find_a_surrogate_that_is_another_function():
    @actlab.rule(paper="a test", surrogate=lambda x: x**3)
    def cube(x):
        """Not the derivative of the cube."""
        return x**2

    try:
        with pytest.raises(AssertionError):
            RULE_CHECKS[1]("relu/cube")
    finally:
        from actlab.functions.rule import forget_rule

        forget_rule("cube")


def test_a_learned_rule_in_a_model_is_trained():
    model = net()
    actlab.swap_(model, "step/arctan(alpha=learned)")
    names = [name for name, _ in model.named_parameters() if "alpha" in name]
    weight_gradient(model)

    assert names == ["1.arctan_alpha", "3.arctan_alpha"]
    assert all(dict(model.named_parameters())[name].grad is not None for name in names)


def test_a_gradient_reaches_weights_through_steps_only_by_a_rule():
    plain, ruled = net(), net()
    actlab.swap_(plain, "step")
    actlab.swap_(ruled, "step/clipped")

    assert weight_gradient(plain).abs().sum() == 0
    assert weight_gradient(ruled).abs().sum() > 0
