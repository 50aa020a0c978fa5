"""Elementary functions in C over all of float32, against float64 and mpmath."""

from __future__ import annotations

import re
import shutil
import subprocess

import mpmath as mp
import numpy as np
import pytest
from scipy import special
from tests.codegen.c99.compiled import COMPILER, FLAGS, compiled, loop, needs_compiler, run

from actlab.codegen.c99 import elementary_source
from actlab.codegen.c99.elementary import elementary_names
from actlab.errors import ExportError

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
    "atan": np.arctan,
    "sqrt": np.sqrt,
    "rounded": np.round,
    "absolute": np.abs,
}
# Largest error in units of the last place of the exact value (of the smallest normal number, below it).
UNITS = {
    "exp": 1.5,
    "expm1": 3.0,
    "log": 1.0,
    "log1p": 2.1,
    "asinh": 2.6,
    "sigmoid": 2.5,
    "tanh": 3.5,
    "softplus": 2.0,
    "logsigmoid": 2.0,
    "erf": 2.5,
    "normal_cdf": 6.0,
    "sin": 2.5,
    "cos": 2.7,
    "atan": 2.0,
    "sqrt": 0.5,
    "rounded": 0.0,
    "absolute": 0.0,
}
SPECIAL = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0])
TWO_ARGUMENTS = ("power", "hypot")
pytestmark = needs_compiler


def every_exponent(mantissas=64):
    """Return float32 of both signs and of every exponent, subnormals too, with evenly spread mantissas, and a fine grid."""
    fractions = np.arange(0, 2**23, 2**23 // mantissas) + np.arange(mantissas) * 7 % 97
    positive = (np.arange(0, 255)[:, None] << 23 | fractions[None, :]).astype(np.uint32).ravel().view(np.float32)
    return np.concatenate([positive, -positive, np.linspace(-110, 110, 20_001, dtype=np.float32), [88.72, -103.9]])


POINTS = every_exponent().astype(np.float32)


def units(got, exact):
    """Return the errors in units of the last place; infinity where one is NaN or infinite and the other not."""
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = exact.astype(np.float32)
        place = np.spacing(np.maximum(np.abs(nearest), np.finfo(np.float32).tiny)).astype(np.float64)
        errors = np.abs(got.astype(np.float64) - exact) / place
    same = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
    return np.where(np.isfinite(nearest) & np.isfinite(got), errors, np.where(same, 0.0, np.inf))


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    loops = [loop(f"f32_{name}", ["x"]) for name in (*EXACT, "sinc", "sign")]
    loops += [loop(f"f32_{name}", ["x", "y"]) for name in TWO_ARGUMENTS]
    needs = {f"f32_{name}" for name in (*EXACT, *TWO_ARGUMENTS, "sinc", "sign")}
    return compiled(elementary_source(needs) + "\n".join(loops), tmp_path_factory.mktemp("elementary"))


@pytest.mark.parametrize("name", EXACT)
def test_error_is_within_its_bound_at_every_exponent(name, code):
    with np.errstate(all="ignore"):
        exact = EXACT[name](POINTS.astype(np.float64))
    assert units(run(code, f"f32_{name}", POINTS), exact).max() <= UNITS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_error_is_within_its_bound_at_millions_of_numbers(name, code):
    points = every_exponent(8192)[:-2].astype(np.float32)
    with np.errstate(all="ignore"):
        exact = EXACT[name](points.astype(np.float64))
    assert units(run(code, f"f32_{name}", points), exact).max() <= UNITS[name] * 1.1


@pytest.mark.parametrize("name", EXACT)
def test_nan_infinities_and_both_zeros_give_what_numpy_gives(name, code):
    with np.errstate(all="ignore"):
        exact = EXACT[name](SPECIAL.astype(np.float64)).astype(np.float32)
    got = run(code, f"f32_{name}", SPECIAL)
    assert units(got, exact.astype(np.float64)).max() <= UNITS[name]
    zero = exact == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(exact[zero]))


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("sin", 1e22),
        ("cos", 3.4e38),
        ("sin", 16367173 * 2.0**72),
        ("exp", -103.5),
        ("normal_cdf", -12.9),
        ("log", 1e-45),
    ],
)
def test_hard_points_agree_with_mpmath(name, x, code):
    reference = {"normal_cdf": mp.ncdf}.get(name) or getattr(mp, name)
    with mp.workdps(60):
        exact = np.float64(float(reference(mp.mpf(float(np.float32(x))))))
    assert units(run(code, f"f32_{name}", np.float32([x])), np.array([exact])).max() <= UNITS[name]


