"""Tables of int8 codes against the papers' formulas in mpmath, for all 256 codes."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import torch
from tests.functions.references import REFERENCES

import actlab
from actlab.codegen.int8 import int8_table
from actlab.errors import ExportError
from actlab.functions.activation import activation, forget, names
from actlab.functions.formula import log
from actlab.functions.grammar import parse
from actlab.functions.parameter import Learned

CODES = np.arange(-128, 128)
EQUAL = {"input_scale": 0.1, "input_zero": 0, "output_scale": 0.1, "output_zero": 0}
QUICK = [*names("elementwise")[::40], "gelu", "gelu_tanh", "mish", "log_lu"]
# a ratio of scales that is no ratio of small numbers, so that no result lies on a half
SCALES = {"input_scale": 0.0617, "input_zero": -7, "output_scale": 0.0301, "output_zero": 5}


def with_numbers(name):
    """Return the spec of an entry with numbers in place of learned parameters."""
    spec = parse(name)
    learned = [f"{key}={spec.numbers[key]!r}" for key, value in spec.assigned if isinstance(value, Learned)]
    return parse(f"{name}({', '.join(learned)})") if learned else spec


def exact(name):
    """Return the codes by the paper's formula in mpmath."""
    reference, step, codes = REFERENCES[name], mp.mpf(SCALES["output_scale"]), []
    for code in CODES:
        value = reference(mp.mpf(float((code - SCALES["input_zero"]) * SCALES["input_scale"])))
        nan = isinstance(value, mp.mpc) or mp.isnan(value)
        codes.append(SCALES["output_zero"] if nan else int(mp.nint(value / step)) + SCALES["output_zero"])
    return np.clip(codes, -128, 127)


def largest_miss(name):
    return int(np.abs(int8_table(with_numbers(name), **SCALES).astype(int) - exact(name)).max())


@pytest.mark.parametrize("name", QUICK)
def test_all_codes_are_those_of_the_papers_formula(name):
    assert largest_miss(name) == 0


@pytest.mark.slow
def test_all_codes_of_all_elementwise_entries_are_those_of_the_papers_formulas():
    assert {name: miss for name in names("elementwise") if (miss := largest_miss(name))} == {}


def test_all_codes_of_stochastic_entries_are_those_of_their_mean_in_torch():
    x = torch.tensor((CODES - SCALES["input_zero"]) * SCALES["input_scale"])
    for name in names("stochastic"):
        if name == "gumbel_softmax":
            continue
        y = actlab.layer(name, dtype=torch.float64).eval()(x).detach().numpy()
        expected = np.clip(np.rint(y / SCALES["output_scale"]) + SCALES["output_zero"], -128, 127)
        np.testing.assert_array_equal(int8_table(name, **SCALES), expected, err_msg=name)


def test_halves_are_rounded_to_even():
    table = int8_table("leaky_relu(0.5)", **EQUAL)
    assert [table[code + 128] for code in (-7, -5, -3, -1, 1, 3)] == [-4, -2, -2, 0, 1, 3]


def test_codes_saturate():
    table = int8_table("relu", input_scale=1.0, input_zero=0, output_scale=0.5, output_zero=-100)
    assert table.min() == -100
    assert table.max() == 127
    assert int8_table("exp", input_scale=100.0, input_zero=0, output_scale=1e-300, output_zero=0)[255] == 127


def test_a_result_that_is_nan_is_the_code_of_zero():
    @activation(paper="a test")
    def logarithm(x):
        """Natural logarithm."""
        return log(x)

    try:
        table = int8_table("logarithm", input_scale=0.1, input_zero=0, output_scale=0.1, output_zero=3)
    finally:
        forget("logarithm")
    assert set(table[:128]) == {3}
    assert table[128] == -128  # minus infinity at zero


def test_a_gradient_rule_has_no_part_in_a_table():
    np.testing.assert_array_equal(int8_table("sign/rect(-1, 1)", **EQUAL), int8_table("sign", **EQUAL))


def test_a_planted_fault_in_the_rounding_is_seen(monkeypatch):
    from actlab.codegen.int8 import table

    monkeypatch.setattr(table.np, "rint", np.floor)
    assert largest_miss("gelu") == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("swiglu", "two tensors"),
        ("softmax", "mix elements"),
        ("modrelu", "complex numbers"),
        ("gumbel_softmax", "applies softmax"),
        ("prelu", r"prelu\(weight=0.25\)"),
        ("elu(alpha=learned_per_channel)", r"elu\(alpha=1.0\)"),
    ],
)
def test_an_activation_without_a_table_is_refused_with_the_reason(spec, words):
    with pytest.raises(ExportError, match=words):
        int8_table(spec, **EQUAL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_scale": 0.0},
        {"output_scale": -1.0},
        {"input_scale": float("nan")},
        {"output_scale": float("inf")},
        {"input_zero": 128},
        {"output_zero": -129},
        {"output_zero": 0.5},
    ],
)
def test_a_scale_or_zero_point_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(ExportError, match=next(iter(wrong))):
        int8_table("relu", **EQUAL | wrong)
