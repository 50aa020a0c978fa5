"""Modules, classes, functions and records in the place of specs, and hints for what is none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.errors import PlanError, SpecError, UnknownNameError
from actlab.functions.grammar import parse
from actlab.studies.arm import parse_arm


class Gated(nn.Module):
    """SiLU as a user writes it."""

    def forward(self, x):
        return x * torch.sigmoid(x)


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (nn.ReLU, "relu"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
        (nn.LeakyReLU(0.2), "leaky_relu(negative_slope=0.2)"),
        (nn.PReLU(), "prelu"),
        (torch.tanh, "tanh"),
        (F.leaky_relu, "leaky_relu"),
        (torch.Tensor.sigmoid, "sigmoid"),
        (Gated, "silu"),
        (Gated(), "silu"),
        (actlab.get("elu"), "elu"),
        (actlab.parse("elu(0.5)"), "elu(alpha=0.5)"),
        (actlab.layer("swish(beta=3)"), "swish(beta=3)"),
    ],
)
def test_an_object_that_is_an_activation_is_a_spec_and_an_arm(value, spec):
    assert str(parse(value)) == spec
    assert parse_arm(value).label == spec
    assert str(actlab.layer(value).spec) == spec


@pytest.mark.parametrize("value", [None, 3, ["relu"], {"relu"}])
def test_a_value_that_is_none_is_told(value):
    with pytest.raises(SpecError, match="An activation spec is"):
        parse(value)


@pytest.mark.parametrize("arms", ["relu", None, 5, nn.ReLU, nn.ReLU(), torch.relu])
def test_one_arm_instead_of_a_list_is_told(arms):
    with pytest.raises(PlanError, match="The arms are a list of at least two"):
        actlab.compare("digits", arms)


@pytest.mark.parametrize("specs", ["relu", None, nn.ReLU])
@pytest.mark.parametrize("function", [actlab.mixed, actlab.calibrate])
def test_one_spec_instead_of_a_list_is_told(function, specs):
    if specs is None and function is actlab.calibrate:
        pytest.skip("None means all of them")
    with pytest.raises(SpecError, match="The activations are a list"):
        function(specs)


@pytest.mark.parametrize("function", [actlab.get, actlab.get_rule])
@pytest.mark.parametrize("name", [None, 3, nn.ReLU, ["relu"]])
def test_a_name_that_is_no_text_is_told(function, name):
    with pytest.raises(UnknownNameError, match="A name is a text"):
        function(name)


def test_the_repr_is_the_spec():
    assert repr(parse("elu(0.5)")) == "Spec('elu(alpha=0.5)')"
    assert repr(parse("step/rect(-1, 1)").backward) == "Backward('rect(lower=-1, upper=1)')"
    assert repr(actlab.get("gelu")) == "Activation('gelu', elementwise, 'arXiv:1606.08415')"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nn.GELU", "Did you mean 'gelu'?"),
        ("torch.nn.LeakyReLU(0.1)", "Did you mean 'leaky_relu(0.1)'?"),
        ("F.hardswish", "Did you mean 'hard_swish'?"),
        ("nn.GELU(approximate='tanh')", "gelu_tanh"),
        ("gelu(approximate=tanh)", "gelu_tanh"),
        ("relu(inplace=True)", "layers compute in place where that is safe"),
        ("prelu(num_parameters=3)", "learned_per_channel"),
        ("relu,gelu", "relu gelu on the command line, ['relu', 'gelu'] in Python"),
        ("leaky_relu(0.1),elu(alpha=2)", "leaky_relu(0.1) elu(alpha=2) on the command line"),
        ("relu and gelu", "relu gelu on the command line"),
        ("gelu(", "A parenthesis is not closed."),
        ("gelu)", "A parenthesis is not opened."),
    ],
)
def test_text_of_other_libraries_and_several_specs_have_a_hint(text, hint):
    with pytest.raises(SpecError) as caught:
        parse(text)

    assert hint in str(caught.value)


@pytest.mark.parametrize(("name", "first"), [("LeakyReLU", "leaky_relu"), ("rleu", "relu"), ("gleu", "gelu")])
def test_the_nearest_name_comes_first(name, first):
    with pytest.raises(UnknownNameError) as caught:
        parse(name)

    assert caught.value.near[0] == first
