"""Values and gradients of fast layers of every kind, in every mode of torch.

Kernels run at every size. Cases that do not apply are listed with their reason. Compiled code is shared: one graph per kind contains the
function and all its transforms, and each test checks its own part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import actlab
from actlab.codegen import eager_mode
from actlab.codegen.dispatch import route
from actlab.nn.layers.activation_layer import ActivationLayer

CHANNELS = 4
KINDS: dict[str, tuple[str, str]] = {  # a spec, and where the gate is
    "elementwise": ("telu", "second"),
    "elementwise with a native": ("mish", "second"),
    "elementwise by its output": ("tanh", "second"),
    "learned per layer": ("swish(beta=learned)", "second"),
    "learned per channel": ("prelu(weight=learned_per_channel)", "second"),
    "several learned": ("rprelu", "second"),
    "gated, second half": ("swiglu", "second"),
    "gated, first half": ("swiglu", "first"),
    "gated, interleaved": ("swiglu", "interleaved"),
    "gated with a native": ("glu", "second"),
    "gated, learned": ("swiglu(beta=learned)", "second"),
    "piecewise linear": ("leaky_relu(0.1)", "second"),
    "vector": ("softmax", "second"),
    "vector of another width": ("crelu", "second"),
    "stochastic, training": ("rrelu", "second"),
    "stochastic, evaluation": ("rrelu", "second"),
    "quantised": ("dorefa", "second"),
    "quantised, learned": ("lsq", "second"),
}
WITH_KERNEL = [kind for kind, (spec, _) in KINDS.items() if spec not in {"softmax", "crelu", "rrelu"}]


class RecordingKernel:
    """A kernel that records its calls."""

    def __init__(self, kernel):
        self.kernel, self.calls = kernel, []

    def forward(self, *tensors):
        self.calls.append("forward")
        return self.kernel.forward(*tensors)

    def backward(self, *tensors):
        self.calls.append("backward")
        return self.kernel.backward(*tensors)

    def backward_from_output(self, *tensors):
        self.calls.append("backward")
        return self.kernel.backward_from_output(*tensors)

    def __getattr__(self, name):
        return getattr(self.kernel, name)


@pytest.fixture
def fast(monkeypatch):
    """Return a function that creates fast layers whose kernels run at every size; its ``calls`` are the recorded passes."""
    monkeypatch.setattr(route, "crossover", lambda *_, **__: 1)
    make_kernel = route.DEVICES["cpu"]

    def counted(spec, gate):
        found = RecordingKernel(make_kernel(spec, gate))
        found.calls = make.calls
        return found

    def make(kind):
        return make_layer(kind, fast=True)

    make.calls = []
    monkeypatch.setitem(route.DEVICES, "cpu", counted)
    return make


def make_layer(kind, *, fast=False):
    spec, gate = KINDS[kind]
    made = actlab.layer(spec, gate=gate, channels=CHANNELS, fast=fast, native=fast, dtype=torch.float64)
    with torch.no_grad():
        for i, parameter in enumerate(
            made.parameters()
        ):  # other numbers than the initial ones, another in each channel
            parameter.copy_(0.7 + 0.1 * i + 0.05 * torch.arange(parameter.numel()).view(parameter.shape))
    return made.train("evaluation" not in kind)


def sample():
    """Return numbers of both signs, none of them at the kink of a piecewise function."""
    return torch.randn(6, CHANNELS, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def seeded(run):
    """Make stochastic functions draw the same numbers for both layers; the generator is restored."""

    def wrapped(layer, x):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return [found.detach() for found in run(layer, x)]

    return wrapped


Run = Callable[[ActivationLayer, Tensor], list[Tensor]]


def value(layer, x):
    with torch.no_grad():
        return [layer(x)]


def gradients(layer, x):
    x = x.clone().requires_grad_()
    y = layer(x)
    wanted = [x, *layer.parameters()]
    return [y, *torch.autograd.grad(y.square().sum() + y.sum(), wanted, allow_unused=True, materialize_grads=True)]


def second(layer, x):
    x = x.clone().requires_grad_()
    wanted = [x, *layer.parameters()]
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(layer(x).square().sum() + 0 * x.sum(), wanted, **options)
    again = torch.autograd.grad(sum(g.square().sum() + 0 * x.sum() for g in first), wanted, **options)
    return [*first, *again]


def checkpointed(*, reentrant):
    def run(layer, x):
        x = x.clone().requires_grad_()
        y = checkpoint(layer, x, use_reentrant=reentrant)
        (y.square().sum() + 0 * x.sum()).backward()
        found = [x.grad, *(p.grad for p in layer.parameters())]
        layer.zero_grad()
        return [y, *(torch.zeros(()) if g is None else g for g in found)]

    return run


def autocast(layer, x):
    x = x.bfloat16().requires_grad_()
    layer.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    wanted = [x, *layer.parameters()]
    return [y, *torch.autograd.grad(y.float().sum(), wanted, allow_unused=True, materialize_grads=True)]


def dual(layer, x):
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, torch.ones_like(x))))
        return [y.primal, torch.zeros_like(y.primal) if y.tangent is None else y.tangent]


def meta(layer, x):
    """Return zeros of the shapes of the meta tensors."""
    found = gradients(layer.to("meta"), x.to("meta"))
    return [torch.zeros(tensor.shape, dtype=tensor.dtype) for tensor in found]


def bare(layer):
    """Return the layer as a function whose parameters are constants."""
    state = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    return lambda x: torch.func.functional_call(layer, state, (x,))


def total(f):
    return lambda x: f(x).square().sum()


def one(f):
    return lambda x: f(x[None])[0]


TRANSFORMS: dict[str, Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]] = {
    "func.grad": lambda f: torch.func.grad(total(f)),
    "func.vmap": lambda f: torch.func.vmap(one(f)),
    "func.vmap of grad": lambda f: torch.func.vmap(torch.func.grad(total(one(f)))),
    "func.jvp": lambda f: lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
}


def transformed(name):
    return lambda layer, x: [TRANSFORMS[name](bare(layer))(x)]


def traced(layer, x):
    with torch.no_grad():
        return [torch.jit.trace(layer, x, check_trace=False)(x)]


def exported(layer, x):
    with torch.no_grad():
        return [torch.export.export(layer, (x,), strict=False).module()(x)]


def compiled(layer, x):
    torch._dynamo.reset()
    return gradients(torch.compile(layer, fullgraph=True, backend="aot_eager"), x)


EAGER: dict[str, Run] = {
    "value": value,
    "gradients": gradients,
    "create_graph": second,
    "checkpoint": checkpointed(reentrant=False),
    "reentrant checkpoint": checkpointed(reentrant=True),
    "autocast": autocast,
}
OTHER: dict[str, Run] = {
    "forward AD": dual,
    "meta": meta,
    "jit.trace": traced,
    "export": exported,
    "compile": compiled,
    **{name: transformed(name) for name in TRANSFORMS},
}
VMAP = "torch's vmap requires a setting for random numbers"
FROZEN = "torch warns that graphs with random numbers are not reproducible; such layers are traced and exported in evaluation mode"
ELSEWHERE = "the compiler draws random numbers in another order than the transform alone"
DRAWING = "stochastic, training"
IMPOSSIBLE: dict[tuple[str, str], str] = {
    (DRAWING, "func.vmap"): VMAP,
    (DRAWING, "func.vmap of grad"): VMAP,
    (DRAWING, "jit.trace"): FROZEN,
    (DRAWING, "export"): FROZEN,
    **{(DRAWING, f"compile of {name}"): ELSEWHERE for name in TRANSFORMS},
}


def cases(modes, quick=KINDS):
    found = [(kind, name) for kind in KINDS for name in modes if (kind, name) not in IMPOSSIBLE]
    return [
        pytest.param(kind, name, id=f"{kind}-{name}", marks=[] if kind in quick else pytest.mark.slow)
        for kind, name in found
    ]


def assert_same(kind, run, fast, **tolerance):
    results, references = seeded(run)(fast(kind), sample()), seeded(run)(make_layer(kind), sample())
    for result, reference in zip(results, references, strict=True):
        torch.testing.assert_close(result, reference, **tolerance)


@pytest.mark.parametrize(("kind", "name"), cases(EAGER))
def test_in_eager_modes_the_kernel_gives_the_formulas_numbers(fast, kind, name):
    # In bfloat16 the kernel rounds once and torch code several times; a learned parameter's gradient is a sum over all numbers.
    near = {"rtol": 2**-6, "atol": 2**-6} if name == "autocast" else {"rtol": 1e-9, "atol": 1e-11}

    assert_same(kind, EAGER[name], fast, **near)
    assert ("forward" in fast.calls) == (kind in WITH_KERNEL)
    assert ("backward" in fast.calls) == (kind in WITH_KERNEL and name not in {"value", "create_graph"})


@pytest.mark.filterwarnings("ignore:`torch.jit.trace.*` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
@pytest.mark.parametrize(("kind", "name"), cases(OTHER))
def test_in_other_modes_no_kernel_runs_and_the_numbers_are_the_formulas(fast, kind, name):
    assert_same(kind, OTHER[name], fast, rtol=1e-9, atol=1e-11)
    assert fast.calls == []


@cache
def compiled_transforms(kind, backend):
    """Return the results of a fast layer in compiled transforms, all of them in one graph."""
    torch._dynamo.reset()
    f = bare(make_layer(kind, fast=True))
    transforms = torch.compile(lambda x: {n: t(f)(x) for n, t in TRANSFORMS.items()}, fullgraph=True, backend=backend)
    return transforms(sample())


# Compiling a graph of all transforms takes 2 to 5 seconds; the other kinds differ from these in the formula only.
QUICK = ("elementwise", "elementwise with a native", "learned per channel", "gated, second half", "vector")
COMPILED = {f"compile of {name}": name for name in TRANSFORMS}


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "name"), cases(COMPILED, QUICK))
def test_compiled_transforms_are_the_formulas(fast, kind, name, backend):
    result = compiled_transforms(kind, backend)[COMPILED[name]]
    (reference,) = transformed(COMPILED[name])(make_layer(kind), sample())

    torch.testing.assert_close(result, reference, rtol=1e-9, atol=1e-11)
    assert fast.calls == []


def test_a_wrong_kernel_shows(fast, monkeypatch):
    monkeypatch.setattr(RecordingKernel, "forward", lambda self, *tensors: 1.001 * self.kernel.forward(*tensors))
    with pytest.raises(AssertionError):
        assert_same("elementwise", value, fast, rtol=1e-9, atol=1e-11)


def test_every_kind_of_activation_is_here():
    kinds = {actlab.layer(spec, channels=CHANNELS).spec.activation.kind for spec, _ in KINDS.values()}

    assert kinds == {actlab.get(name).kind for name in actlab.names()} - {"complex"}  # which have no kernels


def test_what_is_left_out_exists_and_has_a_reason():
    modes = {*EAGER, *OTHER, *COMPILED}

    assert all(kind in KINDS and name in modes and reason for (kind, name), reason in IMPOSSIBLE.items())


def test_torch_is_eager_here_and_not_inside_its_modes():
    seen = []

    def look(x):
        seen.append(eager_mode.is_eager())
        return x * 2

    x = torch.ones(2)
    look(x)
    torch.func.vmap(look)(x)
    torch.func.jvp(look, (x,), (x,))
    with forward_ad.dual_level():
        look(x)
    assert seen == [True, False, False, False]
