"""Machine code of GPU kernels, compiled without a GPU."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from actlab.codegen.gpu.disassembly import Code, code
from actlab.codegen.gpu.kernel import kernel
from actlab.functions.activation import names
from actlab.functions.grammar import parse

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

CARDS = [(80, torch.bfloat16), (90, torch.float32)]
REPRESENTATIVE = ("gelu", "mish", "prelu", "swiglu", "swiglu_interleaved", "snake")


def of(spec, which, dtype, capability, **options):
    name = spec.removesuffix("_interleaved")
    gate = "second" if name == spec else "interleaved"
    return code(kernel(parse(name), gate), which, dtype, capability=capability, **options)


def assert_fast(spec, which, dtype, capability):
    """Memory moves 16 bytes at a time, and nothing is computed in float64, called, or kept in memory beside the tensors."""
    found = of(spec, which, dtype, capability)
    assert not found.computes_in_float64
    per_thread = found.numbers * dtype.itemsize // 16
    gated = parse(spec.removesuffix("_interleaved")).activation.kind == "gated"
    inputs = 2 if gated else 1
    reads, writes = (inputs, 1) if which == "forward" else (inputs + 1, inputs)
    # Inputs that a gradient does not depend on are not read: the input of the identity, both tensors of a step.
    assert found.counts["ld.global.v4"] in {count * per_thread for count in range(reads + 1)}, found.counts
    assert found.counts["st.global.v4"] == writes * per_thread, found.counts
    assert found.counts["call"] == found.counts["st.local"] == 0
    parameters = len(kernel(parse(spec.removesuffix("_interleaved"))).learned)
    assert found.counts["ld.global"] <= parameters  # each one number, at most once
    assert found.counts["st.global"] == (parameters if which == "backward" else 0)


@pytest.mark.parametrize(("capability", "dtype"), CARDS)
@pytest.mark.parametrize("which", ["forward", "backward"])
@pytest.mark.parametrize("spec", REPRESENTATIVE)
def test_memory_moves_in_vectors_and_nothing_is_float64(spec, which, dtype, capability):
    assert_fast(spec, which, dtype, capability)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*names("elementwise"), *names("gated")])
def test_memory_moves_in_vectors_and_nothing_is_float64_in_every_entry(spec):
    for capability in (80, 90):
        for dtype in (torch.bfloat16, torch.float32):
            for which in ("forward", "backward"):
                assert_fast(spec, which, dtype, capability)


def test_mish_takes_one_exponential_and_one_reciprocal_in_either_pass():
    for which in ("forward", "backward"):
        found = of("mish", which, torch.bfloat16, 90)
        assert found.counts["ex2"] == found.counts["rsqrt"] == found.numbers
        assert found.counts["div"] == found.counts["lg2"] == 0


def test_places_of_64_bits_are_computed_where_they_are_asked_for():
    narrow, wide = (of("relu", "forward", torch.bfloat16, 90, wide=flag) for flag in (False, True))

    assert "mul.lo.s64" in wide.ptx or "mad.lo.s64" in wide.ptx or "shl.b64" in wide.ptx
    assert wide.ptx != narrow.ptx
    assert wide.counts["ld.global.v4"] == narrow.counts["ld.global.v4"]


def test_instructions_are_counted_per_number():
    found = of("relu", "forward", torch.bfloat16, 90)

    assert found.instructions["LDG"] == 2
    assert 1 < found.per_number < 8
    assert of("gelu", "forward", torch.bfloat16, 90).per_number > found.per_number


def test_float64_is_seen():
    assert Code("\tcvt.f64.f32 %fd1, %f1;\n", b"", 1).computes_in_float64


def test_scalar_access_is_counted_apart():
    found = Code(
        "\tld.global.b16 %rs1, [%rd1];\n\t@%p1 ld.global.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];\n", b"", 1
    )

    assert found.counts["ld.global"] == found.counts["ld.global.v4"] == 1
