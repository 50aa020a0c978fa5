"""Location, scale and rate parameters, found from formulas with known couplings."""

from __future__ import annotations

import numpy as np
import pytest

from actlab.codegen.parameter_coupling import coupling
from actlab.functions.activation import activation, forget, get, names
from actlab.functions.formula import derivative, maximum, tanh, where
from actlab.functions.formula.evaluate import numeric


@pytest.mark.parametrize(
    ("name", "parameter", "form"),
    [
        ("rsign", "alpha", "location"),
        ("rprelu", "gamma", "location"),
        ("rprelu", "zeta", "own"),
        ("rprelu", "beta", "own"),
        ("delay_relu", "delta", "location"),
        ("ternary", "threshold_value", "scale"),
        ("gaussian_bump", "sigma", "scale"),
        ("dynamic_tanh", "alpha", "rate"),
        ("dynamic_tanh", "weight", "own"),
        ("lsq", "s", "own"),
        ("elu", "alpha", "own"),
        ("swish", "beta", "own"),
        ("dorefa", "k_bit", "own"),
    ],
)
def test_known_couplings(name, parameter, form):
    assert coupling(get(name), parameter) == form


def test_the_derivatives_they_imply_are_the_true_ones_where_there_are_any():
    x = np.linspace(-3.1, 3.3, 41)
    checked = 0
    for name in names("elementwise"):
        record = get(name)
        for parameter in record.parameters:
            form = coupling(record, parameter.name)
            at = [np.float64(p.default) for p in record.parameters]
            value = float(parameter.default)
            if form == "own" or value == 0.0:
                continue
            symbols = [p.symbol for p in record.parameters]
            slope = numeric(derivative(record.formula, record.inputs[0]), record.inputs, symbols)(x, *at)
            own = numeric(derivative(record.formula, parameter.symbol), record.inputs, symbols)(x, *at)
            centred = x - sum(p.default for p in record.parameters if coupling(record, p.name) == "location")
            implied = {"location": -slope, "scale": -centred / value * slope, "rate": centred / value * slope}[form]
            np.testing.assert_allclose(own, implied, rtol=1e-7, atol=1e-9, err_msg=f"{name}.{parameter.name}")
            checked += 1
    assert checked > 20


def test_a_threshold_beside_other_parameters_is_found():
    @activation(paper="a test")
    def fires(x, threshold=0.5, height=2.0, sharpness=3.0):
        """Fires above a threshold, and leaks below."""
        return where(x > threshold, height, 0) + tanh(sharpness * maximum(x - threshold, 0))

    try:
        assert [coupling(fires, p.name) for p in fires.parameters] == ["location", "own", "rate"]
    finally:
        forget("fires")
