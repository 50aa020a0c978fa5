"""CPU kernels against the float64 reference and torch code, in every dtype and layout."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import torch

from actlab.codegen import pytorch
from actlab.codegen.cpu import jit, launch, source
from actlab.codegen.cpu import kernel as cpu
from actlab.codegen.cpu.kernel import CpuKernel, kernel
from actlab.codegen.cpu.row_loop import kernel_text
from actlab.codegen.forward_backward import passes
from actlab.errors import KernelError
from actlab.functions.activation import get, names
from actlab.functions.formula import canonical, derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer
from actlab.testing.activation_checks import sample

TOLERANCE = {  # relative, absolute: those of actlab.testing.activation_checks, times 4: a reciprocal and a shared exponential add roundings
    torch.float32: (1.6e-5, 1e-6),
    torch.float64: (4e-11, 5e-13),
    torch.bfloat16: (2**-8 + 1.6e-5, 1e-6),  # computed in float32, rounded once
    torch.float16: (2**-11 + 1.6e-5, 1e-6),
}
TAILS = (-inf, -1e30, -1e4, -1e2, -30.0, -0.0, 0.0, 1e-30, 30.0, 1e2, 1e4, 1e30, inf, nan)
NAMED = [
    "mish",
    "tanh",
    "telu",
    "squared_relu",
    "gelu_tanh",
    "gelu",
    "silu",
    "relu",
    "swiglu",
    "geglu",
    "snake",
    "elu",
    "softplus",
    "serf",
    "atan",
]
LEARNED = [
    "swish(beta=learned)",
    "prelu(weight=learned_per_channel)",
    "snake(learned_per_channel(0.7))",
    "elu(alpha=learned_per_channel)",
]


@pytest.fixture(autouse=True, scope="module")
def kernel_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if "ACTLAB_CACHE" not in os.environ:
            patch.setenv("ACTLAB_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


def inputs_of(name: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Return a grid over [-8, 8] off the breakpoints and the tails; of gated functions with a value for each gate."""
    x = torch.cat([sample(name).reshape(-1), torch.tensor(TAILS, dtype=torch.float64)]).to(dtype)
    gated = get(name).kind == "gated"
    return (x, torch.cat([x[:-14].flip(0) * 0.4, torch.full((14,), 0.5)]).to(dtype)) if gated else (x,)


def agree(
    got: torch.Tensor, want: torch.Tensor, in_torch: torch.Tensor, dtype: torch.dtype, condition: torch.Tensor
) -> torch.Tensor:
    """Return where a result equals the reference within the tolerance, or the result of torch code where that is not finite either."""
    relative, absolute = TOLERANCE[dtype]
    unit = torch.finfo(torch.float32 if dtype.itemsize == 2 else dtype).eps
    got, want, in_torch = got.double(), want.to(dtype).double(), in_torch.double()
    near = (got - want).abs() <= absolute + relative * want.abs() + 16 * unit * condition
    return (
        near
        | (got.isnan() & want.isnan())
        | (got == want)
        | (got == in_torch)
        | in_torch.isnan()
        | (in_torch.isinf() & ~got.isnan())
    )


