"""CPU kernels of gradient rules against torch code, at vector edges, with noise and threads."""

from __future__ import annotations

import pytest
import torch

from actlab.codegen import counter_rng
from actlab.codegen.cpu import jit
from actlab.codegen.cpu.rule_kernel import CpuRuleKernel, can_run_rule_kernel, rule_kernel
from actlab.codegen.rule_gradient import gradient
from actlab.codegen.rule_passes import RulePasses
from actlab.functions.grammar import parse
from actlab.functions.rule import get_rule, rules
from actlab.nn.layers.layer import layer

KEY = torch.tensor([-5, 77], dtype=torch.int32)
SPECS = [f"sign/{name}" for name in rules() if {*get_rule(name).ingredients} <= {"x", "u", "grad", "normal"}] + [
    "relu/grad(mish)",
    "step/leaky_spike",
    "step/stochastic_spike",
    "dorefa/ewgs",
    "hwgq/through",
    "elu/0.5",
    "hardtanh/rect",
]
SIZES = (0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 1000, 4097)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-6, torch.bfloat16: 2**-7}


def check(kernel: CpuRuleKernel, x: torch.Tensor, grad: torch.Tensor) -> None:
    spec, rule = kernel.gradient.spec, gradient(kernel.gradient.spec)
    y, kept = kernel.forward(x)
    got = kernel.backward(grad, kept, KEY if rule.is_noisy else None)

    plain = layer(spec.forward, native=False)(x)
    wanted = rule.code(grad, *rule.gather(x, plain, KEY, []))
    torch.testing.assert_close(y, plain, rtol=TOLERANCE[x.dtype], atol=1e-6)
    assert not kernel.is_exact or torch.equal(y, plain)
    near = max(TOLERANCE[x.dtype], 3e-6 if "normal" in rule.ingredients else 0.0)  # noise has the digits of float32
    torch.testing.assert_close(got, wanted, rtol=near, atol=near)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("spec", SPECS)
def test_a_kernel_computes_what_the_reading_does(spec, dtype):
    kernel = rule_kernel(parse(spec))
    generator = torch.Generator().manual_seed(1)
    for size in SIZES:
        x = (torch.randn(size, generator=generator, dtype=torch.float64) * 1.5).to(dtype)
        check(kernel, x, torch.randn(size, generator=generator, dtype=torch.float64).to(dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_noise_is_that_of_the_counter_to_the_bit(dtype):
    kernel = rule_kernel(parse("relu/jam"))
    ones = torch.ones(5001, dtype=dtype)

    got = kernel.backward(ones, None, KEY)

    assert torch.equal(got, counter_rng.uniform(KEY, (5001,)).to(dtype))


def test_normal_noise_is_that_of_the_counter_far_into_its_tails():
    kernel = rule_kernel(parse("relu/noise(sigma=1)"))
    zeros = torch.zeros(1 << 22)

    got, wanted = kernel.backward(zeros, None, KEY), counter_rng.normal(KEY, (1 << 22,))

    assert wanted.abs().max() > 5
    torch.testing.assert_close(got, wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("spec", ["relu/positive_jam", "sign/rect", "sign/arctan"])
def test_threads_change_nothing(spec):
    kernel = rule_kernel(parse(spec))
    x, grad = torch.randn(400_003), torch.randn(400_003)
    y, kept = kernel.forward(x)
    alone = kernel.backward(grad, kept, KEY)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again, shared = kernel.forward(x)
        assert torch.equal(again, y)
        assert torch.equal(kernel.backward(grad, shared, KEY), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("spec", "keep"),
    [
        ("sign/1", "nothing"),
        ("relu/jam", "nothing"),
        ("sign/sign_only", "nothing"),
        ("sign/clipped", "bits"),
        ("relu/positive_jam", "bits"),
        ("sign/arctan", "input"),
    ],
)
def test_what_is_kept(spec, keep):
    kernel = rule_kernel(parse(spec))
    x = torch.randn(1024)
    _, kept = kernel.forward(x)

    assert kernel.keep == keep
    assert kept is x if keep == "input" else (0 if kept is None else kept.numel()) == (128 if keep == "bits" else 0)


@pytest.mark.parametrize(
    "spec",
    [
        "relu",
        "relu/fixed_random",
        "sigmoid/shuffled",
        "rsign/clipped",
        "step/arctan(alpha=learned)",
    ],
)
def test_what_has_no_kernel(spec):
    assert rule_kernel(parse(spec)) is None


def test_infinite_gradients_and_inputs():
    kernel = rule_kernel(parse("sign/rect"))
    x = torch.tensor([-torch.inf, 0.0, torch.inf, torch.nan] * 9)
    _, kept = kernel.forward(x)

    assert kernel.backward(torch.full((36,), torch.inf), kept, None).tolist() == [0.0, torch.inf, 0.0, 0.0] * 9


def test_without_a_compiler_there_are_no_kernels(monkeypatch):
    from actlab.codegen.cpu import rule_kernel as module

    def missing() -> str:
        raise jit.NoCompilerError("none")

    module._has_compiler.cache_clear()
    monkeypatch.setattr(jit, "fingerprint", missing)
    try:
        assert not can_run_rule_kernel(torch.ones(1))
        x = torch.ones(3, requires_grad=True)
        layer("sign/0.5")(x).sum().backward()
        assert x.grad.tolist() == [0.5] * 3
    finally:
        module._has_compiler.cache_clear()


def test_a_wrong_bit_is_found(monkeypatch):
    kernel = CpuRuleKernel(RulePasses(gradient(parse("sign/clipped"))))
    right = kernel.forward

    def flipped(x):
        y, kept = right(x)
        kept[0] ^= 1
        return y, kept

    monkeypatch.setattr(kernel, "forward", flipped)
    with pytest.raises(AssertionError):
        check(kernel, torch.randn(64), torch.ones(64))
