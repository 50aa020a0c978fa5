"""Strength reduction: the same values with fewer transcendental calls; less accurate rewrites are rejected."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from actlab.functions.activation import get, names
from actlab.functions.formula import (
    Primitive,
    canonical,
    capped,
    derivative,
    exp,
    expm1,
    minimum,
    reciprocal,
    sigmoid,
    softplus,
    strength_reduction,
    tanh,
    where,
)
from actlab.functions.formula.evaluate import NAMES, stabilize
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.formula.strength_reduction import reduce_strength

X = sympy.Symbol("x", real=True)
CHEAP = {"clamped", "capped", "tamed", "reciprocal", "where", "maximum", "minimum", "absolute", "sign", "rounded"}
POINTS = np.concatenate([np.linspace(-30, 30, 1201) + 1e-3, [-1e30, -1e4, -300, 300, 1e4, 1e30, -np.inf, np.inf]])


def forms(name: str):
    """Return the stabilized value and derivatives in the inputs, at the default parameters, and the inputs."""
    record = get(name)
    formula = record.formula.xreplace({p.symbol: sympy.Float(p.default, 17) for p in record.parameters})
    plain = [formula, *(canonical(derivative(formula, symbol)) for symbol in record.inputs)]
    return [stabilize(part, record.inputs) for part in plain], record.inputs


def evaluated(expression, inputs, values):
    """Return the values of a stabilized expression."""
    function = compile_source(function_source("formula", inputs, expression, "numpy"), "formula", NAMES)
    return np.asarray(function(*values)) + np.zeros_like(values[0])


def transcendentals(expressions) -> int:
    """Return the number of distinct transcendental calls; the exponential inside softplus counts too."""
    inside = {"softplus": 2, "logsigmoid": 2}
    nodes = sympy.Tuple(*expressions).atoms(Primitive)
    shared = {n.args[0] for n in nodes if isinstance(n, exp)}  # expm1 of the same argument is one more addition
    return sum(
        inside.get(type(n).__name__, 1)
        for n in nodes
        if type(n).__name__ not in CHEAP and not (isinstance(n, expm1) and n.args[0] in shared)
    )


@pytest.mark.parametrize("name", names("elementwise") + names("gated"))
def test_what_is_rewritten_is_the_same_number_and_costs_no_more(name):
    plain, inputs = forms(name)
    rewritten = reduce_strength(plain, inputs)
    values = [POINTS, *(np.clip(POINTS[::-1], -50, 50) for _ in inputs[1:])]

    assert transcendentals(rewritten) <= transcendentals(plain)
    for old, new in zip(plain, rewritten, strict=True):
        if old == new:
            continue
        with np.errstate(all="ignore"):
            want, got = (evaluated(part, inputs, values) for part in (old, new))
        known = np.isfinite(want)
        np.testing.assert_allclose(got[known], want[known], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("mish", 6, 1), ("silu", 2, 1), ("tanh", 3, 1), ("gelu_tanh", 2, 1), ("swiglu", 2, 1), ("telu", 5, 2)],
)
def test_value_and_slope_share_one_exponential(name, before, after):
    plain, inputs = forms(name)
    slope = reduce_strength(plain[1:2], inputs)

    assert transcendentals(plain) >= before
    assert transcendentals(slope) == after


def test_tanh_of_softplus_is_one_exponential_and_one_division():
    (reduced,) = reduce_strength([X * tanh(softplus(X))], [X])

    assert {node for node in reduced.atoms(Primitive) if isinstance(node, exp)} == {exp(capped(X, 2))}
    assert len(reduced.atoms(reciprocal)) == 1
    assert not reduced.has(tanh, softplus)


def test_a_single_sigmoid_stays():
    assert reduce_strength([sigmoid(X)], [X]) == [sigmoid(X)]


def test_a_guarded_branch_becomes_a_minimum():
    assert reduce_strength([exp(where(X > 0, 0, X))], [X]) == [exp(minimum(X, 0))]


def test_denominators_of_parameters_are_inverted_once_for_the_whole_tensor():
    beta = sympy.Symbol("beta", real=True)

    assert reduce_strength([X / beta], [X]) == [X * reciprocal(beta)]


def test_a_rewriting_that_loses_digits_or_overflows_is_not_taken(monkeypatch):
    def inaccurate(expressions):
        # infinity over infinity from 355 on
        return expressions.xreplace({tanh(X): (exp(2 * X) - 1) / (exp(2 * X) + 1)})

    monkeypatch.setattr(strength_reduction, "_simplify", inaccurate)

    assert reduce_strength([tanh(X)], [X]) == [tanh(X)]


def test_a_rewriting_to_another_function_is_not_taken(monkeypatch):
    monkeypatch.setattr(
        strength_reduction, "_simplify", lambda expressions: expressions.xreplace({tanh(X): 1 - tanh(X)})
    )

    assert reduce_strength([tanh(X)], [X]) == [tanh(X)]