def check(name: str, dtype: torch.dtype) -> None:
    """Compare value and gradients of one entry with NumPy in float64; at infinities and overflows with torch code."""
    record, spec = get(name), parse(name)
    inputs = inputs_of(name, dtype)
    constants = tuple(spec.numbers.items())
    frozen = parse(f"{name}({', '.join(f'{key}={value!r}' for key, value in constants)})" if constants else name)
    kernel_ = CpuKernel(frozen)
    x = inputs if len(inputs) > 1 else inputs[0]
    value = kernel_.forward(x)
    slopes = kernel_.backward(torch.ones_like(value), x)[0]
    formula = record.formula.xreplace({p.symbol: spec.numbers[p.name] for p in record.parameters})
    points = [part.double().numpy() for part in inputs]
    leaves = [part.clone().requires_grad_() for part in inputs]
    torch_value = pytorch.function(record, tuple(frozen.assigned))(*leaves)
    torch_slopes = (
        torch.autograd.grad(torch_value.sum(), leaves, allow_unused=True)
        if torch_value.requires_grad
        else [None] * len(leaves)
    )
    forms = [formula, *(canonical(derivative(formula, symbol)) for symbol in record.inputs)]
    results = [value, *(slopes if isinstance(slopes, tuple) else (slopes,))]
    references = [
        torch_value.detach(),
        *(torch.zeros_like(x) if g is None else g for g, x in zip(torch_slopes, leaves, strict=True)),
    ]
    for form, got, in_torch in zip(forms, results, references, strict=True):
        want = torch.from_numpy(numeric(form, record.inputs)(*points))
        with np.errstate(all="ignore"):
            slope = numeric(canonical(derivative(form, record.inputs[0])), record.inputs)(*points)
            condition = torch.from_numpy(points[0] * slope)
        good = agree(got, want, in_torch, dtype, condition.abs().nan_to_num(0.0, 0.0, 0.0))
        worst = (~good).nonzero().flatten()[:5]
        assert good.all(), (name, [p[worst.numpy()] for p in points], got[worst], want[worst], in_torch[worst])


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_value_and_gradient_agree_with_float64(name, dtype):
    if dtype is torch.float16 and not jit.converts_half():
        pytest.skip("this processor does not convert float16")
    check(name, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", names("elementwise") + names("gated"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_every_entry_agrees_with_float64_in_every_dtype(name, dtype):
    check(name, dtype)


@pytest.mark.parametrize("name", (names("elementwise") + names("gated"))[::12])  # all of them under the marker slow
def test_an_entry_nobody_wrote_a_kernel_for_has_one(name):
    text = kernel(parse(name)).text

    assert "def forward(" in text
    assert "def backward(grad, " in text
    check(name, torch.float32)


def test_a_whole_exponent_among_the_parameters_is_a_product():
    assert "power(maximum(x, 0.0), 3)" in kernel(parse("repu(3)")).text
    assert "power(maximum(x, 0.0), 2.7)" in kernel(parse("repu(2.7)")).text


@pytest.mark.parametrize("spec", LEARNED)
@pytest.mark.parametrize("shape", [(5, 3, 7), (6, 3), (2, 3, 5, 20), (1, 3, 1000), (0, 3, 4)])
def test_gradients_of_learned_parameters_are_summed_in_the_same_pass(spec, shape):
    module = layer(spec, channels=3, native=False, dtype=torch.float64)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    parameters = [p.detach() for p in module.parameters()]
    leaf = x.double().requires_grad_()
    y = module(leaf)
    y.backward(grad.double())

    made = kernel(parse(spec))
    dx, *dparameters = made.backward(grad, x, *(p.float() for p in parameters))

    torch.testing.assert_close(
        made.forward(x, *(p.float() for p in parameters)).double(), y.detach(), rtol=4e-6, atol=1e-6
    )
    torch.testing.assert_close(dx.double(), leaf.grad, rtol=4e-6, atol=1e-6)
    for got, parameter in zip(dparameters, module.parameters(), strict=True):
        assert got.shape == parameter.shape
        torch.testing.assert_close(got.double(), parameter.grad, rtol=2e-6, atol=3e-5)  # sums of 1000 terms around 1


def test_a_sum_of_a_million_terms_keeps_its_digits():
    x = torch.randn(2**20, generator=torch.Generator().manual_seed(0)) - 3
    _, got = kernel(parse("prelu")).backward(torch.ones_like(x), x, torch.tensor(0.25))

    assert got.item() == pytest.approx(x[x < 0].double().sum().item(), rel=1e-7)


@pytest.mark.parametrize("gate", ["second", "first", "interleaved"])
@pytest.mark.parametrize("shape", [(3, 14), (2, 5, 64), (4, 200), (0, 8), (12,)])
def test_packed_inputs_are_read_as_the_layer_reads_them(gate, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    leaf = x.clone().requires_grad_()
    y = layer("swiglu", native=False, gate=gate)(leaf)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    y.backward(grad)
    made = kernel(parse("swiglu"), gate)

    torch.testing.assert_close(made.forward(x), y.detach(), rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(made.backward(grad, x)[0], leaf.grad, rtol=4e-6, atol=1e-6)


def test_learned_parameters_of_gated_functions_are_summed_too():
    spec = "xswiglu"
    module = layer(spec, native=False, dtype=torch.float64)
    x = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    leaf = x.double().requires_grad_()
    module(leaf).sum().backward()

    dx, dalpha = kernel(parse(spec)).backward(torch.ones(4, 5), x, torch.zeros(()))

    torch.testing.assert_close(dx.double(), leaf.grad, rtol=4e-6, atol=1e-6)
    torch.testing.assert_close(dalpha.double(), module.alpha.grad.reshape(()), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 33, 1000, 4097])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_any_size_and_any_beginning_in_memory_will_do(size, dtype):
    whole = torch.randn(size + 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    around = torch.full((size + 6,), 7.0, dtype=dtype)
    mish = kernel(parse("mish"))

    for start in (0, 1, 3):
        x, out = whole[start : start + size], around[start : start + size]
        mish.forward(x, out=out)
        torch.testing.assert_close(out, mish.forward(x.clone()), rtol=0, atol=0)
        assert (around[start + size :] == 7).all()
        around.fill_(7.0)


def test_a_scalar_tensor_and_writing_in_place():
    mish = kernel(parse("mish"))
    x = torch.randn(100, generator=torch.Generator().manual_seed(0))
    want = mish.forward(x)

    assert mish.forward(torch.tensor(1.0)).shape == ()
    assert mish.forward(x, out=x) is x
    assert torch.equal(x, want)


def test_bfloat16_is_rounded_to_nearest_even_and_keeps_nan():
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    x = bits.view(torch.bfloat16)
    got, want = kernel(parse("identity")).forward(x), x
    half = kernel(parse("silu")).forward(x)
    wide = kernel(parse("silu")).forward(x.float())
    exact = wide.bfloat16()

    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got[~got.isnan()], want[~want.isnan()])
    assert torch.equal(half.isnan(), exact.isnan())
    subnormal = wide.abs() < torch.finfo(torch.bfloat16).tiny  # zero where the processor rounds by itself
    normal = ~exact.isnan() & ~subnormal
    assert torch.equal(half[normal], exact[normal])
    assert torch.equal(half[subnormal], exact[subnormal] * (0 if jit.rounds_to_bfloat16() else 1))


@pytest.mark.parametrize(("limit", "reach"), [("FETCHED", "memory"), ("STREAMED", "past")])
def test_large_tensors_are_fetched_ahead_or_go_past_the_cache_and_give_the_same(limit, reach, monkeypatch):
    x = torch.randn(2**13 + 5, generator=torch.Generator().manual_seed(0))
    packed = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    usual = [
        CpuKernel(parse("mish")).forward(x),
        CpuKernel(parse("swiglu")).backward(packed[:, :64].contiguous(), packed)[0],
    ]
    monkeypatch.setattr(cpu, limit, 1)
    made = CpuKernel(parse("mish"))
    streamed = [made.forward(x), CpuKernel(parse("swiglu")).backward(packed[:, :64].contiguous(), packed)[0]]

    assert all(map(torch.equal, usual, streamed))
    assert [key[-1] for key in made._functions] == [reach]


def test_what_is_not_written_in_whole_lines_does_not_go_past_the_cache(monkeypatch):
    monkeypatch.setattr(cpu, "STREAMED", 1)
    made, x = CpuKernel(parse("mish")), torch.randn(1000)
    made.forward(x, out=torch.empty(1001)[1:])

    assert [key[-1] for key in made._functions] == ["memory"]


def test_results_that_would_be_subnormal_are_zero_and_torch_keeps_its_own():
    if not jit.flushes():
        pytest.skip("asks for the control word of x86")
    tiny = torch.full((100,), 2.0**-126)
    x = torch.full((100,), -88.5)  # where x sigmoid(x) is 3.2e-37 and its slope's parts lie below 1.2e-38

    assert not kernel(parse("leaky_relu(0.25)")).forward(-tiny).any()
    assert kernel(parse("relu")).forward(tiny * 0.25).eq(tiny * 0.25).all()
    kernel(parse("silu")).backward(torch.ones(100), x)
    assert (tiny * 0.25).all()


def test_streaming_code_has_stores_past_the_cache():
    if "avx" not in jit.features():
        pytest.skip("looks for the names of x86")
    light, heavy = (kernel(parse(name)) for name in ("relu", "mish"))
    texts = [
        jit.assembly(kernel_text(made._loop("forward", "float32", False, False, "past"), made._body("forward")))
        for made in (light, heavy)
    ]

    # Beside a busy core half-written lines cost mish four times; where an instruction writes a whole line there are none.
    assert ["vmovntps" in text for text in texts] == [True, jit.writes_lines()]
    assert all("prefetcht0" in text for text in texts)
    assert "vmovntps" not in light.assembly("forward")


@pytest.mark.parametrize("name", ["mish", "gelu", "relu", "elu", "telu", "swiglu"])
def test_kernels_are_vector_code(name):
    if "avx" not in jit.features():
        pytest.skip("looks for the names of x86")
    for which in ("forward", "backward"):
        text = kernel(parse(name)).assembly(which)
        body = text[text.index("row:") : text.index("kernel:")]
        assert re.search(r"v(mul|max|min|fmadd\w+|and|cmp\w+)ps\s.*[yz]mm", body)
        assert not re.search(r"v(mul|add|fmadd\w+|div)ss", body), "scalar code"
        assert "call" not in body


@pytest.mark.parametrize("spec", ["mish", "prelu", "swish(beta=learned_per_channel)", "swiglu"])
def test_threads_share_the_work_and_change_no_value(spec, monkeypatch):
    x = torch.randn(4, 6, 500, generator=torch.Generator().manual_seed(0))
    made = CpuKernel(parse(spec))
    parameters = [torch.full((6,) if "channel" in spec else (), 0.3)] * len(made.learned)
    grad = torch.ones(4, 6, 250 if spec == "swiglu" else 500)
    alone = [made.forward(x, *parameters), *made.backward(grad, x, *parameters)]
    monkeypatch.setattr(launch, "SHARE", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = [made.forward(x, *parameters), *made.backward(grad, x, *parameters)]
    again = [made.forward(x, *parameters), *made.backward(grad, x, *parameters)]

    for one, three, repeated in zip(alone, together, again, strict=True):
        torch.testing.assert_close(one, three, rtol=1e-6, atol=1e-6)
        assert torch.equal(three, repeated)


def test_wrong_tensors_are_refused_with_advice():
    mish, swiglu, prelu = (kernel(parse(name)) for name in ("mish", "swiglu", "prelu(weight=learned_per_channel)"))
    x = torch.randn(4, 6)

    with pytest.raises(KernelError, match="contiguous"):
        mish.forward(x.T)
    with pytest.raises(KernelError, match="int64"):
        mish.forward(torch.arange(3))
    with pytest.raises(KernelError, match="contiguous tensors on the CPU"):
        mish.forward(x.to("meta"))
    with pytest.raises(KernelError, match="two halves"):
        swiglu.forward(torch.randn(3, 5))
    with pytest.raises(KernelError, match="gradient"):
        mish.backward(torch.ones(3), x)
    with pytest.raises(KernelError, match="4 channels"):
        prelu.forward(x, torch.ones(4))
    with pytest.raises(KernelError, match="learns"):
        prelu.forward(x)
    with pytest.raises(TypeError, match="tensor code"):
        kernel(parse("softmax"))


def test_a_wrong_slope_is_found(monkeypatch):
    def steeper(spec):
        both = passes(spec)
        return replace(both, gradients=tuple(1.001 * gradient for gradient in both.gradients))

    monkeypatch.setattr(source, "passes", steeper)
    monkeypatch.setattr(cpu, "_source_digest", lambda: "another source")

    with pytest.raises(AssertionError):
        check("mish", torch.float32)
