"""GPU kernels of gradient rules against their formulas, in Triton's interpreter."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from tests.codegen.cpu.test_rule_kernel import KEY, SPECS
from tests.codegen.gpu.interpreter import Interpreter

from actlab.codegen import counter_rng
from actlab.codegen.cpu.rule_kernel import rule_kernel
from actlab.codegen.gpu.disassembly import rule_code
from actlab.codegen.gpu.kernel import NoTritonError
from actlab.codegen.gpu.rule_kernel import gpu_rule_kernel, rule_text
from actlab.codegen.rule_gradient import gradient
from actlab.errors import KernelError
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# In bfloat16 the interpreter truncates where a GPU rounds: one unit in the last place of 8 bits.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2**-7 * 1.01, torch.float16: 2**-10 * 1.01}
SIZES = (0, 1, 7, 64, 65, 2051)


@pytest.fixture(scope="module")
def interpreter():
    with Interpreter() as found:
        yield found


def run(spec, x, grad, key, **options):
    """Run both passes; called in the interpreter's process."""
    import warnings

    from actlab.codegen.gpu import rule_kernel as home

    warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns where a GPU gives infinity or NaN
    kernel = home.GpuRuleKernel(home.rule_passes(parse(spec)), **{k: v for k, v in options.items() if k != "wide"})
    needs = home.needs_wide
    home.needs_wide = (lambda _: True) if options.get("wide") else needs
    try:
        y, kept = kernel.forward(x)
        return y, kept, kernel.backward(grad, kept, key)
    finally:
        home.needs_wide = needs


def assert_agrees(spec, x, grad, got):
    y, _, dx = got
    rule = gradient(parse(spec))
    plain = layer(parse(spec).forward, native=False)(x)
    wanted = rule.code(grad, *rule.gather(x, plain, KEY, []))
    assert dx.dtype == y.dtype == x.dtype
    near = TOLERANCE[x.dtype]
    torch.testing.assert_close(y, plain, rtol=near, atol=1e-6)
    # The interpreter truncates constants to bfloat16; in the other dtypes selected values are exact.
    assert not rule_kernel(parse(spec)).is_exact or x.dtype == torch.bfloat16 or torch.equal(y, plain)
    torch.testing.assert_close(dx, wanted, rtol=near, atol=near)


@pytest.mark.parametrize("spec", SPECS)
def test_both_passes_compute_what_the_formula_does(interpreter, spec):
    generator = torch.Generator().manual_seed(1)
    for dtype in TOLERANCE:
        for size in SIZES if dtype == torch.float32 else SIZES[-1:]:
            x, grad = ((torch.randn(size, generator=generator) * 1.5).to(dtype) for _ in range(2))
            assert_agrees(spec, x, grad, interpreter.call(run, spec, x, grad, KEY))


@pytest.mark.parametrize("options", [{}, {"wide": True}, {"block": 256}], ids=str)
def test_noise_is_the_cpus_to_the_bit(interpreter, options):
    ones = torch.ones(5001)
    _, _, dx = interpreter.call(_with, "relu/jam", ones, ones, options)

    assert torch.equal(dx, counter_rng.uniform(KEY, (5001,)))
    assert torch.equal(dx, rule_kernel(parse("relu/jam")).backward(ones, None, KEY))


def _with(spec, x, grad, options):
    return run(spec, x, grad, KEY, **options)


def test_normal_noise_is_the_cpus_far_into_its_tails(interpreter):
    zeros = torch.zeros(1 << 16)
    _, _, dx = interpreter.call(run, "relu/noise(sigma=1)", zeros, zeros, KEY)
    wanted = counter_rng.normal(KEY, (1 << 16,))

    assert wanted.abs().max() > 4
    torch.testing.assert_close(dx, wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 2048, 5001])
