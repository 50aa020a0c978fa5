"""ActLinear and GLULinear against the plain composition in every mode of torch; half the saved memory in eager mode."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from actlab.codegen.eager_mode import is_eager_with_grad
from actlab.errors import LayerError
from actlab.nn.layers.act_linear import ActLinear, GLULinear
from actlab.nn.layers.layer import layer
from actlab.nn.probes.saved_tensors import SavedTensors

SPECS = [
    "gelu",
    "mish",
    "serf",
    "swish(beta=learned)",
    "prelu(weight=learned_per_channel)",
    "swiglu",
    "glu",
    "swiglu(beta=1.5)",
]
WIDTH, OUT = 6, 5


class Plain(nn.Module):
    """The reference: the layer, then the Linear."""

    def __init__(self, activation, linear):
        super().__init__()
        self.activation, self.linear = activation, linear

    def forward(self, x):
        return self.linear(self.activation(x))


def pair(spec, dtype=torch.float64):
    """Return an ActLinear, the plain composition with the same weights, and an input."""
    torch.manual_seed(0)
    gated = layer(spec, channels=WIDTH).spec.activation.kind == "gated"
    linear = nn.Linear(WIDTH, OUT).to(dtype)
    ours = (GLULinear if gated else ActLinear)(spec, linear)
    reference = copy.deepcopy(ours.activation.activation)
    x = torch.randn(4, WIDTH * (2 if gated else 1), dtype=dtype, requires_grad=True)
    return ours, Plain(reference, copy.deepcopy(linear)), x


@pytest.fixture(autouse=True)
def _random_state():
    with torch.random.fork_rng(devices=[]):
        yield


# ------------------------------------------------------------------------------------------- the matrix


def plainly(module, x):
    grads = torch.autograd.grad(module(x).square().sum(), [x, *module.parameters()])
    return [module(x), *grads]


def without_gradients(module, x):
    with torch.no_grad():
        return [module(x)]


def in_inference_mode(module, x):
    with torch.inference_mode():
        return [module(x).clone()]


def twice(module, x):
    (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    return [first, *torch.autograd.grad(first.square().sum(), [x, *module.parameters()], allow_unused=True)]


def compiled(module, x):
    run = torch.compile(module, fullgraph=True, backend="aot_eager")
    return [run(x), *torch.autograd.grad(run(x).square().sum(), [x, *module.parameters()])]


def compiled_gradient_of_func(module, x):
    torch._dynamo.reset()
    loss = torch.func.grad(lambda z: module(z).square().sum())
    return [torch.compile(loss, backend="aot_eager")(x.detach())]


def exported(module, x):
    return [torch.export.export(module, (x.detach(),)).module()(x.detach())]


def traced(module, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        run = torch.jit.trace(module, (x.detach(),), check_trace=False)
    return [run(x), *torch.autograd.grad(run(x).square().sum(), x)]


def per_sample(module, x):
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(weights, row):
        return torch.func.functional_call(module, weights, (row[None],)).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x.detach())
    return list(found.values())


def hessian(module, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its glu has no batching rule
        return [torch.func.hessian(lambda z: module(z[None]).square().sum())(x[0].detach())]


def forward_mode(module, x):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        return [forward_ad.unpack_dual(module(dual)).tangent]


def jvp(module, x):
    return list(torch.func.jvp(module, (x.detach(),), (torch.ones_like(x),)))


def checkpointed(module, x):
    y = checkpoint(module, x, use_reentrant=False)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])]


def with_other_parameters(module, x):
    others = {name: (p + 0.5).detach().requires_grad_() for name, p in module.named_parameters()}
    y = torch.func.functional_call(module, others, (x,))
    return [
        y,
        *torch.autograd.grad(y.square().sum(), [x, *others.values()]),
    ]  # after the call the module has its own again


def on_meta(module, x):
    y = copy.deepcopy(module).to("meta")(x.to("meta"))
    return [torch.zeros(y.shape)]


MODES = [
    plainly, without_gradients, in_inference_mode, twice, compiled, compiled_gradient_of_func, exported, traced, per_sample, hessian,
    forward_mode, jvp, checkpointed, with_other_parameters, on_meta,
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("spec", SPECS)
def test_in_every_mode_the_result_is_that_of_the_plain_composition(spec, mode):
    torch._dynamo.reset()
    ours, reference, x = pair(spec)

    got, expected = mode(ours, x), mode(reference, x)

    assert len(got) == len(expected)
    for a, b in zip(got, _in_order(ours, reference, expected), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)  # float64, sums of six


def _in_order(ours, reference, results):
    """Reorder the gradients of the reference's parameters, which come last: Linear before activation."""
    names = [name.removeprefix("linear.") for name, _ in reference.named_parameters()]
    head = len(results) - len(names)
    if len(names) == 2 or head < 0:
        return results
    by_name = dict(zip(names, results[head:], strict=True))
    return [*results[:head], *(by_name[name] for name, _ in ours.named_parameters())]


# -------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("spec", SPECS)
def test_in_float32_the_value_is_the_same_to_the_bit_and_the_gradient_to_rounding(spec):
    ours, reference, x = pair(spec, torch.float32)
    y, z = ours(x), reference(x)

    assert torch.equal(y, z)
    grad = torch.randn(y.shape)
    for a, b in zip(
        torch.autograd.grad(y, [x, ours.weight], grad),
        torch.autograd.grad(z, [x, reference.linear.weight], grad),
        strict=True,
    ):
        assert float((a - b).norm()) <= 1e-6 * float(b.norm())


