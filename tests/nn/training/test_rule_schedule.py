"""Rule schedules: curves against closed forms, the value used in the backward pass, and resuming from a checkpoint."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
import torch
from torch import nn

from actlab.errors import LayerError, SpecError
from actlab.functions.formula.evaluate import numeric
from actlab.functions.rule import get_rule
from actlab.nn.layers.binary import BinaryLinear
from actlab.nn.layers.layer import layer
from actlab.nn.training.rule_schedule import SHARPNESS, Geometric, Schedule, Straight, ede, reste, sharpness


def test_ede_goes_from_a_thousandth_to_ten_on_a_logarithmic_scale():
    net = nn.Sequential(layer("sign/ede"))
    schedule = ede(net, total=8)
    seen = []
    for _ in range(9):
        seen.append(net[0].rule_parameters["t"])
        schedule.step()

    expected = [10 ** (-3 + 4 * step / 8) for step in range(9)]
    assert seen == pytest.approx(expected, rel=1e-6)  # a schedule's value is held in float32


def test_reste_follows_its_cosine():
    net = nn.Sequential(layer("sign/reste"))
    schedule = reste(net, total=10, end=3.0)
    for step in range(11):
        assert net[0].rule_parameters["o"] == pytest.approx(1 + (1 - math.cos(math.pi / 2 * step / 10)) * 2, rel=1e-6)
        schedule.step()
    assert schedule.value == 3.0  # and stays


def test_the_gradient_is_that_of_the_value_at_the_forward_pass():
    net = nn.Sequential(layer("sign/ede"))
    schedule = Schedule(net, "t", total=1, curve=Straight(start=0.5, end=4.0))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)

    y = net(x)
    schedule.step()  # goes on before the backward pass
    y.sum().backward()

    t = 0.5
    expected = max(1 / t, 1) * t * (1 - np.tanh(t * x.detach().numpy()) ** 2)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


def test_every_layer_with_the_rule_follows_and_no_other():
    deep = nn.ModuleDict(
        {
            "a": nn.Sequential(layer("sign/ede")),
            "b": nn.ModuleList([BinaryLinear(2, 2, weights="sign/ede"), layer("step/arctan")]),
        }
    )

    schedule = ede(deep, total=4)

    assert schedule.paths == ("a.0", "b.0.binariser")
    schedule.step()
    assert deep["b"][0].binariser.rule_parameters["t"] == deep["a"][0].rule_parameters["t"] == pytest.approx(0.01)
    assert deep["b"][1].rule_parameters == {"alpha": 2.0}


def test_restoring_sets_the_values_in_the_layers_again():
    first, second = (nn.Sequential(layer("sign/ede")) for _ in range(2))
    going = ede(first, total=10)
    for _ in range(7):
        going.step()

    resumed = ede(second, total=99)
    assert second[0].rule_parameters["t"] == pytest.approx(1e-3)
    resumed.load_state_dict(going.state_dict())

    assert second[0].rule_parameters == first[0].rule_parameters
    going.step()
    resumed.step()
    assert second[0].rule_parameters == first[0].rule_parameters


def test_a_state_of_something_else_is_refused():
    schedule = ede(nn.Sequential(layer("sign/ede")), total=2)
    other = reste(nn.Sequential(layer("sign/reste")), total=2)

    with pytest.raises(LayerError, match="The state is of 'o' of reste, this schedule of 't' of ede"):
        schedule.load_state_dict(other.state_dict())
    with pytest.raises(LayerError, match="Not the state of a schedule: parameter, rule, total, done missing"):
        schedule.load_state_dict({"lr": 1})


def test_what_cannot_be_scheduled_is_said():
    net = nn.Sequential(layer("step/rect"), nn.ReLU())
    with pytest.raises(
        LayerError, match=r"no layer whose rule is ede and has a parameter 't'; its layers with a rule are: step/rect"
    ):
        ede(net, total=3)
    with pytest.raises(LayerError, match="are: none"):
        Schedule(nn.ReLU(), "k", total=1, curve=Straight(start=1, end=2))
    with pytest.raises(LayerError, match="has no parameter 'k' that can be set"):
        Schedule(layer("step/sigmoid(k=learned)"), "k", total=1, curve=Straight(start=1, end=2))
    with pytest.raises(SpecError, match="a number above 0"):
        Schedule(layer("step/sigmoid"), "k", total=1, curve=Straight(start=-1, end=2))
    for total in (0, 2.5, True):
        with pytest.raises(LayerError, match="whole number of steps"):
            ede(nn.Sequential(layer("sign/ede")), total=total)
    with pytest.raises(LayerError, match="gives nan after 0 of 1"):
        Schedule(layer("step/sigmoid"), "k", total=1, curve=lambda _: math.nan)
    with pytest.raises(LayerError, match="positive number"):
        Geometric(start=0.0, end=1.0)


@pytest.mark.parametrize("name", SHARPNESS)
def test_twice_the_sharpness_is_the_same_curve_at_half_the_width(name):
    rule = get_rule(name)
    f = numeric(rule.expression, [sympy.Symbol("x", real=True)], [p.symbol for p in rule.parameters])
    x = np.linspace(-3, 3, 61)
    values = {p.name: np.float64(p.default) for p in rule.parameters}
    twice = values | {SHARPNESS[name]: 2 * values[SHARPNESS[name]]}

    narrow, wide = (
        f(at, *given.values()) / f(np.array([0.0]), *given.values()) for at, given in ((x, twice), (2 * x, values))
    )

    np.testing.assert_allclose(narrow, wide, rtol=1e-9, atol=1e-12)


def test_sharpness_warms_up_to_the_value_of_the_spec():
    net = nn.Sequential(layer("step/arctan(alpha=4)"), layer("sign/sigmoid"), layer("step/rect"), BinaryLinear(2, 2))
    schedules = sharpness(net, 2, start=0.25)
    assert [net[0].rule_parameters["alpha"], net[1].rule_parameters["k"]] == [1.0, 1.0]
    for schedule in schedules * 2:
        schedule.step()
    assert [net[0].rule_parameters["alpha"], net[1].rule_parameters["k"]] == [4.0, 4.0]


def test_sharpness_refuses_what_it_cannot_do():
    with pytest.raises(LayerError, match="no rule with a sharpness"):
        sharpness(nn.Sequential(layer("step/rect")), 2, start=0.5)
    with pytest.raises(LayerError, match=r"different values of alpha: \[1.0, 2.0\]"):
        sharpness(nn.Sequential(layer("step/arctan"), layer("step/arctan(alpha=1)")), 2, start=0.5)
