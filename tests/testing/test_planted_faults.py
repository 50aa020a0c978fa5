"""Wrong activations that the conformance checks must catch.

`pytest tests/testing/test_planted_faults.py -v` names every fault with the check that must catch it; `-rP` prints all checks that did.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.functions.catalogue import test_attention as attention
from tests.functions.catalogue import test_catalogue as catalogue
from tests.functions.catalogue import test_stochastic as stochastic
from tests.testing.faulty_activations import FAULTS

from actlab.functions import formula
from actlab.functions.activation import Claims, Dim, Positive, activation, forget, get
from actlab.functions.formula import sigmoid, where
from actlab.testing import activation_checks as testing

# Tests of an entry besides the checks of actlab.testing: comparison with its definition, by kind.
DEFINITIONS: dict[str, list[Callable[[str], None]]] = {
    "elementwise": [catalogue.test_elementwise_values_agree_with_their_paper_to_float64],
    "gated": [catalogue.test_gated_values_agree_with_their_paper_to_float64],
    "stochastic": [
        stochastic.test_the_mean_over_draws_is_the_expectation,
        stochastic.test_evaluation_takes_the_mean_or_the_mean_noise,
    ],
    "vector": [],
}


@pytest.fixture
def planted(monkeypatch):
    """Register functions for one test, with the definition of a correct entry."""
    added = []

    def plant(function, truth=None, **options):
        record = activation(paper="a test", **options)(function)
        added.append(record.name)
        for definitions in (catalogue.REFERENCES, stochastic.MEANS):
            if truth in definitions:
                monkeypatch.setitem(definitions, record.name, definitions[truth])
        return record

    yield plant
    for name in added:
        forget(name)


def applicable_checks(name, truth):
    """Return the checks of an entry in the test suite: those of actlab.testing that apply, and the comparison with its definition."""
    record = get(name)
    checks = [check for check in testing.CHECKS if testing.reason_to_skip(check, name) is None]
    definitions = DEFINITIONS[record.kind] if truth else []
    causal = [attention.test_causal_forms_do_not_see_later_tokens] if record.mixes_tokens else []
    return [*checks, *definitions, *causal]


def failures(name, truth=None):
    """Return the checks that fail, with the beginning of their messages."""
    messages = {}
    for check in applicable_checks(name, truth):
        try:
            check(name)
        except Exception as error:  # anything that would fail a test
            messages[check.__name__] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        finally:
            torch._dynamo.reset()
    return messages


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.function.__name__}--{fault.caught_by}")
def test_a_planted_fault_is_caught(fault, planted):
    record = planted(fault.function, fault.truth, **fault.options)
    messages = failures(record.name, fault.truth)

    for name, message in messages.items():
        print(f"{record.name} | {name} | {message}")  # noqa: T201 printed by pytest -rP
    assert fault.says in messages.get(fault.caught_by, "not caught")


def right_elu(x, alpha=1.0):
    """As in the catalogue."""
    return where(x > 0, x, alpha * formula.expm1(x))


def right_swiglu(gate, value):
    """As in the catalogue."""
    return gate * sigmoid(gate) * value


def right_softmax(x, temperature: Positive = 1.0, dim: Dim = -1):
    """As in the catalogue."""
    return (x / temperature).softmax(dim)


def right_rrelu(x, lower=0.125, upper=0.3333333333333333, *, training=False):
    """As in the catalogue."""
    slope = lower + (upper - lower) * torch.rand_like(x) if training else (lower + upper) / 2
    return torch.where(x >= 0, x, slope * x)


@pytest.mark.parametrize(
    ("function", "truth", "options"),
    [
        (right_elu, "elu", {}),
        (right_swiglu, "swiglu", {"kind": "gated"}),
        (right_softmax, None, {"kind": "vector", "claims": Claims(simplex=True, equivariant=True)}),
        (right_rrelu, "rrelu", {"kind": "stochastic"}),
    ],
)
def test_the_same_checks_find_nothing_in_a_function_that_is_right(function, truth, options, planted):
    planted(function, truth, **options)

    assert failures(function.__name__, truth) == {}
