"""Views of activations and query results, as data and for the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

import actlab
from actlab.errors import SpecError, UnknownNameError
from actlab.functions.analysis.query import query
from actlab.report.content.activation import entries
from actlab.report.terminal.activation import activation_table, activation_view, query_view


def _shown(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("name", actlab.names())
def test_every_activation_has_a_card_that_is_valid_json(name):
    data, drawn = activation_view(name)

    assert json.loads(json.dumps(data, allow_nan=False))["name"] == name
    assert _shown(drawn).startswith(name)


def test_a_card_shows_measured_facts_beside_the_claims():
    text = _shown(activation_view("gelu")[1])

    assert [line.split() for line in text.splitlines() if line.startswith("infimum")] == [
        ["infimum", "-0.16997", "-0.16997"]
    ]
    assert "gain" in text
    assert "torch.nn.functional.gelu" in text


def test_a_card_of_a_spec_measures_at_its_values():
    data, _ = activation_view("leaky_relu(0.2)")

    assert data["spec"] == "leaky_relu(negative_slope=0.2)"
    assert data["gain"] == pytest.approx(actlab.gain("leaky_relu(0.2)"))


def test_a_gated_function_has_a_gain_and_no_facts():
    data, _ = activation_view("swiglu")

    assert (data["facts"], data["derivative"]) == ({}, None)
    assert data["gain"] == pytest.approx(actlab.gain("swiglu"))


def test_a_vector_function_has_neither():
    data, drawn = activation_view("softmax")

    assert (data["gain"], data["formula"], data["latex"]) == (None, None, None)
    assert "(tensor code)" in _shown(drawn)


def test_infinite_facts_are_texts_because_json_has_no_infinity():
    assert activation_view("relu")[0]["facts"]["upper"] == "inf"


def test_the_list_has_every_activation_once_with_its_formula():
    found = entries()

    assert [one["name"] for one in found] == actlab.names()
    assert "x*sigmoid(x)" in _shown(activation_table(found), 140)


def test_the_list_of_a_kind_has_only_that_kind():
    assert {one["kind"] for one in entries("gated")} == {"gated"}


def test_an_answer_has_the_facts_and_fits_eighty_columns():
    data, drawn = query_view(query(monotone=True, lower=0, smooth=1))
    text = _shown(drawn, 80)

    assert [one["name"] for one in data["found"]] == query(monotone=True, lower=0, smooth=1).names
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [line.split() for line in text.splitlines() if line.startswith("softplus ")] == [
        ["softplus", "exponential", "0", "∞", "yes", "∞", "1", "no"]
    ]
    assert max(map(len, text.splitlines())) <= 80


def test_an_answer_by_likeness_says_how_far_apart():
    text = _shown(query_view(query(like="gelu", native=True))[1])

    assert [line.split()[:2] for line in text.splitlines()[1:2]] == [["gelu_tanh", "0.000129"]]


def test_a_card_tells_cost_traps_relatives_and_other_libraries():
    data, drawn = activation_view("softplus")
    text = " ".join(_shown(drawn).split())

    assert data["cost"][0] == "two transcendentals (exp, log1p)"
    assert any(trap.startswith("above 88.8 the value is not finite") for trap in data["traps"])
    assert "softplus(x) = −logsigmoid(x) + x" in text  # noqa: RUF001 the sign of mathematics
    assert "keras, mlx, tinygrad, burn, ggml, NNlib, coremltools, paddle: softplus" in text


@pytest.mark.parametrize("name", ["swiglu", "softmax", "retention", "rrelu"])
def test_cards_of_other_kinds_have_a_cost_and_a_picture(name):
    data, drawn = activation_view(name)

    assert data["cost"]
    assert (data["traps"], data["same"]) == (None, None)
    assert len(_shown(drawn).splitlines()) > 10


def test_an_unknown_kind_or_name_or_spec_is_refused():
    with pytest.raises(UnknownNameError, match="gated"):
        entries("gate")
    with pytest.raises(UnknownNameError, match="gelu"):
        activation_view("gelo")
    with pytest.raises(SpecError):
        activation_view("gelu(")


def test_the_card_fits_eighty_columns():
    for name in ("gelu", "leaky_relu", "selu"):
        assert max(map(len, _shown(activation_view(name)[1], 80).splitlines())) <= 80
