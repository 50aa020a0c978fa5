"""Modules and functional calls of torch.nn that are registered are recognized, parameters included."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import nn

from actlab.functions.activation import activation, forget, get, names
from actlab.functions.formula import maximum
from actlab.nn.layers.layer import layer
from actlab.nn.recognition.torch_activations import UNKNOWN, describe_call, describe_module, recognise

WITH_MODULE = [name for name in names("elementwise") if get(name).module and name != "identity"]
CALLS = [
    (F.relu, (), {"inplace": True}, "relu"),
    (F.relu6, (), {}, "relu6"),
    (F.leaky_relu, (0.2,), {}, "leaky_relu(negative_slope=0.2)"),
    (F.leaky_relu_, (0.2,), {}, "leaky_relu(negative_slope=0.2)"),
    (F.elu, (), {"alpha": 0.5}, "elu(alpha=0.5)"),
    (F.celu, (2.0,), {}, "celu(alpha=2)"),
    (torch.celu, (2.0,), {}, "celu(alpha=2)"),
    (F.gelu, (), {}, "gelu"),
    (F.gelu, (), {"approximate": "tanh"}, "gelu_tanh"),
    (F.hardtanh, (-2.0, 2.0), {}, "hardtanh(min_val=-2, max_val=2)"),
    (F.threshold, (0.1, 20.0), {}, "threshold(threshold=0.1, value=20)"),
    (F.softplus, (2.0,), {}, "softplus(beta=2)"),
    (F.logsigmoid, (), {}, "logsigmoid"),
    (F.prelu, (torch.tensor([0.25]),), {}, "prelu"),
    (F.prelu, (torch.tensor([0.25, 0.25]),), {}, "prelu(weight=learned_per_channel)"),
    (torch.special.expit, (), {}, "sigmoid"),
    (torch.Tensor.sigmoid_, (), {}, "sigmoid"),
    (torch.Tensor.hardshrink, (0.1,), {}, "hardshrink(lambd=0.1)"),
    (partial(F.elu, alpha=0.5), (), {}, "elu(alpha=0.5)"),
    (F.softmax, (-1,), {}, "softmax"),
    (F.glu, (), {}, "glu"),
]


@pytest.mark.parametrize("name", WITH_MODULE)
def test_every_module_of_torch_is_recognised_as_what_it_computes(name):
    module = eval(get(name).module if "(" in get(name).module else f"{get(name).module}(*{_arguments(name)})")  # noqa: S307 # our own record
    x = torch.linspace(-3, 3, 31)

    running = describe_module(module)

    assert running.name == name
    assert torch.allclose(module(x), layer(running.spec)(x))


def _arguments(name: str) -> tuple[float, ...]:
    """Return a value other than the default for every parameter, so that a dropped parameter is noticed."""
    values = {"hardtanh": (-2.0, 2.5), "threshold": (0.1, 20.0)}
    return values.get(name, (0.37,) if get(name).parameters and name != "prelu" else ())


@pytest.mark.parametrize(("function", "arguments", "keywords", "spec"), CALLS)
def test_calls_are_recognised_with_their_parameters(function, arguments, keywords, spec):
    assert describe_call(recognise(function), arguments, keywords).spec == spec


@pytest.mark.parametrize(
    "function", [torch.add, torch.relu(torch.zeros(1)).relu, F.linear, len, nn.ReLU, torch.clamp, None, "relu"]
)
def test_what_is_no_activation_of_torch_is_not_recognised(function):
    assert recognise(function) is None


def test_what_overwrites_its_input_is_marked():
    marks = {
        f: describe_call(recognise(f), (), k).inplace
        for f, k in [(torch.relu_, {}), (F.relu, {}), (torch.Tensor.tanh_, {})]
    }

    assert marks == {torch.relu_: True, F.relu: False, torch.Tensor.tanh_: True}
    assert describe_call(recognise(F.silu), (), {"inplace": True}).inplace
    assert describe_module(nn.ReLU(inplace=True)).inplace


def test_a_parameter_that_is_known_only_in_a_run_leaves_the_name():
    running = describe_call(recognise(F.leaky_relu), [UNKNOWN], {})

    assert (running.name, running.spec) == ("leaky_relu", None)


def test_a_trained_prelu_is_described_with_its_current_weight():
    module = nn.PReLU(init=0.5)

    assert describe_module(module).spec == "prelu(weight=learned(0.5))"


def test_a_subclass_counts_as_long_as_it_computes_the_same():
    class Named(nn.ELU):
        pass

    class Changed(nn.ELU):
        def forward(self, x):
            return super().forward(x) + 1

    assert describe_module(Named(0.5)).spec == "elu(alpha=0.5)"
    assert describe_module(Changed()) is None


def test_vector_modules_are_known_along_any_dimension():
    assert [describe_module(module).kind for module in (nn.Softmax(dim=1), nn.LogSoftmax(dim=-1), nn.Softmax2d())] == [
        "vector"
    ] * 3


class PlusOne(nn.Module):
    def forward(self, x):
        return torch.relu(x) + 1


class PlusTwo(nn.Module):
    def forward(self, x):
        return torch.relu(x) + 2


def test_an_activation_that_is_registered_redefined_or_forgotten_later_is_known_at_once():
    def described():
        return [describe_module(module) is not None for module in (PlusOne(), PlusTwo())]

    def define(cls):
        @activation(paper="an example", module=f"{__name__}.{cls.__name__}")
        def relu_with_offset(x):
            """Adds a number to ReLU."""
            return maximum(x, 0) + (1 if cls is PlusOne else 2)

    assert described() == [False, False]
    define(PlusOne)
    assert described() == [True, False]
    forget("relu_with_offset")
    define(PlusTwo)
    assert described() == [False, True]
    forget("relu_with_offset")
    assert described() == [False, False]


def test_modules_are_described_without_a_look_up_of_the_whole_registry(monkeypatch):
    describe_module(nn.ReLU())
    looked_up = []
    monkeypatch.setattr("actlab.nn.recognition.torch_activations.get", lambda name: looked_up.append(name) or get(name))

    for module in (nn.ReLU(), nn.Linear(1, 1), nn.GELU()):
        describe_module(module)

    assert looked_up == ["relu", "gelu"]
