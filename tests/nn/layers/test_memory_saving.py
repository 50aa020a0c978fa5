"""SlimLayer: the same output to the bit, the same gradient, fewer saved bytes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from tests.codegen.test_saved_for_backward import BITS, FROM_OUTPUT, NOTHING

from actlab.errors import LayerError
from actlab.functions.formula.quadrature import breakpoints
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer
from actlab.nn.layers.memory_saving import SlimLayer
from actlab.nn.probes.saved_tensors import SavedTensors


def inputs(spec: str, dtype: torch.dtype) -> torch.Tensor:
    """Return test points: the kinks, the numbers next to them, and points around."""
    record = parse(spec).activation
    numbers = {p.symbol: parse(spec).numbers[p.name] for p in record.parameters}
    edges = torch.tensor([0.0, *breakpoints(record.formula.xreplace(numbers), record.inputs[0])]).to(dtype)
    near = [edges.nextafter(torch.tensor(end, dtype=dtype)) for end in (-100.0, 100.0)]
    points = torch.cat([edges, *near, torch.linspace(-12, 12, 2001).to(dtype)])
    return points[(points == 0) | (points.abs() > 1e-30)].requires_grad_()


def gradients(spec: str, keep: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradient of the SlimLayer, that of the plain layer, and the size of the slopes."""
    x = inputs(spec, dtype)
    plain, slim = layer(spec)(x), SlimLayer(spec, keep)(x)
    assert torch.equal(plain, slim)
    ours, theirs = (torch.autograd.grad(y, x, torch.ones_like(y))[0] for y in (slim, plain))
    return ours, theirs, theirs.abs().clamp(min=float(theirs.abs().clamp(max=1).max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", BITS)
def test_the_gradient_from_bits_is_autograds_to_the_bit(name, dtype):
    ours, theirs, _ = gradients(name, "bits", dtype)

    # bfloat16: the level is a Python number, torch's is rounded on the way
    torch.testing.assert_close(ours, theirs, rtol=2**-7 if dtype == torch.bfloat16 else 1e-6, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [name for name in FROM_OUTPUT if name not in NOTHING])
def test_the_gradient_from_the_output_is_autograds_within_the_bound_stated(name, dtype):
    ours, theirs, scale = gradients(name, "output", dtype)

    error = ((ours - theirs).abs() / scale).max().item()
    assert error <= 2 * 16 * torch.finfo(torch.float32).eps  # the error of this slope and of autograd's


@pytest.mark.parametrize("name", ["softplus", "leaky_relu", "elu_plus_one", "tanh", "elu", "sigmoid"])
def test_in_bfloat16_small_slopes_keep_their_size(name):
    ours, theirs, _ = gradients(name, "output", torch.bfloat16)

    torch.testing.assert_close(ours, theirs, rtol=3 * 2**-7, atol=1e-30)


def test_bytes_are_those_predicted_from_the_formula():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def kept(module):
        with SavedTensors([x]) as ledger:
            y = module(x)
            return ledger.bytes - (y.numel() * 4 if y.untyped_storage().data_ptr() in ledger.sizes else 0), ledger.bytes

    assert kept(SlimLayer("leaky_relu", "bits")) == (512, 512)
    assert kept(SlimLayer("plan_sigmoid", "bits")) == (1024, 1024)
    assert kept(SlimLayer("elu", "output")) == (0, 16384)


@pytest.mark.parametrize(("spec", "keep"), [("elu", "output"), ("softplus", "output"), ("leaky_relu(0.2)", "bits")])
def test_the_gradient_has_a_gradient(spec, keep):
    x = torch.linspace(-2, 2, 8, dtype=torch.float64).requires_grad_()

    assert torch.autograd.gradcheck(SlimLayer(spec, keep), x)
    assert torch.autograd.gradgradcheck(SlimLayer(spec, keep), x)


def test_an_infinite_gradient_stays_zero_where_the_slope_is():
    x = torch.tensor([-1.0, 1.0], requires_grad=True)
    (got,) = torch.autograd.grad(SlimLayer("relu", "bits")(x), x, torch.tensor([float("inf")] * 2))

    assert got.tolist() == [0.0, float("inf")]


def test_copies_and_pickles_compute_the_same():
    module, x = SlimLayer("elu(0.5)", "output"), torch.linspace(-2, 2, 9)

    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        z = x.clone().requires_grad_()
        other(z).sum().backward()
        torch.testing.assert_close(z.grad, torch.where(x > 0, 1.0, 0.5 * x.exp()))
    assert repr(module) == "SlimLayer(elu(alpha=0.5), keep='output')"


@pytest.mark.parametrize(
    ("spec", "keep", "words"),
    [
        ("gelu", "output", "its backward pass needs the input"),
        ("elu", "bits", "got keep='bits'; it can keep output"),
        ("leaky_relu", "input", "keep is 'output' or 'bits', got 'input'; it can keep output or bits"),
        ("prelu", "output", "needs the input"),
        ("swiglu", "output", "needs the input"),
        ("softmax", "bits", "needs the input"),
    ],
)
def test_what_cannot_be_kept_is_refused(spec, keep, words):
    with pytest.raises(LayerError, match=words):
        SlimLayer(spec, keep)


def test_a_falling_line_below_zero_is_told_by_a_bit_and_not_by_the_output():
    x = torch.tensor([-2.0, 3.0], requires_grad=True)
    SlimLayer("leaky_relu(-0.5)", "bits")(x).sum().backward()

    assert x.grad.tolist() == [-0.5, 1.0]
    with pytest.raises(LayerError, match="got keep='output'; it can keep bits"):
        SlimLayer("leaky_relu(-0.5)", "output")


def test_a_wrong_slope_would_be_seen(monkeypatch):
    module = SlimLayer("tanh", "output")
    monkeypatch.setattr(module._saver, "slope", lambda y: 1 - y)
    x = torch.linspace(-2, 2, 9).requires_grad_()

    (got,) = torch.autograd.grad(module(x), x, torch.ones(9))

    with pytest.raises(AssertionError):
        torch.testing.assert_close(got, 1 - torch.tanh(x) ** 2)


@pytest.mark.parametrize("name", ["elu", "leaky_relu(0.2)", "elu(0.5)"])
def test_torchs_kernels_agree_with_the_formula(name):
    module, x = SlimLayer(name, "output"), torch.linspace(-4, 4, 41)
    y, grad = module(x), torch.linspace(1, 2, 41)

    with_kernel = module._saver.gradient(grad, y)
    module._saver.kernel = None

    torch.testing.assert_close(with_kernel, module._saver.gradient(grad, y), rtol=1e-6, atol=1e-7)
