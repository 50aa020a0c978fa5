"""C functions of all entries of the catalogue, compiled as one file, against the formulas in float64."""

from __future__ import annotations

from functools import cache

import mpmath as mp
import numpy as np
import pytest
import torch
from tests.codegen.c99.compiled import PRINTED, STOCHASTIC, library, needs_compiler, printed, run
from tests.functions.references import REFERENCES

from actlab.codegen.c99 import c_function
from actlab.errors import ExportError
from actlab.functions.activation import activation, forget, get, names
from actlab.functions.formula import PRIMITIVES, Primitive
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse

FAR = np.geomspace(1e-37, 1e15, 105)
# Numbers of float32, so that the exact values are those at the same points; every piece of a piecewise function has some.
POINTS = np.concatenate([np.linspace(-12, 12, 601), np.linspace(-110, 110, 441), FAR, -FAR, [0.0, np.nan]]).astype(
    np.float32
)
# Their rounding is that of the sine of a large number.
OSCILLATING = {"finer", "siren"}
ERROR = 1e-6  # of 1 + |value|: a few roundings of a formula's terms; the powers in powlu have more
LOOSE = {"powlu_unary": 5e-6}


def inputs(function):
    return [POINTS, np.roll(POINTS, 7)][: len(function.inputs)]


def result(code, name, arrays=None):
    """Return the results in float64, with learned parameters at their initial values."""
    function, numbers = printed(name), parse(name).numbers
    arrays = arrays or inputs(function)
    arrays = [*arrays, *(np.full_like(arrays[0], numbers[p]) for p in function.parameters)]
    return run(code, function.name, *arrays).astype(np.float64)


@cache
def exact_at_points(name):
    return exact(name, inputs(printed(name)))


def exact(name, arrays):
    spec = parse(name)
    if name in STOCHASTIC:
        x = torch.tensor(arrays[0], dtype=torch.float64)
        return spec.activation.tensor_code(x, training=False, **spec.numbers).numpy()
    return numeric(spec.formula, spec.activation.inputs)(*(array.astype(np.float64) for array in arrays))


def largest_error(code, name):
    value = exact_at_points(name)
    # A product of larger numbers may overflow in float32; that NaN stays NaN is tested below.
    within = (np.abs(value) < 1e30) & ~np.isnan(sum(inputs(printed(name))))
    got, value = result(code, name)[within], value[within]
    return (np.abs(got - value) / (1 + np.abs(value))).max()


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    return library([printed(name) for name in PRINTED], tmp_path_factory.mktemp("catalogue"), "-O0")


@needs_compiler
def test_every_entry_computes_its_formula_to_rounding(code):
    errors = {name: largest_error(code, name) for name in PRINTED if name not in OSCILLATING}
    assert {name: error for name, error in errors.items() if not error < LOOSE.get(name, ERROR)} == {}


@needs_compiler
@pytest.mark.slow
def test_every_elementwise_entry_computes_the_formula_of_its_paper(code):
    points = np.linspace(-9, 9, 91, dtype=np.float32)
    errors = {}
    for name in set(names("elementwise")) - OSCILLATING:
        paper = np.array([float(mp.re(REFERENCES[name](mp.mpf(float(x))))) for x in points])
        got = result(code, name, [points])
        errors[name] = np.nanmax(np.abs(got - paper) / (1 + np.abs(paper)))
    assert {name: error for name, error in errors.items() if not error < 2e-6} == {}


@needs_compiler
@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("logsigmoid", -18.0, -1.8000000015229979e1),
        ("logsigmoid", -30.0, -30.0),
        ("softplus", 89.0, 89.0),
        ("softplus", -18.0, 1.5229979e-08),
        ("softplus", -80.0, 1.8048513878e-35),
        ("softplus", 1e30, 1e30),
        ("elu", -1e-8, -1e-8),
        ("silu", -20.0, -4.1223072e-8),
        ("gelu_tanh", -3.0, -0.0036373920817730),
        ("gelu", -3.0, -0.0040496940948802),
        ("gelu", -12.0, -2.1317791e-32),
        ("gelu", -2.71, -0.009116874884),
        ("relu6", 7.0, 6.0),
        ("gelu", 1.0, 0.8413447460685429),
        ("rrelu", -1.0, -0.2291667),
        ("mish", -50.0, -9.6437492e-21),
    ],
)
def test_values_that_other_runtimes_lose_are_right_relative_to_themselves(code, name, x, value):
    assert result(code, name, [np.float32([x])])[0] == pytest.approx(value, rel=1e-6)


