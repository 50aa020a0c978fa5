"""Activation records and their registry."""

from __future__ import annotations

import math

import pytest
import torch

from actlab.errors import DuplicateNameError, UnknownNameError
from actlab.functions.activation import Claims, Learned, activation, forget, get, learned, names
from actlab.functions.formula import exp, sigmoid, tanh
from actlab.functions.rule import forget_rule, get_rule, rule
from actlab.nn.layers.layer import layer
from actlab.testing.activation_checks import CHECKS, reason_to_skip
from actlab.testing.complex_checks import COMPLEX_CHECKS


@pytest.fixture
def registered():
    """Register a function for one test and remove it afterwards."""
    added = []

    def add(function, **facts):
        record = activation(paper="a test", **facts)(function)
        added.append(record.name)
        return record

    yield add
    for name in added:
        forget(name)


def test_the_signature_gives_parameters_defaults_and_learning(registered):
    def act(x, a=2.0, b=learned(0.5)):
        """Does something."""
        return a * x * sigmoid(b * x)

    record = registered(act)

    assert [(p.name, p.default, p.learned) for p in record.parameters] == [("a", 2.0, False), ("b", 0.5, True)]
    assert [name for name, _ in layer("act").named_parameters()] == ["b"]
    assert layer("act").spec.values == {"a": 2.0, "b": Learned(0.5)}


def test_a_name_or_alias_that_is_taken_is_refused_and_changes_nothing(registered):
    before = names()

    def gelu(x):
        """Another."""
        return x

    for options in ({}, {"aliases": ("relu",)}):
        with pytest.raises(DuplicateNameError, match="is taken by the activation"):
            registered(gelu, **options)

    assert before == names()


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'mish'") as raised:
        get("mihs")

    assert raised.value.near[0] == "mish"


def test_an_unknown_kind_names_the_kinds():
    with pytest.raises(UnknownNameError, match="elementwise, gated, vector, stochastic"):
        names("scalar")


def test_aliases_are_the_same_record():
    assert get("quick_gelu") is get("gelu_sigmoid")
    assert "quick_gelu" not in names()


def test_the_family_is_the_module_that_defines_it():
    assert get("softshrink").family == "shrinkage"
    assert {get(name).family for name in names("gated")} == {"gated"}


def test_a_function_of_two_lines_gets_every_check(registered):
    def twice_tanh(x):
        """Twice the hyperbolic tangent."""
        return 2 * tanh(x)

    registered(twice_tanh, claims=Claims(lower=-2.0, upper=2.0, monotone=True, smoothness=math.inf))

    applied = [check for check in CHECKS if reason_to_skip(check, "twice_tanh") is None]
    for check in applied:
        check("twice_tanh")
    # all but those of complex functions and the comparison with a native, which it does not have
    assert len(applied) == len(CHECKS) - len(COMPLEX_CHECKS) - 1


def test_wrong_claims_wrong_natives_and_wrong_slopes_are_caught(registered):
    from actlab.testing.activation_checks import (
        claims_hold,
        derivative_agrees_with_finite_differences,
        formula_agrees_with_the_native,
    )

    def wrong_claim(x):
        """Claims to be bounded below by -1."""
        return x * sigmoid(x)

    def wrong_native(x):
        """Says that torch has it, but torch's differs by 0.1 %."""
        return 1.001 * tanh(x)

    registered(wrong_claim, claims=Claims(lower=-1.0))
    registered(wrong_native, torch="torch.tanh")

    with pytest.raises(AssertionError, match=r"lower is claimed to be -1\.0"):
        claims_hold("wrong_claim")
    with pytest.raises(AssertionError):
        formula_agrees_with_the_native("wrong_native")
    original = exp.slope
    exp.slope = staticmethod(lambda x: (2 * exp(x),))  # a primitive with a wrong derivative
    try:

        def wrong_slope(x):
            """Uses it."""
            return x * exp(-x / 7)

        registered(wrong_slope)
        with pytest.raises(AssertionError):
            derivative_agrees_with_finite_differences("wrong_slope")
    finally:
        exp.slope = original


@pytest.mark.parametrize("factor", [1, 2])  # the second definition is to find nothing of the first
def test_a_function_redefined_under_its_name_is_another_one(factor):
    @activation(paper="a notebook")
    def notebook_cell(x):
        """A line that is edited and run again."""
        return factor * x

    try:
        assert layer("notebook_cell")(torch.ones(1)).item() == factor
    finally:
        forget("notebook_cell")


def test_without_options_the_decorators_need_no_parentheses():
    @activation
    def bare_gate(x, k=2.0):
        """Gates its input."""
        return x * sigmoid(k * x)

    @rule
    def bare_third(x):
        """A third of the gradient."""
        return 1 / (3 + 0 * x)

    assert get("bare_gate") is bare_gate
    assert get_rule("bare_third") is bare_third
    assert (bare_gate.doc, bare_gate.kind) == ("Gates its input.", "elementwise")
    forget("bare_gate")
    forget_rule("bare_third")
