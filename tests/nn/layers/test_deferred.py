"""Deferred activations: every operation on a pending value gives the plain result."""

from __future__ import annotations

import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from actlab.nn.layers.deferred import Deferred, Pending
from actlab.nn.layers.layer import layer
from actlab.nn.probes.saved_tensors import SavedTensors

GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(3, 4, generator=GENERATOR, dtype=torch.float64)
OTHER = torch.randn(2, 4, generator=GENERATOR, dtype=torch.float64)


def gelu() -> Deferred:
    return Deferred(layer("gelu"), pointwise=True)


def values() -> torch.Tensor:
    return torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(2, 4).requires_grad_()


USES = {
    "linear": lambda y: F.linear(y, WEIGHT),
    "linear with everything by name": lambda y: F.linear(y, weight=WEIGHT, bias=WEIGHT[:, 0]),
    "two linears": lambda y: F.linear(y, WEIGHT) + F.linear(y, -WEIGHT * 2),
    "linear and sum": lambda y: F.linear(y, WEIGHT).sum() + y,
    "conv1d": lambda y: F.conv1d(y[None], torch.ones(3, 2, 2, dtype=torch.float64)),
    "sum of two": lambda y: y + OTHER,
    "sum from the right": lambda y: OTHER + y,
    "product": lambda y: y * OTHER,
    "product from the right": lambda y: OTHER * y,
    "product into a linear": lambda y: F.linear(OTHER * y, WEIGHT),
    "product with itself into a linear": lambda y: F.linear(y * y, WEIGHT),
    "product with a number": lambda y: F.linear(2.0 * y * 3, WEIGHT),
    "product that broadcasts": lambda y: F.linear(y * OTHER[:, :1], WEIGHT),
    "torch.mul": lambda y: F.linear(torch.mul(y, OTHER), WEIGHT),
    "an activation after it": lambda y: F.linear(torch.tanh(y), WEIGHT),
    "a deferred one after it": lambda y: F.linear(gelu()(y), WEIGHT),
    "a deferred one after a product": lambda y: F.linear(gelu()(y * OTHER), WEIGHT),
    "flattened": lambda y: F.linear(y.flatten()[None], torch.ones(1, 8, dtype=torch.float64)),
    "reshaped into a linear": lambda y: F.linear(y.reshape(1, 2, 4).permute(1, 0, 2), WEIGHT),
    "transposed and back": lambda y: F.linear(y.transpose(0, 1).transpose(0, 1), WEIGHT),
    "indexed": lambda y: y[0] - y[1, 2],
    "power": lambda y: y**2 + (y @ WEIGHT.t()).sum() - y / 3,
    "negative": lambda y: -y,
    "concatenated": lambda y: torch.cat([y, y * 2]),
    "stacked": lambda y: torch.stack((y, OTHER)),
    "iterated": lambda y: sum(row.sum() for row in y),
    "a method": lambda y: y.mean(0),
    "dropout that drops nothing": lambda y: F.linear(F.dropout(y, 0.0, training=True), WEIGHT),
    "dropout out of training": lambda y: F.linear(F.dropout(y, 0.5, training=False), WEIGHT),
    "as a weight": lambda y: F.linear(OTHER, y),
    "in place afterwards": lambda y: operator.iadd(y, 1.0) * 2,
    "layer norm": lambda y: F.layer_norm(y, (4,)),
}
STRIDED = "reshaped into a linear"


