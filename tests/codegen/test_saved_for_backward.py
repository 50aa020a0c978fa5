"""Tensors saved for backward, against mpmath's derivatives and float32 arithmetic of torch."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
import torch

from actlab.codegen import saved_for_backward as module
from actlab.codegen.saved_for_backward import OUTPUT, saved_for_backward
from actlab.functions.activation import names
from actlab.functions.formula import sigmoid, tanh
from actlab.functions.formula.evaluate import numeric
from actlab.nn.layers.layer import layer

# fmt: off
NOTHING = ["dorefa", "hwgq", "identity", "sign", "step", "ternary"]
BITS = [
    "bounded_leaky_relu", "cone", "delay_relu", "firmshrink", "hardshrink", "hardsigmoid", "hardtanh", "hat", "keras_hard_sigmoid",
    "leaky_relu", "lhtan", "pan", "plan_sigmoid", "plse", "plu", "relu", "relu6", "relu_n", "scadshrink", "shifted_relu",
    "softshrink", "sparse_sigmoid", "threshold",
]
FROM_OUTPUT = [
    "arctan", "arctan_normalized", "asinh", "bipolar_sigmoid", "celu", "delay_relu", "dorefa", "elliott_sigmoid", "elu",
    "elu_plus_one", "exponential", "firmshrink", "garroteshrink", "hardshrink", "hardtanh", "hexpo", "huberized_relu", "hwgq",
    "identity", "laplace_cdf", "leaky_relu", "lecun_tanh", "log_lu", "logsigmoid", "maxsig", "maxtanh", "mu_law", "nl_relu",
    "penalized_tanh", "rectified_tanh", "relu", "relu6", "relu_n", "scaled_sigmoid", "selu", "shifted_relu", "sigmoid", "sign",
    "sign_relu", "smelu", "softcap", "softplus", "softshrink", "softsign", "sparse_plus", "squared_relu", "steepened_sigmoid", "step",
    "symexp", "symlog", "tanh", "ternary", "threshold",
]
# fmt: on


@pytest.mark.parametrize(
    ("spec", "form", "bits"),
    [
        ("identity", "nothing", 0),
        ("step", "nothing", 0),
        ("relu", "bits", 1),
        ("leaky_relu(0.2)", "bits", 1),
        ("hardtanh", "bits", 1),  # three pieces, but slopes 0 and 1
        ("hardsigmoid", "bits", 1),
        ("plan_sigmoid", "bits", 2),  # slopes 0, 1/32, 1/8, 1/4
        ("tanh", "output", None),
        ("sigmoid", "output", None),
        ("elu(0.5)", "output", None),
        ("softplus(beta=2)", "output", None),
        ("softsign", "output", None),
        ("squared_relu", "output", None),
        ("gelu", "input", None),
        ("silu", "input", None),
        ("hardswish", "input", None),  # its slope is a line in x
        ("sine", "input", None),  # its value is taken at many inputs
        ("square", "input", None),
        ("prelu", "input", None),  # the weight's gradient needs x
        ("leaky_relu(negative_slope=learned)", "input", None),
        ("swiglu", "inputs", None),
        ("bilinear", "inputs", None),
    ],
)
def test_what_suffices(spec, form, bits):
    assert (saved_for_backward(spec).form, saved_for_backward(spec).bits) == (form, bits)


def test_of_tensor_code_nothing_is_known():
    assert saved_for_backward("softmax") is None
    assert saved_for_backward("rrelu") is None


@pytest.mark.parametrize(
    ("spec", "single", "half"),
    [
        ("identity", 0, 0),
        ("relu", 0.125, 0.125),
        ("plan_sigmoid", 0.25, 0.25),
        ("tanh", 4, 2),
        ("gelu", 4, 2),
        ("glu", 8, 4),
    ],
)
def test_bytes_per_element(spec, single, half):
    assert (saved_for_backward(spec).bytes(4), saved_for_backward(spec).bytes(2)) == (single, half)


@pytest.mark.parametrize("name", ["relu", "plan_sigmoid", "tanh", "gelu", "glu", "identity"])
def test_the_sentence_says_how_much(name):
    found = saved_for_backward(name)

    assert str(found).startswith(
        {"bits": f"{found.bits} bit", "output": "its output, 4 bytes per element in float32, 2 in bfloat16"}.get(
            found.form, {"input": "its input, 4", "inputs": "gate and value, 8", "nothing": "nothing"}.get(found.form)
        )
    )


@pytest.mark.slow  # 273 formulas, 30 s; those of the lists are checked one by one in any case
def test_which_functions_need_less_than_their_input():
    found = {name: saved_for_backward(name) for name in names("elementwise")}

    assert [name for name, one in found.items() if one.form == "nothing"] == NOTHING
    assert [name for name, one in found.items() if one.form == "bits"] == BITS
    assert [name for name, one in found.items() if one.from_output is not None] == FROM_OUTPUT


@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_the_slope_from_the_output_is_the_derivative_of_the_function(name):
    """The reference is a central difference of torch's float64 values, away from kinks."""
    points = np.array([-3.3, -1.7, -0.9, -0.31, 0.23, 0.57, 1.3, 2.9])
    x = torch.tensor(points)
    function = layer(name, native=False)
    h = 1e-6
    difference = ((function(x + h) - function(x - h)) / (2 * h)).numpy()

    derived = numeric(saved_for_backward(name).from_output, [OUTPUT])(function(x).numpy())

    np.testing.assert_allclose(derived, difference, rtol=2e-8, atol=2e-8)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("sigmoid", lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2),
        ("tanh", lambda x: mpmath.sech(x) ** 2),
        ("softplus", lambda x: 1 / (1 + mpmath.exp(-x))),
        ("elu", lambda x: mpmath.exp(x) if x < 0 else mpmath.mpf(1)),
        ("asinh", lambda x: 1 / mpmath.sqrt(1 + x * x)),
    ],
)
def test_from_a_rounded_output_the_error_stays_within_the_bound_stated(name, truth):
    """``16 eps max(|f'(x)|, sup |f'|)``; the suprema are 1/4, 1, 1, 1, 1."""
    x = np.linspace(-30, 30, 241)
    output = layer(name, native=False)(torch.tensor(x, dtype=torch.float32))
    derived = numeric(saved_for_backward(name).from_output, [OUTPUT])(output.numpy())

    with mpmath.workdps(50):
        errors = [
            abs(float(truth(mpmath.mpf(float(np.float32(at)))) - mpmath.mpf(d)))
            for at, d in zip(x, derived, strict=True)
        ]
    assert max(errors) <= 16 * 2.0**-23 * (0.25 if name == "sigmoid" else 1.0)


