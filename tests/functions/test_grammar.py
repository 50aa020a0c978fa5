"""The spec grammar: round trips, and the message of every error."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actlab.errors import SpecError, UnknownNameError
from actlab.functions.activation import Learned, get, names
from actlab.functions.grammar import parse

POSITIVE = st.floats(min_value=1e-6, max_value=1e6, allow_nan=False)
NUMBERS = {
    "fraction": st.floats(min_value=1e-6, max_value=0.999),
    "entropic": st.floats(min_value=1.001, max_value=2),
    "above_one": st.floats(min_value=1.001, max_value=1e6),
    "share": st.floats(min_value=1e-6, max_value=1),
    "count": st.integers(1, 100),
    "dim": st.integers(-4, 4),
    "flag": st.integers(0, 1),
}


def values(parameter):
    numbers = NUMBERS.get(parameter.domain, POSITIVE)
    learned = st.builds(Learned, numbers, st.sampled_from(["layer", "channel"]))
    return st.one_of(numbers, learned) if parameter.learnable else numbers


@st.composite
def texts(draw):
    record = get(draw(st.sampled_from(names())))
    arguments = [f"{p.name}={_word(draw(values(p)))}" for p in record.parameters if draw(st.booleans())]
    return f"{record.name}({', '.join(arguments)})" if arguments else record.name


def _word(value):
    if isinstance(value, Learned):
        return f"{'learned' if value.scope == 'layer' else 'learned_per_channel'}({value.initial!r})"
    return repr(value)


@given(texts())
def test_the_canonical_text_reads_back_as_the_same_spec(text):
    try:
        spec = parse(text)
    except SpecError as error:
        assume("is above" not in str(error))  # an interval drawn the wrong way round
        raise

    assert parse(str(spec)) == spec
    assert str(parse(str(spec))) == str(spec)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("gelu", "gelu"),
        (" GELU ", "gelu"),
        ("leaky-relu", "leaky_relu"),
        ("leaky_relu(0.01)", "leaky_relu"),
        ("leaky_relu(0.02)", "leaky_relu(negative_slope=0.02)"),
        ("leaky_relu( negative_slope = 2e-2 )", "leaky_relu(negative_slope=0.02)"),
        ("swish(beta=learned)", "swish(beta=learned)"),
        ("swish(learned(1.0))", "swish(beta=learned)"),
        ("swish(learned(1.5))", "swish(beta=learned(1.5))"),
        ("elu(alpha=learned_per_channel)", "elu(alpha=learned_per_channel)"),
        ("prelu", "prelu"),
        ("prelu(learned)", "prelu"),
        ("prelu(0.25)", "prelu(weight=0.25)"),
        ("relu2", "squared_relu"),
        ("hardtanh(-2, max_val=2)", "hardtanh(min_val=-2, max_val=2)"),
        ("celu()", "celu"),
    ],
)
def test_what_means_the_same_has_the_same_text(text, canonical):
    assert canonical == str(parse(text))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gleu", UnknownNameError, ["no activation 'gleu'", "gelu"]),
        ("", SpecError, ["cannot be read", "gelu"]),
        ("gelu(", SpecError, ["cannot be read"]),
        ("relu(1)", SpecError, ["too many values", "takes no parameters"]),
        ("leaky_relu(1, 2)", SpecError, ["too many values", "negative_slope=0.01"]),
        ("leaky_relu(slope=1)", SpecError, ["'slope'", "it is leaky_relu(negative_slope=0.01)"]),
        ("elu(alpah=1)", SpecError, ["'alpah'", "Did you mean 'alpha'"]),
        ("elu(1, alpha=2)", SpecError, ["twice"]),
        ("elu(x)", SpecError, ["alpha='x'", "a number, learned"]),
        ("elu(alpha=learnd)", SpecError, ["Did you mean 'learned'"]),
        ("elu(-1)", SpecError, ["out of range", "above 0"]),
        ("celu(0)", SpecError, ["out of range", "any number but 0"]),
        ("elu(nan)", SpecError, ["out of range"]),
        ("leaky_relu(inf)", SpecError, ["out of range"]),
        ("leaky_relu(2e18)", SpecError, ["out of range", "from 1e-18 to 1e+18"]),
        ("hardtanh(2, 1)", SpecError, ["min_val=2 is above max_val=1", "defaults -1 and 1"]),
        ("hardtanh(max_val=-3)", SpecError, ["min_val=-1 is above max_val=-3"]),
        ("hardtanh(min_val=learned(3))", SpecError, ["min_val=3 is above max_val=1"]),
        ("rrelu(0.5)", SpecError, ["lower=0.5 is above upper=0.333333"]),
        ("step/rect(1, -1)", SpecError, ["lower=1 is above upper=-1"]),
        ("relu; import os", SpecError, ["cannot be read"]),
        ("swish(beta=learned(-x))", SpecError, ["beta='-x'"]),
    ],
)
def test_a_bad_spec_is_told_what_is_wrong_and_what_is_allowed(text, error, words):
    with pytest.raises(error) as raised:
        parse(text)

    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_a_spec_that_is_no_string_is_refused():
    with pytest.raises(SpecError, match="is a string, got int"):
        parse(3)


def test_specs_are_hashable_equal_by_meaning_and_picklable():
    spec = parse("leaky_relu(0.02)")

    assert {spec, parse("leaky_relu(negative_slope=0.02)")} == {spec}
    assert pickle.loads(pickle.dumps(spec)) == spec