@pytest.mark.parametrize(
    ("spec", "copies"), [("gelu", 1), ("mish", 1), ("serf", 1), ("swish(beta=learned)", 1), ("swiglu", 2), ("glu", 2)]
)
def test_one_copy_is_kept_of_each_input_element(spec, copies):
    ours, _, x = pair(spec, torch.float32)
    hidden = x * 1.0  # the output of a layer before
    with SavedTensors([x, *ours.parameters()]) as ledger:
        y = ours(hidden)
        kept = ledger.bytes

    assert kept == copies * 4 * WIDTH * 4
    assert y.shape == (4, OUT)


@pytest.mark.parametrize("spec", ["gelu", "swish(beta=learned)", "swiglu"])
def test_under_autocast_it_computes_and_keeps_what_the_plain_composition_does(spec):
    ours, reference, x = pair(spec, torch.float32)
    results = []
    for module, weight in ((ours, ours.weight), (reference, reference.linear.weight)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = module(x)
        results.append((y, *torch.autograd.grad(y.float().square().sum(), [x, weight])))

    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=2**-7, atol=1e-3)
    assert results[0][0].dtype == torch.bfloat16
    assert torch.equal(results[0][0], results[1][0])


@pytest.mark.parametrize("shape", [(WIDTH,), (3, WIDTH), (2, 3, WIDTH), (0, WIDTH)])
def test_any_shape_that_a_linear_takes(shape):
    ours, reference, _ = pair("gelu")
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    for a, b in zip(plainly(ours, x), plainly(reference, x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("frozen", ["weight", "bias", "x", "weight and bias"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_is_right(frozen):
    results = []
    for module in pair("gelu")[:2]:
        linear = module if isinstance(module, ActLinear) else module.linear
        x = torch.linspace(-1, 1, 2 * WIDTH, dtype=torch.float64).reshape(2, WIDTH).requires_grad_("x" not in frozen)
        linear.weight.requires_grad_("weight" not in frozen)
        linear.bias.requires_grad_("bias" not in frozen)
        module(x).square().sum().backward()
        results.append([x.grad, linear.weight.grad, linear.bias.grad])

    for a, b in zip(*results, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            torch.testing.assert_close(a, b)


def test_gate_and_value_may_be_two_tensors_or_packed_as_the_layer_says():
    gate, value = torch.randn(2, 3, WIDTH, requires_grad=True)
    linear = nn.Linear(WIDTH, OUT)
    expected = linear(F.silu(gate) * value)

    torch.testing.assert_close(GLULinear("swiglu", linear)(gate, value), expected)
    torch.testing.assert_close(GLULinear("swiglu", linear, gate="first")(torch.cat([gate, value], -1)), expected)


def test_gradcheck():
    for spec in ("gelu", "swiglu"):
        ours, _, x = pair(spec)
        assert torch.autograd.gradcheck(ours, x)
        assert torch.autograd.gradgradcheck(ours, x)


# ------------------------------------------------------------------------------------------- as a module


def test_checkpoints_of_the_linear_load():
    linear, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    ours = ActLinear("gelu", linear)

    assert list(ours.state_dict()) == ["weight", "bias"]
    assert ours.weight is linear.weight
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(linear.weight, theirs.weight)
    assert list(ActLinear("swish(beta=learned)", nn.Linear(4, 3, bias=False)).state_dict()) == [
        "weight",
        "activation.beta",
    ]


@pytest.mark.parametrize("spec", ["gelu", "swish(beta=learned)"])
def test_copies_pickles_and_moves_carry_the_activation_along(spec):
    ours, _, x = pair(spec)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.25)

    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours).float().double()):
        torch.testing.assert_close(other(x), ours(x), rtol=1e-6, atol=1e-6)
        assert {id(p) for p in other.parameters()}.isdisjoint({id(p) for p in ours.parameters()})
        other.train(False)
        assert not other.activation.activation.training


def test_it_shows_both():
    assert repr(ActLinear("gelu", nn.Linear(4, 3))) == (
        "ActLinear(\n  in_features=4, out_features=3, bias=True\n  (activation): Deferred(ActivationLayer(gelu))\n)"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ActLinear("swiglu", nn.Linear(4, 3)), "takes elementwise functions; swiglu is gated: use GLULinear"),
        (lambda: GLULinear("relu", nn.Linear(4, 3)), "takes gated functions; relu is elementwise: use ActLinear"),
        (lambda: ActLinear("softmax", nn.Linear(4, 3)), r"softmax is vector: write layer\(...\) and an nn.Linear"),
        (lambda: ActLinear("rrelu", nn.Linear(4, 3)), "rrelu is stochastic"),
        (lambda: ActLinear("relu", nn.Conv2d(1, 1, 1)), "takes over the weights of an nn.Linear, got Conv2d"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(LayerError, match=words):
        make()


def test_a_wrong_gradient_would_be_seen(monkeypatch):
    from actlab.nn.layers import recompute

    right = recompute.LinearConsumer.gradients
    monkeypatch.setattr(
        recompute.LinearConsumer, "gradients", lambda *args: [None if g is None else g * 1.001 for g in right(*args)]
    )
    ours, reference, x = pair("gelu")

    with pytest.raises(AssertionError):
        torch.testing.assert_close(plainly(ours, x)[1], plainly(reference, x)[1])


# ------------------------------------------------------------------------------------------------ modes


def test_which_mode_is_plain():
    x = torch.ones(2, requires_grad=True)
    seen = []

    def look(z):
        seen.append(is_eager_with_grad(z))
        return z * 1.0

    assert is_eager_with_grad(x)
    assert not is_eager_with_grad(x.detach())
    assert not is_eager_with_grad("no tensor", x)
    with torch.no_grad():
        look(x)
    torch.func.grad(lambda z: look(z).sum())(x)
    torch.func.vmap(look)(x)
    with forward_ad.dual_level():
        look(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(look, (x,), check_trace=False)
    assert seen == [False] * 5