@needs_compiler
def test_nan_stays_nan_wherever_torch_keeps_it(code):
    lost = {name for name in PRINTED if (np.isnan(exact_at_points(name)) > np.isnan(result(code, name))).any()}
    assert lost == set()
    assert sum(np.isnan(exact_at_points(name)).any() for name in PRINTED) > 0.9 * len(PRINTED)


@needs_compiler
@pytest.mark.parametrize("x", [np.inf, -np.inf])
def test_infinities_give_the_limit(code, x):
    for name in ("relu", "gelu", "silu", "mish", "softplus", "elu", "selu", "tanh", "sigmoid", "serf", "hardswish"):
        arrays = [np.float32([x])]
        np.testing.assert_allclose(result(code, name, arrays), exact(name, arrays), rtol=1e-6, atol=1e-17, err_msg=name)


@needs_compiler
@pytest.mark.slow
def test_optimisation_does_not_change_a_bit(code, tmp_path):
    other = library([printed(name) for name in PRINTED], tmp_path, "-O3", "-march=native")
    for name in PRINTED:
        np.testing.assert_array_equal(result(code, name), result(other, name), err_msg=name)


@needs_compiler
def test_a_planted_fault_in_a_printed_formula_is_seen(tmp_path):
    function = printed("gelu_tanh")
    faulty = function.source.replace("0.044715", "0.044735")
    assert faulty != function.source or "0.0713548" in function.source
    faulty = faulty.replace("0.07135481", "0.07145481")
    changed = type(function)(**{**vars(function), "source": faulty})
    assert largest_error(library([changed], tmp_path, "-O0"), "gelu_tanh") > ERROR


@needs_compiler
def test_parameters_learned_per_channel_are_arguments_in_the_order_of_the_record(tmp_path):
    function = c_function("pelu(a=learned_per_channel, b=learned)", "pelu")
    assert function.parameters == tuple(p.name for p in get("pelu").parameters)
    code = library([function], tmp_path, "-O0")
    x, a, b = np.float32([-1.0, -1.0, 2.0]), np.float32([1.0, 2.0, 2.0]), np.float32([1.0, 1.0, 4.0])
    expected = np.where(x > 0, a / b * x, a * np.expm1(x / b))
    np.testing.assert_allclose(run(code, "pelu", x, a, b), expected, rtol=1e-6)


def test_only_the_forward_pass_of_a_pair_is_printed():
    function = c_function("sign/rect(-1, 1)", "sign")
    assert function.source == c_function("sign", "sign").source


def test_gated_functions_take_gate_and_value():
    function = c_function("swiglu", "swiglu")
    assert function.inputs == ("gate", "value")
    assert "static float swiglu(float gate, float value)" in function.source


def test_a_record_stands_for_its_defaults():
    assert c_function(get("elu"), "f").source == c_function("elu", "f").source


def test_names_that_are_taken_in_c_get_another_one():
    @activation(paper="a test")
    def clashing(x, double=2.0, t0=1.0):
        """Affine."""
        return double * x + t0

    try:
        function = c_function("clashing(double=learned, t0=learned)", "clashing")
    finally:
        forget("clashing")
    assert function.parameters == ("double", "t0")
    assert "(float x, float double_, float t0_)" in function.source


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("softmax", "softmax cannot be printed in C: its outputs mix elements"),
        ("maxout", "mix elements"),
        ("modrelu", "complex numbers"),
        ("gumbel_softmax", "it applies softmax"),
        ("beyond_float32", "1e\\+39 is beyond float32"),
    ],
)
def test_what_cannot_be_printed_is_refused_by_name_and_reason(spec, words):
    @activation(paper="a test")
    def beyond_float32(x):
        """A product with a number that float32 has not."""
        return 1e39 * x

    try:
        with pytest.raises(ExportError, match=words):
            c_function(spec, "f")
    finally:
        forget("beyond_float32")


@pytest.mark.parametrize("name", ["", "2x", "float", "a-b", "f32_exp"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ExportError, match="cannot be called"):
        c_function("relu", name)


def test_a_primitive_without_c_code_is_refused_by_name():
    class bessel(Primitive):  # noqa: N801 a primitive, as in the catalogue
        """A function that C has not."""

    @activation(paper="a test")
    def with_bessel(x):
        """Bessel function."""
        return bessel(x)

    try:
        with pytest.raises(ExportError, match="there is no f32_bessel in C"):
            c_function("with_bessel", "f")
    finally:
        forget("with_bessel")
        del PRIMITIVES["bessel"]  # other tests go through all of them


def test_every_refusal_of_the_catalogue_has_a_kind_that_mixes_elements():
    refused = set(names()) - set(PRINTED)
    assert {get(name).kind for name in refused} == {"vector", "complex", "stochastic"}
    assert len(PRINTED) / len(names()) > 0.8
