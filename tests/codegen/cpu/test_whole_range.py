"""Values and gradients of CPU kernels over the whole range of every dtype, from subnormal numbers to the largest."""

from __future__ import annotations

from math import exp, inf, isinf, log, nan

import numpy as np
import pytest
import torch
from tests.codegen.cpu.kernel_range import DTYPES, differences

import actlab
from actlab.codegen.cpu import jit
from actlab.functions.activation import names

MENDED = [
    "swish_t_a", "swish_t_b", "swish_t_c", "uaf", "xielu", "star_relu", "sinc", "gabor", "morlet", "powlu_unary",
    "squareplus", "smu1", "seagull", "mu_law", "hyper_sinh",
]  # fmt: skip
OTHERS = [
    "b_silu", "hosc", "ahaf", "dynamic_tanh", "bent_identity", "logish", "mish", "gelu", "geglu_tanh", "swiglu",
]  # fmt: skip
# By entry: the magnitudes from which it may differ (float32 and bfloat16, float64), and why.
PHASE = "a wave whose argument is rounded to more than its period, or overflows"
EXCEPTIONS = {
    "finer": ((100.0, 100.0), PHASE),
    "siren": ((1e37, 1e306), PHASE),
    "gelu_sinc": ((1e5, 1e14), PHASE),
    "rational_net": ((1e38, 1e307), "x times its numerator overflows where half of it would not"),
    "relu2glu": ((1e38, 1e307), "2 relu(x) overflows where 2 relu(x) times the value would not"),
}


# Other parameters, at the ends of their ranges, and others of the kind that no entry is.
OF_THE_KIND = [
    "squareplus(b=0)", "squareplus(b=1e18)", "squareplus(b=1e-18)", "smu1(alpha=0.5, mu=1e9)", "mu_law(mu=1e18)", "mu_law(mu=1e-18)",
    "nl_relu(beta=1e18)", "powlu_unary(m=0.5)", "isru(alpha=1e18)", "isrlu(alpha=100)", "multiquadratic(a=1e9)",
]  # fmt: skip


def assert_right(name: str, dtype: torch.dtype) -> None:
    for difference in differences(name, dtype):
        at = np.abs(difference.at)
        if name in EXCEPTIONS:
            at = at[at < EXCEPTIONS[name][0][dtype == torch.float64]]
        assert not at.size, (name, difference.which, difference.at[:5], difference.got[:5], difference.want[:5])


@pytest.mark.parametrize("name", [*MENDED, *OTHERS])
def test_a_kernel_is_right_over_all_of_float32(name):
    assert_right(name, torch.float32)


@pytest.mark.parametrize("name", OF_THE_KIND)
def test_a_kernel_is_right_over_all_of_float32_at_other_parameters(name):
    assert_right(name, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_kernel_is_right_over_the_whole_range(dtype):
    if dtype == torch.float16 and not jit.converts_half():
        pytest.skip("this processor does not convert float16")
    for name in names("elementwise") + names("gated"):
        assert_right(name, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["swish_t_a", "swish_t_b", "swish_t_c"])
def test_a_balanced_product_is_not_flushed_before_it_is_balanced(name, dtype):
    layer = actlab.layer(name, fast=True, dtype=dtype)
    layer.set_fast(always=True)

    got = layer(torch.tensor([-87.0, -200.0, -1e4, -1e30], dtype=dtype))

    torch.testing.assert_close(got.double(), torch.full((4,), -0.1, dtype=torch.float64), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("name", "x", "want"),
    [
        ("sinc", inf, 0.0),
        ("gabor", -inf, 0.0),
        ("morlet", inf, 0.0),
        ("squareplus", 1e30, 1e30),
        ("squareplus(b=1e18)", 1e25, 1e25),
        ("smu1", -1e30, -0.25e30),
        ("seagull", -1e38, 2 * log(1e38)),
        ("mu_law", -3e38, -(log(255) + log(3e38)) / log(256)),
        ("nl_relu(beta=1e18)", 1e30, 48 * log(10)),
        ("hyper_sinh", 90.0, exp(90) / 6),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_far_out_the_value_is_finite_in_torch_code_and_in_the_kernel(name, x, want, fast):
    layer = actlab.layer(name, fast=fast)
    layer.set_fast(fast, always=fast)

    point = torch.tensor([x], requires_grad=True)
    value = layer(point)
    value.backward()

    assert value.item() == pytest.approx(want, rel=1e-5, abs=1e-18)
    assert isinf(x) or point.grad.isfinite()


@pytest.mark.parametrize("fast", [False, True])
def test_ternary_hands_nan_on(fast):
    layer = actlab.layer("ternary", fast=fast)
    layer.set_fast(fast, always=fast)

    got = layer(torch.tensor([nan, -1.0, 0.0, 0.01, 1.0]))

    assert got[0].isnan()
    assert got[1:].tolist() == [-1.0, 0.0, 0.0, 1.0]
