"""Queries against well-known properties, and against the facts of single activations."""

from __future__ import annotations

from dataclasses import fields
from math import inf, nan

import numpy as np
import pytest
from scipy import integrate, special, stats

from actlab.errors import QueryError, SpecError, UnknownNameError
from actlab.functions.activation import get, names
from actlab.functions.analysis.facts import facts
from actlab.functions.analysis.query import Criteria, CriteriaOptions, query


@pytest.mark.parametrize(
    ("asked", "yes", "no"),
    [
        ({"monotone": True}, {"relu", "tanh", "step"}, {"gelu", "square", "swiglu"}),
        ({"monotone": False}, {"gelu", "square"}, {"relu", "softmax"}),
        ({"lower": 0}, {"relu", "square", "sigmoid"}, {"tanh", "gelu"}),
        ({"upper": 1}, {"tanh", "sigmoid", "hardtanh"}, {"relu", "relu6"}),
        ({"bounded": True}, {"tanh", "relu6"}, {"relu"}),
        ({"bounded": False}, {"relu"}, {"tanh"}),
        ({"smooth": 0}, {"relu", "tanh"}, {"step", "hardshrink"}),
        ({"smooth": 1}, {"tanh", "squared_relu", "elu"}, {"relu", "selu"}),
        ({"smooth": inf}, {"tanh", "gelu"}, {"elu", "squared_relu"}),
        ({"zero": True}, {"relu", "tanh"}, {"sigmoid", "cosine"}),
        ({"zero": False}, {"sigmoid"}, {"tanh"}),
        ({"slope": 1}, {"relu", "tanh"}, {"gelu", "square", "step"}),
        ({"kind": "gated"}, {"swiglu"}, {"relu"}),
        ({"family": "shrinkage"}, {"softshrink"}, {"relu"}),
        ({"learned": True}, {"prelu"}, {"relu", "leaky_relu"}),
        ({"learned": False}, {"relu", "leaky_relu", "swiglu"}, {"prelu"}),
        ({"native": True}, {"gelu", "prelu"}, {"golu"}),
        ({"native": False}, {"golu"}, {"gelu"}),
        ({"text": "quick_gelu"}, {"gelu_sigmoid"}, {"gelu_tanh"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_each_condition_keeps_what_has_it_and_drops_what_has_not(asked, yes, no):
    result = set(query(**asked).names)

    assert yes <= result
    assert not no & result


def test_conditions_add_up_and_the_answer_is_sorted():
    result = query(monotone=True, lower=0.0, smooth=1)

    assert result.names == sorted(result.names)
    for record in result.records:
        measured = facts(record.name)
        assert measured.monotone
        assert measured.lower >= -1e-9
        assert measured.smoothness >= 1


def test_without_a_condition_everything_is_found():
    assert query().names == names()


def test_an_empty_answer_says_how_many_meet_each_and_all_but_one():
    result = query(lower=0, upper=1, slope=0.01, monotone=True, smooth=inf)

    assert result.records == ()
    assert result.without["slope at most 0.01"] == len(query(lower=0, upper=1, monotone=True, smooth=inf).records) > 0
    assert result.alone["never below 0"] == len(query(lower=0).records)


def test_what_is_most_alike_comes_first_by_the_distance_under_a_normal():
    result = query(like="gelu", native=True)

    assert result.names[0] == "gelu_tanh"
    assert "gelu" not in result.names
    distances = [result.distance[name] for name in result.names]
    assert distances == sorted(distances)

    def squared(z):
        return (z * special.expit(z) - z * stats.norm.cdf(z)) ** 2 * stats.norm.pdf(z)

    assert result.distance["silu"] == pytest.approx(np.sqrt(integrate.quad(squared, -12, 12)[0]), rel=1e-6)


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"kind": "gate"}, UnknownNameError, "Did you mean 'gated'"),
        ({"family": "shrinkige"}, UnknownNameError, "Did you mean 'shrinkage'"),
        ({"like": "gelo"}, UnknownNameError, "Did you mean 'gelu'"),
        ({"like": "swiglu"}, SpecError, "swiglu is a gated function"),
        ({"lower": nan}, QueryError, "lower is NaN"),
        ({"lower": 2, "upper": 1}, QueryError, "lower is 2 and upper is 1"),
        ({"slope": -1}, QueryError, "slope is -1"),
        ({"smooth": -2}, QueryError, "smooth is -2"),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_question_without_sense_is_refused(asked, error, says):
    with pytest.raises(error, match=says):
        query(**asked)


def test_criteria_as_a_record_and_as_options_give_the_same_result():
    criteria = Criteria(monotone=True, lower=0.0, smooth=1)

    assert query(criteria=criteria) == query(monotone=True, lower=0.0, smooth=1)
    assert query(criteria=criteria, smooth=0) == query(monotone=True, lower=0.0, smooth=0)


def test_an_option_that_does_not_exist_names_the_nearest():
    with pytest.raises(TypeError, match="unknown option 'monoton'"):
        query(monoton=True)


def test_options_and_criteria_have_the_same_fields_and_types():
    assert {field.name: field.type for field in fields(Criteria)} == {
        name: annotation.__forward_arg__ for name, annotation in CriteriaOptions.__annotations__.items()
    }


def test_the_facts_that_are_asked_for_belong_to_the_defaults():
    assert get("swish") in query(smooth=inf, native=False).records