@pytest.mark.parametrize("spec", ["sign/clipped", "relu/positive_jam"])
def test_the_bits_are_the_bytes_that_the_cpu_keeps(interpreter, spec, size):
    x = torch.randn(size, generator=torch.Generator().manual_seed(size))
    _, kept, _ = interpreter.call(run, spec, x, x, KEY)
    _, wanted = rule_kernel(parse(spec)).forward(x)

    assert kept.shape == wanted.shape
    assert np.array_equal(*(np.unpackbits(b.numpy(), count=size, bitorder="little") for b in (kept, wanted)))


def test_the_check_finds_a_wrong_bit_and_another_key(interpreter):
    x, grad = torch.randn(100, generator=torch.Generator().manual_seed(0)), torch.ones(100)
    y, kept, dx = interpreter.call(run, "sign/clipped", x, grad, KEY)
    dx[17] = 1 - dx[17]
    with pytest.raises(AssertionError):
        assert_agrees("sign/clipped", x, grad, (y, kept, dx))

    got = interpreter.call(run, "relu/jam", x, grad, KEY + 1)
    with pytest.raises(AssertionError):
        assert_agrees("relu/jam", x, grad, got)


def test_infinite_gradients_and_inputs(interpreter):
    x = torch.tensor([-torch.inf, 0.0, torch.inf, torch.nan] * 9)
    _, _, dx = interpreter.call(run, "sign/rect", x, torch.full((36,), torch.inf), None)

    assert dx.tolist() == [0.0, torch.inf, 0.0, 0.0] * 9


@pytest.mark.parametrize(
    "spec", ["relu", "relu/fixed_random", "sigmoid/shuffled", "rsign/clipped", "step/arctan(alpha=learned)"]
)
def test_what_has_no_kernel_on_the_cpu_has_none_here(spec):
    assert gpu_rule_kernel(parse(spec)) is None
    if "/" in spec:
        with pytest.raises(KernelError, match="has no kernel"):
            rule_text(parse(spec))


def test_wrong_use_is_told():
    made = gpu_rule_kernel(parse("relu/jam"))
    with pytest.raises(KernelError, match="contiguous float32"):
        made.forward(torch.ones(3, dtype=torch.float64))
    with pytest.raises(KernelError, match="contiguous"):
        made.forward(torch.ones(3, 4).T)
    with pytest.raises(NoTritonError, match="CUDA"):
        made.forward(torch.ones(3))


@pytest.mark.parametrize(("capability", "dtype"), [(80, torch.bfloat16), (90, torch.float32)])
@pytest.mark.parametrize(
    ("spec", "kept"),
    [("relu/jam", 0), ("step/rect", 1), ("relu/positive_jam", 1), ("sign/arctan", 2), ("relu/noise", 0)],
)
def test_memory_moves_in_vectors_and_nothing_is_float64(spec, kept, dtype, capability):
    for which in ("forward", "backward"):
        found = rule_code(gpu_rule_kernel(parse(spec)), which, dtype, capability=capability)
        vectors = found.numbers * dtype.itemsize // 16
        reads = 2 if which == "backward" and kept == 2 else 1
        assert not found.computes_in_float64
        assert found.counts["call"] == found.counts["st.local"] == 0
        assert found.counts["ld.global.v4"] == reads * vectors, found.counts
        assert found.counts["st.global.v4"] == vectors
        noisy = 2 * ("noise" in spec or "jam" in spec)  # the key's two words
        assert found.counts["ld.global"] == (
            (kept == 1) + noisy if which == "backward" else 0
        )  # of bits a thread reads its bytes at once
        assert found.counts["st.global"] == (kept == 1 and which == "forward")


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("spec", SPECS)
def test_both_passes_compute_what_the_formula_does_on_a_card(spec):
    generator = torch.Generator().manual_seed(1)
    for dtype in TOLERANCE:
        for size in (1, 65, 100_003):
            x, grad = ((torch.randn(size, generator=generator) * 1.5).to(dtype) for _ in range(2))
            got = run(spec, x.cuda(), grad.cuda(), KEY.cuda())
            assert_agrees(spec, x, grad, [None if part is None else part.cpu() for part in got])
