"""GPU kernels on a GPU, for every entry and for more than 2^31 numbers.

Run: pytest tests/codegen/gpu/test_card.py -m gpu -n 12    (a few minutes; compiling takes most of them)
"""

from __future__ import annotations

import pytest
import torch
from tests.codegen.gpu.test_kernel import DTYPES, assert_agrees, assert_near, assert_tails, reference

from actlab.codegen.gpu.kernel import GpuKernel, kernel
from actlab.functions.activation import names
from actlab.functions.grammar import parse

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"),
]


def moved(value, device):
    """Return tensors, alone or in tuples, on a device."""
    if isinstance(value, tuple):
        return tuple(moved(part, device) for part in value)
    return value.to(device)


class Card:
    """Runs kernels on the GPU, with CPU tensors."""

    def forward(self, spec, *arguments, gate="second"):
        return moved(GpuKernel(parse(spec), gate).forward(*moved(arguments, "cuda")), "cpu")

    def backward(self, spec, *arguments, gate="second"):
        return moved(GpuKernel(parse(spec), gate).backward(*moved(arguments, "cuda")), "cpu")


@pytest.mark.parametrize("spec", [*names("elementwise"), *names("gated")])
def test_both_passes_of_every_entry_agree_with_float64(spec):
    for dtype in DTYPES:
        assert_agrees(Card(), spec, dtype)


@pytest.mark.parametrize("spec", names("elementwise"))
def test_tails_of_every_entry_are_those_of_the_torch_reading(spec):
    assert_tails(Card(), spec)


@pytest.mark.parametrize("gate", ["second", "first", "interleaved"])
@pytest.mark.parametrize("shape", [(6, 10), (3, 2, 136), (33, 28672)])
def test_packed_inputs_have_their_gate_in_any_half(gate, shape):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    grad = torch.randn((*shape[:-1], shape[-1] // 2), generator=torch.Generator().manual_seed(1))
    value, slope, _ = reference("swiglu", z, grad, gate)

    y = Card().forward("swiglu", z, gate=gate)
    (dz,) = Card().backward("swiglu", grad, z, gate=gate)

    assert_near(y, value, torch.float32, "value")
    assert_near(dz, slope, torch.float32, "slope")


@pytest.mark.parametrize("shape", [(300, 5), (8192, 768), (16, 64, 56, 56), (2, 5, 3)])
def test_parameters_vary_by_channel(shape):
    spec, channels = "elu(alpha=learned_per_channel)", shape[1]
    x, grad = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).unbind()
    alpha = torch.linspace(0.5, 2, channels)
    spread = alpha.double().view(-1, *([1] * (x.dim() - 2)))
    want = torch.where(x > 0, 0.0, torch.expm1(x.double())) * grad.double()

    y = Card().forward(spec, x, alpha)
    _, dalpha = Card().backward(spec, grad, x, alpha)

    assert_near(y, torch.where(x > 0, x.double(), spread * torch.expm1(x.double())), torch.float32, "value")
    found = want.transpose(0, 1).reshape(channels, -1).sum(1)
    torch.testing.assert_close(dalpha.double(), found, rtol=1e-5, atol=1e-5 * want.abs().sum().item() / channels)


def test_sums_are_the_same_in_every_run():
    x, grad = torch.randn(2, 2**24, device="cuda", generator=torch.Generator("cuda").manual_seed(0)).unbind()
    weight = torch.tensor(0.25, device="cuda")

    found = {kernel(parse("prelu")).backward(grad, x, weight)[1].item() for _ in range(10)}

    assert len(found) == 1
    want = (grad.double() * x.double().clamp_max(0)).sum().item()
    assert abs(found.pop() - want) < 1e-6 * (grad.double() * x.double()).abs().sum().item()


@pytest.mark.parametrize("spec", ["relu", "reglu"])
def test_tensors_of_more_than_2_to_the_31_numbers_are_computed_to_their_end(spec):
    if torch.cuda.mem_get_info()[0] < 3 * 2**33:
        pytest.skip("needs 24 GB of the card's memory")
    numbers = 2**31 + 2**14
    x = torch.empty(numbers // 2**14, 2**14, dtype=torch.bfloat16, device="cuda").fill_(-1.0)
    x[-1] = 3.0  # only numbers beyond 31-bit indices are positive

    y = kernel(parse(spec)).forward(x)

    assert (y[-1] == (3.0 if spec == "relu" else 9.0)).all()
    assert not y[:-1].any()
    (dx,) = kernel(parse(spec)).backward(torch.ones_like(y), x)
    assert (dx[-1] == (1.0 if spec == "relu" else 3.0)).all()
    assert not dx[:-1].any()


def test_the_current_device_is_left_as_it_was():
    before = torch.cuda.current_device()
    kernel(parse("silu")).forward(torch.ones(5, device="cuda"))

    assert torch.cuda.current_device() == before
