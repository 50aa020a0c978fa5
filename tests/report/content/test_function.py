"""Sentences about cost, accuracy, equivalent functions and empty query results."""

from __future__ import annotations

from math import inf

import pytest

from actlab.bench.float32_accuracy import InaccurateRegion
from actlab.bench.operation_cost import Cost
from actlab.functions.analysis.affine_equivalence import Relation
from actlab.functions.analysis.equivalence_classes import Equivalences
from actlab.functions.analysis.query import query
from actlab.report.content.function import cost_sentences, equation, nothing_found, related, same_page, trap_sentences

TANH = Relation(function="sigmoid", other="tanh", a=0.5, b=0.5, d=0.5)
SOFTCAP = Relation(function="softcap", other="tanh", a=30.0, b=1 / 30)
SHRINK = Relation(function="tanhshrink", other="tanh", a=-1.0, c=1.0)
CASE = Relation(function="relu", other="leaky_relu(negative_slope=0)")


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (TANH, "sigmoid(x) = 0.5 tanh(0.5 x) + 0.5"),
        (SHRINK, "tanhshrink(x) = −tanh(x) + x"),  # noqa: RUF001 the sign of mathematics
        (CASE, "relu(x) = leaky_relu(negative_slope=0)(x)"),
        (Relation(function="f", other="g", b=-1.0, c=-2.0, d=-1.5), "f(x) = g(−x) − 2 x − 1.5"),  # noqa: RUF001 as above
    ],
)
def test_a_relation_reads_as_an_equation(one, text):
    assert equation(one) == text


def test_relatives_come_own_equations_first():
    found = Equivalences(classes=((SOFTCAP, TANH),), cases=(CASE,))

    assert [one["name"] for one in related(found, "sigmoid")] == ["tanh", "softcap"]
    assert [one["name"] for one in related(found, "tanh")] == ["softcap", "sigmoid"]
    assert [one["name"] for one in related(found, "leaky_relu")] == ["relu"]
    assert related(found, "gelu") == []


def test_the_page_of_relatives_has_every_equation():
    page = same_page(Equivalences(classes=((SOFTCAP, TANH),), cases=(CASE,)))

    assert all(equation(one) in page for one in (SOFTCAP, TANH, CASE))
    assert "- **tanh**" in page


def _trap(**changes):
    return InaccurateRegion(
        **{"part": "value", "low": 88.75, "high": inf, "finite": False, "truth": 1e4, "error": inf, "here": 3e-8}
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "above 88.8 the value is not finite (true magnitude at most 1e+04); ActLab's is accurate to 1e−07"),  # noqa: RUF001 as above
        ({"low": -inf, "high": -20.0}, "below −20 the value"),  # noqa: RUF001 as above
        ({"low": 0.0, "high": 0.0}, "at 0 the value"),
        ({"low": -2.0, "high": 3.0}, "from −2 to 3 the value"),  # noqa: RUF001 as above
        ({"low": -inf, "high": inf}, "nearly everywhere the value"),
        ({"part": "gradient"}, "the gradient is not finite"),
        ({"here": inf}, "; nor is ActLab's"),
        ({"here": 0.25}, "; ActLab's has 0.25"),
        ({"finite": True, "error": 1.5}, "has a relative error of 1.5 (magnitude"),
    ],
)
def test_a_trap_says_where_what_and_what_happens_here(changes, says):
    (sentence,) = trap_sentences([_trap(**changes)])

    assert says in sentence


def test_a_cost_begins_with_its_class():
    cost = Cost(forward=("exp", "exp", "log1p"), backward=("sigmoid",), kernels=(1, 2), traffic=(2, 3))

    assert cost_sentences(cost) == [
        "three transcendentals (2 exp, log1p)",
        "derivative: sigmoid",
        "1 kernel forward and 2 kernels backward in eager torch",
        "a training step moves at least 20 bytes per element in float32: 2 elements forward, 3 backward",
    ]


def test_an_empty_answer_names_the_condition_that_costs_most():
    text = nothing_found(query(lower=0, upper=1, monotone=True, slope=0.01))

    assert text.startswith(
        "No activation meets all conditions: never falls; never below 0; never above 1; slope at most 0.01."
    )
    assert 'Without "slope at most 0.01", ' in text


def test_an_empty_answer_that_one_condition_does_not_explain_tells_all():
    text = nothing_found(query("no such words", slope=0.0001, upper=-100, family="gated"))

    assert "or all but one" in text
    assert f"of family gated: {len(query(family='gated').names)}" in text
