"""Accuracy and vector code of the elementary functions of CPU kernels."""

from __future__ import annotations

import math
import re

import mpmath as mp
import numpy as np
import pytest
import sympy
from scipy import special
from tests.codegen.cpu.array_runner import run

from actlab.codegen import minimax
from actlab.codegen.cpu import jit
from actlab.codegen.cpu.row_body import RowLoop
from actlab.codegen.cpu.row_loop import kernel_text
from actlab.codegen.cpu.vector_math import NAMES
from actlab.functions import formula

EXACT = {  # float64 of SciPy and NumPy is exact beside float32
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "asinh": np.arcsinh,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "logsigmoid": special.log_expit,
    "erf": special.erf,
    "normal_cdf": special.ndtr,
    "sin": np.sin,
    "cos": np.cos,
    "sinc": lambda x: np.sinc(x / math.pi),
    "atan": np.arctan,
    "sqrt": np.sqrt,
}
UNITS = {  # units in the last place, where the absolute error is above 1e-6; and why more than 2
    "exp": 2.0,
    "expm1": 2.0,
    "log": 2.0,
    "log1p": 2.0,
    "asinh": 3.0,  # log1p of a sum that has been rounded twice
    "softplus": 2.0,
    "logsigmoid": 2.0,
    "sqrt": 0.51,
}
TINY = {"float32": 1.2e-38, "float64": 2.3e-308}  # subnormal results are flushed
MPMATH = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "asinh": mp.asinh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "tanh": mp.tanh,
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "erf": mp.erf,
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
    "sin": mp.sin,
    "cos": mp.cos,
    "atan": mp.atan,
}


def every_exponent(mantissas: int = 512) -> np.ndarray:
    """Return float32 of both signs, every exponent, with evenly spread mantissas; and edge cases."""
    fractions = np.arange(0, 2**23, 2**23 // mantissas) + np.arange(mantissas) * 7 % 97
    bits = (np.arange(0, 255)[:, None] << 23 | fractions[None, :]).astype(np.uint32).ravel()
    positive = bits.view(np.float32)
    fine = np.linspace(-110, 110, 200_001, dtype=np.float32)
    return np.concatenate([positive, -positive, fine, np.float32([0.0, -0.0, 1, -1, 88.72, 88.723, -87.34, 103.9])])


def error(name: str, x: np.ndarray) -> np.ndarray:
    """Return the error in units of the last place of float32 where it is above 1e-6, else 0."""
    with np.errstate(all="ignore"):
        got, exact = run(NAMES[name], x).astype(np.float64), EXACT[name](x.astype(np.float64))
    exact = np.where(np.abs(exact) > np.finfo(np.float32).max, np.copysign(np.inf, exact), exact)
    unit = np.spacing(np.abs(np.where(np.isfinite(exact), exact, 1.0)).astype(np.float32)).astype(np.float64)
    same = (got == exact) | (np.isnan(got) & np.isnan(exact))
    with np.errstate(invalid="ignore"):
        off = np.abs(got - exact)
    return np.where(same | (off <= 1e-6), 0.0, np.where(np.isfinite(off), off / unit, np.inf))


@pytest.mark.parametrize("name", EXACT)
def test_the_error_over_all_of_float32_is_two_units_in_the_last_place_or_one_millionth(name):
    x = every_exponent()
    errors = error(name, x)

    worst = int(errors.argmax())
    assert errors[worst] <= UNITS.get(name, 0.0), (x[worst], errors[worst])


@pytest.mark.parametrize(
    "name", ["exp", "expm1", "log1p", "sigmoid", "tanh", "erf", "softplus", "atan", "asinh", "normal_cdf"]
)
def test_small_values_are_right_relative_to_themselves(name):
    x = np.concatenate([np.geomspace(1e-30, 0.5, 20_001), -np.geomspace(1e-30, 8.0, 20_001)]).astype(np.float32)
    got, exact = run(NAMES[name], x).astype(np.float64), EXACT[name](x.astype(np.float64)) if name != "log1p" else None
    if name == "log1p":
        x = x[x > -0.9]
        got, exact = run(NAMES[name], x).astype(np.float64), np.log1p(x.astype(np.float64))

    relative = np.abs(got - exact) / np.abs(exact)
    # 5 roundings; in the normal tail the argument of the exponential has one, which counts x^2/2 = 32 times
    assert relative.max() < (32 * 6e-8 + 4e-7 if name == "normal_cdf" else 4e-7), x[relative.argmax()]


@pytest.mark.parametrize("name", MPMATH)
def test_float64_agrees_with_mpmath_to_a_few_roundings(name):
    points = [
        -40.0,
        -20.3,
        -8.1,
        -3.3,
        -1.01,
        -0.7,
        -0.3,
        -1e-3,
        -1e-9,
        1e-12,
        1e-4,
        0.2,
        0.45,
        0.99,
        1.5,
        2.9,
        7.7,
        30.0,
    ]
    points = [p for p in points if name not in {"log", "log1p"} or p > {"log": 0, "log1p": -1}[name]]
    got = run(NAMES[name], np.array(points))

    with mp.workdps(40):
        exact = np.array([float(MPMATH[name](mp.mpf(p))) for p in points])
    tail = 1e-12 if name == "normal_cdf" else 0  # x^2/2 = 800 roundings
    np.testing.assert_allclose(got, exact, rtol=2e-15 + tail, atol=1e-300)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_nan_and_infinities_have_their_limits(name, precision):
    x = np.array([np.nan, np.inf, -np.inf, 0.0], dtype=precision)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
    if name == "sinc":
        exact[1:3] = 0.0  # the limit, to 1 over the root of the largest number: the argument is held there

    np.testing.assert_allclose(run(NAMES[name], x), exact, rtol=1e-6, atol=1e-19 if name == "sinc" else TINY[precision])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", ["log", "log1p", "asinh", "softplus"])
def test_the_largest_numbers_have_a_logarithm(name, precision):
    """Above sqrt(2)/2 of the largest number the mantissa's exponent is the last one there is."""
    largest = np.finfo(precision).max
    x = np.array([1.0, 0.99, 0.75, 0.7072, 0.707, 0.5, 0.3], dtype=precision) * largest
    logarithm = [float(mp.log(mp.mpf(float(number)))) for number in x]
    exact = {"asinh": np.array(logarithm) + math.log(2), "softplus": x}.get(name, np.array(logarithm))

    np.testing.assert_allclose(run(NAMES[name], x), exact, rtol={"float32": 2e-7, "float64": 4e-16}[precision])


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_arguments_of_sine_and_cosine_are_reduced_exactly(name):
    x = np.array([1e5, 123456.78, 1e6, 2e6, 1e8, 1e20, 3e38, -1e6, -7e30], dtype=np.float32)

    np.testing.assert_allclose(run(NAMES[name], x), EXACT[name](x.astype(np.float64)), rtol=0, atol=2e-7)


@pytest.mark.parametrize("exponent", [2.5, 0.6666, -1.5, 3.0])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_powers_are_those_of_the_c_library(exponent, precision):
    x = np.array([0.0, 1e-3, 0.5, 1.0, 2.0, 77.0, 1e4, -2.0, np.inf, np.nan], dtype=precision)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), exponent)

    np.testing.assert_allclose(
        run(lambda v: NAMES["power"](v, exponent), x), exact, rtol={"float32": 2e-7, "float64": 1e-14}[precision]
    )