def test_sinc_is_the_quotient_and_about_zero_at_infinity(code):
    x = np.concatenate([np.linspace(-50, 50, 2001), np.geomspace(1e-30, 1e6, 100)]).astype(np.float32)
    exact = np.where(x == 0, 1.0, np.sin(x.astype(np.float64)) / np.where(x == 0, 1.0, x.astype(np.float64)))
    assert units(run(code, "f32_sinc", x), exact).max() <= 3.5
    assert np.abs(run(code, "f32_sinc", np.float32([np.inf, -np.inf]))).max() < 1e-18


def test_powers_are_right_to_a_few_units_from_the_smallest_to_the_largest(code):
    random = np.random.default_rng(0)
    wide, near = np.exp(random.uniform(-100, 88, 20_000)), np.exp(random.uniform(-1, 1, 20_000))
    base = np.concatenate([wide, near]).astype(np.float32)
    exponent = (random.uniform(-1, 1, base.size) * 90 / np.maximum(np.abs(np.log(base)), 1e-6)).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64))
    edge = np.abs(exact / np.finfo(np.float32).max - 1) < 1e-6  # may round to infinity
    assert units(run(code, "f32_power", base, exponent), exact)[~edge].max() <= 6.5


def test_powers_of_special_numbers_are_those_of_torch(code):
    numbers = np.float32([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, np.inf, 3.0, -3.0, 1e30, np.nan])
    base, exponent = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64))
    decided = ~(np.isnan(exponent) & (base == 1))  # 1 in NumPy
    assert units(run(code, "f32_power", base, exponent), exact)[decided].max() <= 6.5


def test_hypot_and_sign_are_those_of_numpy(code):
    x = POINTS[np.abs(POINTS) < 1e18]
    got = run(code, "f32_hypot", x, np.full_like(x, 0.75))
    assert units(got, np.hypot(x.astype(np.float64), 0.75)).max() <= 2.0
    np.testing.assert_array_equal(run(code, "f32_sign", x), np.sign(x))
    assert run(code, "f32_hypot", np.float32([3e38]), np.float32([1.0])) == np.float32(3e38)


def test_a_planted_fault_in_a_coefficient_is_seen(tmp_path):
    text = elementary_source(["f32_exp"]).replace("0.6931472f", "0.6931482f")
    faulty = compiled(text + loop("f32_exp", ["x"]), tmp_path)
    with np.errstate(all="ignore"):
        exact = np.exp(POINTS.astype(np.float64))
    assert units(run(faulty, "f32_exp", POINTS), exact).max() > UNITS["exp"]


def test_no_library_is_called_and_no_double_is_used(tmp_path):
    source = tmp_path / "all.c"
    text = elementary_source(elementary_names())
    source.write_text(text + "".join(loop(f"f32_{name}", ["x"]) for name in EXACT))
    assert "double" not in text
    assert re.findall(r"#include <(.*)>", text) == ["float.h", "stdint.h"]
    unused = "-Wno-unused-function"  # those that only formulas call
    subprocess.run([COMPILER, *FLAGS, unused, "-ffreestanding", "-c", "all.c"], cwd=tmp_path, check=True, timeout=60)
    symbols = subprocess.run(
        [shutil.which("nm"), "-u", "all.o"], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    assert symbols.stdout.decode().replace("_GLOBAL_OFFSET_TABLE_", "").split() in ([], ["U"])


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")
def test_clang_warns_of_nothing(tmp_path):
    (tmp_path / "all.c").write_text(elementary_source(["f32_power", "f32_asinh", "f32_sinc"]))
    command = ["clang", *FLAGS, "-Wno-unused-function", "-c", "all.c"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


def test_only_what_is_needed_is_printed():
    text = elementary_source(["f32_sigmoid"])
    assert set(re.findall(r"^static .*?(f32_\w+)\(", text, re.MULTILINE)) == {
        "f32_bits",
        "f32_number",
        "f32_absolute",
        "f32_two_to",
        "f32_exponential_polynomial",
        "f32_exp_sum",
        "f32_exp",
        "f32_sigmoid",
    }
    assert "static" not in elementary_source([])


def test_a_function_that_there_is_not_is_refused_with_the_nearest_name():
    with pytest.raises(ExportError, match="f32_sigmoid"):
        elementary_source(["f32_sigmoidal"])