def test_small_slopes_are_lost_in_half_precision_where_the_bound_is_not_relative():
    assert not saved_for_backward("tanh").sharp  # 1 - y^2 with y = 1 - 2^-8 is 0.0078, whatever the slope
    assert not saved_for_backward("elu").sharp
    assert saved_for_backward("softplus").sharp
    assert saved_for_backward("leaky_relu").sharp


def test_a_wrong_slope_does_not_pass(monkeypatch):
    right = saved_for_backward("lecun_tanh")
    module._analyze.cache_clear()
    monkeypatch.setattr(module, "slope_from_output", lambda *symbols: 1 - 1.01 * symbols[-1] ** 2)
    try:
        assert right.form == "output"
        assert saved_for_backward("lecun_tanh").form == "input"
    finally:
        module._analyze.cache_clear()


def test_a_slope_that_jumps_where_rounding_moves_the_value_does_not_pass():
    """(x + 3)/6 is 1 in float32 one step below 3: a comparison with 1 would take the slope for 0."""
    assert saved_for_backward("hardsigmoid").from_output is None
    assert saved_for_backward("relu6").from_output is not None  # min(x, 6) rounds nothing


@pytest.mark.parametrize(
    "formula", [lambda x: sigmoid(x) + tanh(2 * x), lambda x: x * sigmoid(x), lambda x: tanh(x**2)]
)
def test_what_no_rule_inverts_needs_the_input(formula):
    x = sympy.Symbol("x", real=True)

    assert module._analyze(formula(x), x).form == "input"
