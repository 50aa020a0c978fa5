"""ONNX nodes of formulas, run by onnxruntime against the formulas in float64."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import sympy
import torch
from tests.codegen.onnx.runner import run, run_spec

import actlab
from actlab.codegen.onnx.branches import without_choices
from actlab.codegen.onnx.program import Settings, program, program_of_spec
from actlab.export.onnx.single import model_of
from actlab.functions.activation import names
from actlab.functions.formula import expm1, log1p, maximum, minimum, where
from actlab.functions.grammar import parse

X = sympy.Symbol("x", real=True)
FAR = np.geomspace(1e-9, 1e3, 60)
# Numbers of float32, so that the exact values are those at the same points.
POINTS = np.concatenate([np.linspace(-12, 12, 601), FAR, -FAR, [0.0, 20.0, -20.0, 88.0, -88.0, 89.0, -89.0]])
POINTS = POINTS.astype(np.float32).astype(np.float64)
# Their rounding is that of the sine of a large number.
OSCILLATING = {"finer", "siren"}
# A sample here; all of them in the slow test.
ELEMENTWISE = [name for name in names("elementwise") if name not in OSCILLATING]
QUICK = sorted(
    {*ELEMENTWISE[::30], "gelu", "gelu_tanh", "mish", "silu", "elu", "softplus", "serf", "hardswish", "selu"}
)


def _exact(name, *inputs):
    act = actlab.layer(name, dtype=torch.float64, channels=1)
    with torch.no_grad():
        return act(*(torch.tensor(each, dtype=torch.float64) for each in inputs)).numpy()


def _largest_error(name, **settings):
    got = run_spec(parse(name), POINTS, Settings(**settings))
    exact = _exact(name, POINTS)
    with np.errstate(over="ignore", invalid="ignore"):
        same = got == exact.astype(got.dtype)  # both infinite, where the result is beyond the dtype
        return np.where(same, 0.0, np.abs(got - exact) / (1 + np.abs(exact))).max()


@pytest.mark.parametrize("name", QUICK)
def test_nodes_compute_the_formula_to_rounding(name):
    assert _largest_error(name) < 4e-6


@pytest.mark.slow
@pytest.mark.parametrize("prefer", ["accuracy", "speed"])
def test_nodes_of_all_elementwise_entries_compute_the_formula_to_rounding(prefer):
    allowed = {"accuracy": 4e-6, "speed": 1e-5}[prefer]
    errors = {name: _largest_error(name, prefer=prefer) for name in ELEMENTWISE}
    assert {name: error for name, error in errors.items() if not error < allowed} == {}


@pytest.mark.slow
def test_nodes_of_all_elementwise_entries_compute_float64_in_float64():
    errors = {name: _largest_error(name, dtype="float64") for name in ELEMENTWISE}
    assert {name: error for name, error in errors.items() if not error < 1e-11} == {}


@pytest.mark.parametrize("name", ["glu", "geglu", "swiglu", "powlu", "xgeglu"])
def test_nodes_of_gated_entries_take_gate_and_value(name):
    value = np.roll(POINTS, 7)
    got = run_spec(parse(name), POINTS, Settings(), value=value)
    exact = _exact(name, POINTS, value)
    assert (np.abs(got - exact) / (1 + np.abs(exact))).max() < 4e-6


@pytest.mark.parametrize(
    ("spec", "x", "value"),
    [
        ("logsigmoid", -18.0, -18.0000000152),
        ("logsigmoid", -30.0, -30.0),
        ("softplus", -18.0, 1.5229979e-08),
        ("softplus", 89.0, 89.0),
        ("elu", -1e-8, -1e-8),
        ("silu", -20.0, -4.1223e-8),
        ("gelu_tanh", -3.0, -0.0036374),
        ("gelu", -3.0, -0.0040497),
        ("relu6", 7.0, 6.0),
    ],
)
def test_values_that_runtimes_lose_are_kept(spec, x, value):
    assert run_spec(parse(spec), np.array([x]), Settings())[0] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("opset", [18, 20])
def test_twins_are_told_apart_at_every_opset(opset):
    points = np.array([-3.0, -2.71, 2.71])
    erf, tanh = (run_spec(parse(name), points, Settings(opset=opset)) for name in ("gelu", "gelu_tanh"))
    assert np.abs(erf - _exact("gelu", points)).max() < 1e-6
    assert np.abs(tanh - _exact("gelu_tanh", points)).max() < 1e-6
    assert np.abs(erf - tanh).min() > 1e-5


def test_float64_is_computed_in_float64():
    assert run_spec(parse("gelu"), np.array([1.0]), Settings(dtype="float64"))[0] == pytest.approx(
        0.8413447460685429, rel=1e-15
    )


@pytest.mark.parametrize("name", ["erf", "atan"])
def test_functions_without_a_float64_kernel_are_right_to_the_last_digits(name):
    points = np.concatenate([POINTS, np.linspace(-1.5, 1.5, 301)])
    reference = {"erf": torch.erf, "atan": torch.atan}[name](torch.tensor(points)).numpy()
    function = {"erf": actlab.functions.formula.erf, "atan": actlab.functions.formula.atan}[name]
    got = run(program(function(X), (X,), ("x",), Settings(dtype="float64")), {"x": points})
    np.testing.assert_allclose(got, reference, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize(
    ("call", "reference"),
    [("erfc(x)", torch.erfc), ("erfcx(x)", torch.special.erfcx), ("log_ndtr(x)", torch.special.log_ndtr)],
)
def test_tails_of_the_normal_distribution_are_right_relative_to_themselves(call, reference):
    points = np.linspace(-9, 12, 211)
    got = run(program(sympy.Symbol(call, real=True), (X,), ("x",), Settings()), {"x": points.astype(np.float32)})
    exact = reference(torch.tensor(points.astype(np.float32)).double()).numpy()
    normal = np.abs(exact) > 1e-37
    np.testing.assert_allclose(got[normal], exact[normal], rtol=3e-5)


def test_log1p_and_expm1_keep_small_numbers_and_their_limits():
    points = np.array([1e-8, -1e-8, 1e-30, 0.0, -0.5, 3.0, np.inf], dtype=np.float32)
    for function, reference in ((log1p, np.log1p), (expm1, np.expm1)):
        got = run(program(function(X), (X,), ("x",), Settings()), {"x": points})
        np.testing.assert_allclose(got, reference(points), rtol=1e-6)


def test_mish_takes_one_exponential_and_silu_and_gelu_are_single_operators_for_speed():
    assert program_of_spec(parse("mish")).operators.count("Exp") == 1
    assert not {"Log", "Tanh", "Softplus", "Where"} & set(program_of_spec(parse("mish")).operators)
    assert program_of_spec(parse("silu"), Settings(prefer="speed")).operators == ("Sigmoid", "Mul")
    assert program_of_spec(parse("gelu"), Settings(opset=20)).operators == ("Gelu",)


def test_softplus_is_never_negative():
    points = np.linspace(-110, 5, 20_001).astype(np.float32)
    assert run_spec(parse("softplus"), points, Settings()).min() >= 0


def test_choices_of_branches_become_arithmetic():
    elu = where(X > 0, X, expm1(minimum(X, 0)))
    assert not without_choices(elu, [X]).has(where)
    jump = without_choices(where(X > 1, X**2, 0), [X])
    assert all(set(node.args[1:]) == {0, 1} for node in jump.atoms(where))


def test_a_planted_fault_in_a_branch_is_seen():
    wrong = where(X > 0, X, 2 * expm1(minimum(X, 0)))
    got = run(program(wrong, (X,), ("x",), Settings()), {"x": POINTS.astype(np.float32)})
    assert np.abs(got - _exact("elu", POINTS)).max() > 0.1


def test_a_constant_keeps_the_shape_of_its_input():
    assert run(program(sympy.Float(2.0), (X,), ("x",), Settings()), {"x": np.zeros(3, np.float32)}).tolist() == [
        2,
        2,
        2,
    ]


def test_a_clamp_on_one_side_keeps_infinity():
    got = run(program(maximum(X, -1), (X,), ("x",), Settings()), {"x": np.array([np.inf, -np.inf, np.nan])})
    np.testing.assert_array_equal(got, [np.inf, -1, np.nan])


@pytest.mark.parametrize("name", ["mish", "silu", "hardswish", "softsign"])
def test_limits_at_infinity_are_those_of_the_layer_where_it_is_a_kernel_of_torch(name):
    points = np.array([np.inf, -np.inf])
    act = actlab.layer(name)
    np.testing.assert_array_equal(run_spec(parse(name), points, Settings()), act(torch.tensor(points)).numpy())


def test_a_sigmoid_with_a_long_tail_is_exact_for_speed_too():
    assert "Sigmoid" not in program_of_spec(parse("pflu"), Settings(prefer="speed")).operators
    assert _largest_error("pflu", prefer="speed") < 4e-6


@pytest.mark.parametrize("name", ["relu", "relu6", "hardsigmoid", "elu", "silu", "mish", "softplus"])
def test_nan_passes(name):
    assert np.isnan(run_spec(parse(name), np.array([np.nan]), Settings())).all()


@pytest.mark.parametrize(
    ("name", "opset", "kernel"), [("silu", 18, "QuickGelu"), ("gelu", 18, "Gelu"), ("gelu", 20, "Gelu")]
)
def test_onnxruntime_fuses_silu_and_gelu_for_speed_into_one_kernel(tmp_path, name, opset, kernel):
    settings = Settings(opset=opset, prefer="speed")
    content = model_of(program_of_spec(parse(name), settings), opset, [(2, 3)]).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(content, options)
    assert [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node] == [kernel]