@pytest.mark.parametrize("use", list(USES))
def test_every_operation_gives_the_plain_value_and_gradient(use):
    x, z = values(), values()

    ours, plain = USES[use](gelu()(x)), USES[use](F.gelu(z))
    ours = ours.compute() if isinstance(ours, Pending) else ours

    if use == STRIDED:  # BLAS may add in another order where the matrix is a view: with AVX-512 it does
        torch.testing.assert_close(ours, plain, rtol=1e-15, atol=1e-15)
    else:
        assert torch.equal(ours, plain)
    torch.testing.assert_close(
        *(torch.autograd.grad(y.square().sum(), v)[0] for y, v in ((ours, x), (plain, z))), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("convolution", "shape", "options"),
    [
        (nn.Conv1d, (2, 4, 9), {"kernel_size": 3, "stride": 2}),
        (nn.Conv2d, (2, 4, 6, 5), {"kernel_size": 3, "padding": 1, "groups": 2, "bias": False}),
        (nn.Conv2d, (2, 4, 6, 5), {"kernel_size": (3, 1), "padding": "same", "dilation": (2, 1)}),
        (nn.Conv2d, (4, 6, 5), {"kernel_size": 3}),  # no batch
        (nn.Conv2d, (2, 4, 6, 5), {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}),
        (nn.Conv3d, (2, 4, 3, 4, 5), {"kernel_size": 2}),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_before_a_convolution(convolution, shape, options, again):
    torch.manual_seed(0)
    layer_after = convolution(4, 6, **options).double()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()

    results = []
    for activation in (gelu(), nn.GELU()):
        y = layer_after(activation(x))
        first = torch.autograd.grad(y.square().sum(), [x, *layer_after.parameters()], create_graph=again)
        results.append(
            [y, *first, *(torch.autograd.grad(first[0].square().sum(), [x, layer_after.weight]) if again else ())]
        )

    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_it_keeps_the_input_only():
    hidden, weight = values() * 1.0, torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    with SavedTensors([weight]) as ledger:
        y = F.linear(gelu()(hidden), weight)

    assert ledger.bytes == 8 * 8
    assert y.shape == (2, 3)


def test_shape_and_device_are_known_without_computing():
    pending = gelu()(values())

    assert (tuple(pending.shape), pending.ndim, pending.size(1), pending.device.type) == ((2, 4), 2, 4, "cpu")
    assert pending._value is None
    assert (pending.dtype, pending.requires_grad) == (torch.float64, True)
    assert repr(pending).startswith("Pending(tensor([[-0.0455")


def test_outside_plain_eager_mode_it_returns_a_tensor():
    x = values()
    with torch.no_grad():
        assert type(gelu()(x)) is torch.Tensor
    assert type(gelu()(x.detach())) is torch.Tensor
    assert type(gelu()(x)) is Pending


def test_a_computed_value_gets_its_gradient():
    x, weight = values(), torch.ones(3, 4, dtype=torch.float64)
    y = gelu()(x)
    y.retain_grad()
    seen = []
    y.register_hook(seen.append)

    F.linear(y, weight).sum().backward()

    assert torch.equal(y.grad, torch.full((2, 4), 3.0, dtype=torch.float64))
    assert torch.equal(seen[0], y.grad)


def test_a_value_computed_without_gradients_stays_pending():
    weight = torch.ones(3, 4, dtype=torch.float64)
    x = values()
    y = gelu()(x)
    with torch.no_grad():
        assert float(y.mean()) == pytest.approx(float(F.gelu(x).mean()))

    F.linear(y, weight).sum().backward()

    assert torch.allclose(x.grad, torch.autograd.grad(F.linear(F.gelu(x), weight).sum(), x)[0])


def test_an_input_that_is_overwritten_meanwhile_is_an_error_and_no_wrong_number():
    hidden = values() * 1.0
    pending = gelu()(hidden)
    hidden.add_(1.0)

    with pytest.raises(RuntimeError, match="overwritten before the next layer used its output"):
        F.linear(pending, WEIGHT)


def test_a_compiled_layer_after_it_takes_it():
    torch._dynamo.reset()
    linear, x = nn.Linear(4, 3).double(), values()
    after = torch.compile(linear, backend="aot_eager")

    torch.testing.assert_close(after(gelu()(x)), linear(F.gelu(x)))


def test_autocast_that_ends_in_between_changes_nothing():
    x = torch.linspace(-2, 2, 8).reshape(2, 4).requires_grad_()
    linear = nn.Linear(4, 3)
    results = []
    for activation in (gelu(), nn.GELU()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = activation(x)
        results.append(linear(y))

    assert torch.equal(*results)


def test_it_shares_parameters_and_names_with_the_wrapped_module():
    inner = nn.PReLU(4)
    outer = Deferred(inner, pointwise=False)

    assert list(outer.state_dict()) == ["weight"]
    outer.load_state_dict({"weight": torch.full((4,), 0.5)})
    assert inner.weight.tolist() == [0.5] * 4
    outer.double()
    assert inner.weight.dtype == torch.float64
    outer.eval()
    assert not inner.training
