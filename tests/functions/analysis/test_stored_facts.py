"""Stored facts and equivalences agree with new measurements of the current formulas."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from actlab.codegen.pytorch import function
from actlab.functions.activation import activation, forget, get, names
from actlab.functions.analysis import stored_facts
from actlab.functions.analysis.facts import facts
from actlab.functions.formula import tanh
from actlab.functions.grammar import parse

ENTRIES = names("elementwise")


def test_every_entry_is_kept_with_the_formula_it_has_today():
    stored = stored_facts._stored()["formulas"]

    assert stored == {name: stored_facts.fingerprint(get(name)) for name in ENTRIES}, "run scripts/measure"


def _measured_again(name):
    again, stored = facts(name), stored_facts.known_facts(get(name))
    assert dataclasses.asdict(stored) == pytest.approx(dataclasses.asdict(again), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ENTRIES[::20])
def test_what_is_kept_is_measured_again(name):
    _measured_again(name)


@pytest.mark.slow  # half a minute; claims_hold measures all of them in the suite as well, against what papers say
@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_kept_is_measured_again_for_every_entry(name):
    _measured_again(name)


def test_a_changed_formula_and_a_function_of_the_users_own_are_measured_anew(monkeypatch):
    wrong = {**stored_facts._stored(), "facts": {"relu": {**vars(facts("gelu"))}}}
    monkeypatch.setattr(stored_facts, "_stored", lambda: wrong)
    assert stored_facts.known_facts(get("relu")).slope_bound > 1  # planted, and believed: the fingerprint is right

    monkeypatch.setattr(stored_facts, "_stored", lambda: {**wrong, "formulas": {"relu": "another"}})
    assert stored_facts.known_facts(get("relu")) == facts("relu")

    @activation(paper="a test")
    def thrice_tanh(x):
        """Three times the hyperbolic tangent."""
        return 3 * tanh(x)

    try:
        assert stored_facts.known_facts(get("thrice_tanh")).upper == 3
    finally:
        forget("thrice_tanh")


def test_relatives_of_a_changed_formula_are_not_told(monkeypatch):
    stored = stored_facts._stored()
    changed = {**stored, "formulas": {**stored["formulas"], "tanh": "another"}}
    monkeypatch.setattr(stored_facts, "_stored", lambda: changed)

    assert stored_facts.known_equivalences().of("tanh") == []
    assert stored_facts.known_equivalences(outdated=True).of("tanh"), "they are there to be verified again"


def _values(text, x):
    spec = parse(text)
    return function(spec.activation, tuple(spec.numbers.items()))(x)


def _error(one):
    """Return the largest error of a relation in float64, by the torch code, which the search did not use."""
    near, far = (
        torch.linspace(-7, 7, 1001, dtype=torch.float64) + 0.00317,
        torch.logspace(-8, 3, 200, dtype=torch.float64),
    )
    x = torch.cat([near, far, -far])
    got = one.a * _values(one.other, one.b * x)
    want = _values(one.function, x)
    size = torch.stack([torch.ones_like(x), got.abs(), want.abs(), (one.c * x).abs()]).amax(0)
    error = (want - got - one.c * x - one.d).abs() / size
    return float(error[want.isfinite() & got.isfinite()].max())


def test_every_relation_holds_by_another_program():
    known = stored_facts.known_equivalences()
    every = [*(one for members in known.classes for one in members), *known.cases]

    assert len(every) > 150
    assert {(one.function, one.other): error for one in every if (error := _error(one)) > 2e-12} == {}


def test_that_check_finds_a_relation_that_is_wrong():
    one = stored_facts.known_equivalences().classes[0][0]

    assert _error(dataclasses.replace(one, a=one.a * (1 + 1e-9))) > 1e-11


def test_entries_that_are_equal_at_all_values_are_one_entry():
    known = stored_facts.known_equivalences()
    equal = [one for members in known.classes for one in members if one.equal]

    twins = [(one.function, one.other) for one in equal if not (parse(one.function).values or parse(one.other).values)]
    assert twins == []


def test_the_relatives_of_one_are_its_class_and_its_cases():
    known = stored_facts.known_equivalences()

    near = {text.partition("(")[0] for one in known.of("tanh") for text in (one.function, one.other)}
    assert {"sigmoid", "tanhshrink"} <= near
    assert known.of("tanh")[0].other == known.of("sigmoid")[0].other
    assert "swish(beta=1.702)" in {one.other for one in known.of("gelu_sigmoid")}