def test_whole_powers_are_products():
    x = np.array([-2.0, 0.5, 3.0], dtype=np.float32)

    assert run(lambda v: NAMES["power"](v, 5), x).tolist() == [-32.0, 0.03125, 243.0]
    assert run(lambda v: NAMES["power"](v, -2), x).tolist() == pytest.approx([0.25, 4.0, 1 / 9])


@pytest.mark.parametrize("name", [n for n in EXACT if n not in {"sin", "cos", "sinc"}])
def test_an_elementary_function_is_vector_code_without_branches_or_calls(name):
    text = jit.assembly(
        kernel_text(RowLoop(storage="float32", reads=(1,), writes=(1,)), lambda v, _: ([NAMES[name](v[0])], []))
    )
    body = text[text.index("row:") : text.index("kernel:")]

    if "avx" in jit.features():
        assert re.search(r"v(mul|add|sub|sqrt|fmadd\w+)ps\s.*[yz]mm", body)
    assert "call" not in body
    assert body.count("\tj") <= 2, "one jump back, and at most one around"


def test_a_coefficient_that_is_off_is_found(monkeypatch):
    table = list(minimax.EXPONENTIAL["float32"])
    table[2] *= 1 + 1e-4
    monkeypatch.setitem(minimax.EXPONENTIAL, "float32", tuple(table))

    assert error("exp", np.linspace(0, 10, 1001, dtype=np.float32)).max() > 2


def test_every_primitive_has_a_function_of_its_spelling():
    x = sympy.Symbol("x", real=True)
    spelled = {p.spelling["cpu"] for p in formula.PRIMITIVES.values()}

    assert {text.split("(")[0] for text in spelled if text[0] != "("} <= set(NAMES)
    assert formula.exp(x).spelling["cpu"] == "exp({0})"
