"""Batches of gradients, lazily negated tensors, dual gradients and other layouts, for fast layers, rules and fused layers."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import actlab
from actlab.functions.activation import names
from actlab.nn.layers.act_linear import ActLinear, GLULinear
from actlab.nn.layers.memory_saving import SlimLayer

SPECS = ["mish", "tanh", "telu", "prelu", "swish(beta=learned)", "star_relu", "swiglu", "swiglu(beta=learned)"]
RULES = [
    "step/rect",
    "sign/ste",
    "step/arctan",
    "relu6/clipped",
    "relu/0.5",
    "dorefa/ste",
    "sign/ede(t=learned)",
    "step/sign_only",
]


def fast(spec):
    layer = actlab.layer(spec, fast=True)
    layer.set_fast(always=True)
    return layer


MAKERS = {
    **{f"fast {spec}": lambda spec=spec: fast(spec) for spec in SPECS},
    **{f"rule {spec}": lambda spec=spec: actlab.layer(spec) for spec in RULES},
    "slim relu": lambda: SlimLayer("relu", "bits"),
    "slim elu": lambda: SlimLayer("elu", "output"),
    "ActLinear gelu": lambda: ActLinear("gelu", nn.Linear(8, 5)),
    "ActLinear prelu": lambda: ActLinear("prelu", nn.Linear(8, 5)),
    "GLULinear": lambda: GLULinear("swiglu", nn.Linear(4, 5)),
}


@pytest.fixture(params=MAKERS)
def module(request):
    torch.manual_seed(0)
    return MAKERS[request.param]()


def sample():
    return torch.randn(3, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)


def grads_for(y, count=4):
    return torch.randn(count, *y.shape, generator=torch.Generator().manual_seed(2))


def test_a_batch_of_gradients_is_the_gradients_one_by_one(module):
    x = sample()
    y = module(x)
    grads, wanted = grads_for(y), [x, *module.parameters()]
    options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}

    got = torch.autograd.grad(y, wanted, grads, is_grads_batched=True, **options)

    one_by_one = [torch.autograd.grad(y, wanted, grad, **options) for grad in grads]
    for found, parts in zip(got, zip(*one_by_one, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(parts))


def test_vmap_over_a_gradient_is_the_gradients_one_by_one(module):
    x = sample()
    y = module(x)
    grads = grads_for(y)

    got = torch.func.vmap(lambda grad: torch.autograd.grad(y, x, grad, retain_graph=True)[0])(grads)

    torch.testing.assert_close(got, torch.stack([torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in grads]))


@pytest.mark.parametrize("spec", ["mish", "tanh", "step/rect", "relu/0.5"])
def test_a_vectorized_jacobian_is_the_jacobian(spec):
    module = actlab.layer(spec) if "/" in spec else fast(spec)
    x = sample().detach().flatten()

    got = torch.autograd.functional.jacobian(module, x, vectorize=True)

    torch.testing.assert_close(got, torch.autograd.functional.jacobian(module, x))


def test_a_tensor_with_the_negative_bit_is_its_negation(module):
    plain = sample().detach()
    lazy = torch._neg_view(-plain)
    assert lazy.is_neg()
    assert lazy.is_contiguous()

    torch.testing.assert_close(module(lazy), module(plain))
    y = module(plain.clone().requires_grad_())
    leaf, other = sample(), sample()
    module(leaf).backward(torch._neg_view(-torch.ones_like(y)))
    module(other).backward(torch.ones_like(y))
    torch.testing.assert_close(leaf.grad, other.grad)


def test_the_imaginary_part_of_a_conjugate_is_read_with_its_sign():
    z = torch.complex(torch.randn(64), torch.randn(64))

    torch.testing.assert_close(fast("mish")(z.conj().imag), nn.functional.mish(-z.imag))


def test_the_tangent_of_a_gradient_passes_through_the_backward_pass(module):
    x = sample()
    y = module(x)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    if "sign_only" in str(module):
        pytest.skip("this rule is not linear in the gradient")
    with forward_ad.dual_level():
        grad = forward_ad.make_dual(torch.ones_like(y), direction)
        (dx,) = torch.autograd.grad(y, x, grad, retain_graph=True)
        tangent = forward_ad.unpack_dual(dx).tangent

    assert tangent is not None
    torch.testing.assert_close(tangent, torch.autograd.grad(y, x, direction)[0])


@pytest.mark.parametrize("layout", ["coo", "csr", "mkldnn", "nested"])
@pytest.mark.parametrize("spec", ["relu", "tanh", "mish", "telu"])
def test_a_fast_layer_does_with_other_layouts_what_the_plain_layer_does(layout, spec):
    def outcome(layer):
        try:
            return layer(x).layout
        except (RuntimeError, NotImplementedError) as error:
            return str(error)[:80]

    dense = torch.randn(4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = {
            "coo": dense.to_sparse,
            "csr": dense.to_sparse_csr,
            "mkldnn": dense.to_mkldnn,
            "nested": lambda: torch.nested.nested_tensor([dense, dense[:2]]),
        }[layout]()

        assert outcome(fast(spec)) == outcome(actlab.layer(spec))


@pytest.mark.parametrize("spec", ["prelu", "swish(beta=learned)", "star_relu", "lsq", "sign/ede(t=learned)", "mish"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_single_number_keeps_its_shape_and_dtype_in_value_gradient_and_tangent(spec, dtype):
    module = actlab.layer(spec)
    x = torch.tensor(0.3, dtype=dtype, requires_grad=True)
    y = module(x)
    y.backward()
    value, tangent = torch.func.jvp(module, (x.detach(),), (torch.ones_like(x),))

    assert [t.shape for t in (y, x.grad, value, tangent)] == [torch.Size([])] * 4
    assert {t.dtype for t in (y, x.grad, value, tangent)} == {dtype}


@pytest.mark.parametrize("name", names("elementwise"))
def test_channels_last_is_kept(name):
    x = torch.randn(2, 6, 5, 4).to(memory_format=torch.channels_last)
    if name == "logsigmoid":
        pytest.skip("torch's own function returns a contiguous tensor")

    assert actlab.layer(name)(x).is_contiguous(memory_format=torch.channels_last)
