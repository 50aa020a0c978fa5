"""List of gradient rules, and views of specs with a rule."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from actlab.functions.grammar import parse
from actlab.functions.rule import rules
from actlab.nn.probes.response_curves import picture
from actlab.report.content.rule import backward_of, rule_entries
from actlab.report.terminal.activation import activation_view
from actlab.report.terminal.rule import rule_table


def shown(what) -> str:
    console = Console(width=80, file=None, record=True, quiet=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_the_list_has_every_rule_once_and_is_json():
    found = rule_entries()

    assert [one["name"] for one in found] == rules()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(len(line) <= 80 for line in shown(rule_table(found)).splitlines())


@pytest.mark.parametrize(
    ("spec", "keeps", "mean", "area"),
    [
        ("step/rect", "1 bit per element", 0.38292, 1.0),
        ("sigmoid/1", "nothing", 1.0, None),
        ("relu/jam", "nothing", 0.5, None),
        ("sign/clipped(c=2)", "1 bit per element", 0.9545, 4.0),
        ("sign/arctan", "its input", None, 1.0),
        ("step/leaky_spike", "its output", None, None),
        ("dorefa/ewgs", "its input and its output", None, None),
        ("step/sigmoid(k=learned)", "its input, and what learned parameters need", None, 1.0),
        ("log_sigmoid/grad(leaky_relu(0.5))", "1 bit per element", 0.75, None),
    ],
)
def test_what_is_said_of_a_backward(spec, keeps, mean, area):
    data = backward_of(parse(spec))

    assert data["keeps"] == keeps
    assert mean is None or data["mean"] == pytest.approx(mean, abs=1e-4)
    assert data["area"] == (None if area is None else pytest.approx(area, abs=1e-6))


def test_a_card_shows_forward_and_backward():
    data, drawn = activation_view("step/rect")
    text = shown(drawn)

    assert data["backward"]["spec"] == "rect"
    assert data["kept"] is None
    assert "backward: rect" in text
    assert "1 bit per element" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert activation_view("step")[0]["backward"] is None


def test_the_picture_of_a_noisy_rule_has_its_spread():
    forward, backward = picture("relu/jam", points=9)

    assert forward.curves["f"][-1] == 4.0
    low, high = backward.band
    assert all(0.05 < value < 0.15 for value in low)
    assert all(0.85 < value < 0.95 for value in high)
    assert picture("step/rect", points=9)[1].curves["f"] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
