"""A fast layer runs its kernel in plain eager mode, and the formula in all other modes of torch.

The kernel here is a mock that records its calls and can return scaled results, which show whether a mode has run it.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import actlab
from actlab.codegen.dispatch import route
from actlab.codegen.gpu import kernel as gpu
from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.nn.layers.activation_layer import ActivationLayer

SPECS = ["telu", "swish(beta=learned)", "prelu(weight=learned_per_channel)", "powlu"]
CHANNELS = 4
FACTOR = 3.0  # by which a mock kernel can scale values and slopes


kernels_run = route._kernels_run


class Spy:
    """A mock kernel that uses autograd of the formula, records its calls and can scale its results."""

    def __init__(self, plain, factor):
        self.plain, self.factor, self.calls = plain, factor, []

    def forward(self, x, *parameters):
        assert x.is_contiguous()
        self.calls.append("forward")
        with torch.no_grad():
            return self.plain(x, *parameters) * self.factor

    def keeps_output(self, _):
        return False

    def backward(self, grad, x, *parameters):
        assert grad.is_contiguous()
        self.calls.append("backward")
        tensors = [tensor.detach().requires_grad_() for tensor in (x, *parameters)]
        with torch.enable_grad():
            return torch.autograd.grad(self.plain(*tensors), tensors, grad * self.factor)


@pytest.fixture
def spy(monkeypatch):
    """Return a function that creates fast layers whose kernel is a spy; its ``kernel`` is that of the last layer."""

    def make(spec, *, factor=1.0, **options):
        layer = actlab.layer(spec, fast=True, channels=CHANNELS, **options)
        kernel = make.kernel = Spy(layer._plain, factor)
        monkeypatch.setitem(route.DEVICES, "cpu", lambda *_: kernel)
        monkeypatch.setattr(route, "_kernels_run", lambda device, _: device == "cpu")
        monkeypatch.setattr(route, "crossover", lambda *_, **__: 1)
        return layer

    return make


def sample(dtype=torch.float64):
    return torch.randn(6, CHANNELS, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)


def gradients(layer, x):
    x = x.clone().requires_grad_()
    layer(x).square().sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


def second(layer, x):
    x = x.clone().requires_grad_()
    wanted = [x, *layer.parameters()]
    first = torch.autograd.grad(layer(x).square().sum(), wanted, create_graph=True)
    return list(torch.autograd.grad(sum(g.square().sum() for g in first), wanted))


def dual(layer, x):
    with forward_ad.dual_level():
        return list(forward_ad.unpack_dual(layer(forward_ad.make_dual(x, torch.ones_like(x)))))


def func(transform):
    return lambda layer, x: [
        transform(lambda z: torch.func.functional_call(layer, dict(layer.named_parameters()), z), x)
    ]


def compiled(transform):
    def run(layer, x):
        torch._dynamo.reset()
        state = {name: parameter.detach() for name, parameter in layer.named_parameters()}
        inner = transform(lambda z: torch.func.functional_call(layer, state, (z,)).square().sum())
        return [torch.compile(inner, fullgraph=True, backend="aot_eager")(x)]

    return run


def checkpointed(layer, x, *, reentrant):
    x = x.clone().requires_grad_()
    checkpoint(layer, x, use_reentrant=reentrant).square().sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


def traced(layer, x):
    with torch.no_grad():
        return [torch.jit.trace(layer, x, check_trace=False)(x)]


EAGER: dict[str, Callable[[ActivationLayer, Tensor], list[Tensor]]] = {
    "forward without grad": lambda layer, x: [layer(x).detach()],
    "inference mode": lambda layer, x: [torch.inference_mode()(layer)(x)],
    "backward": gradients,
    "checkpoint": lambda layer, x: checkpointed(layer, x, reentrant=False),
    "reentrant checkpoint": lambda layer, x: checkpointed(layer, x, reentrant=True),
}
PLAIN: dict[str, Callable[[ActivationLayer, Tensor], list[Tensor]]] = {
    "forward AD": dual,
    "func.grad": func(lambda f, x: torch.func.grad(lambda z: f(z).square().sum())(x)),
    "func.vmap": func(lambda f, x: torch.func.vmap(lambda z: f(z[None])[0])(x)),
    "func.jvp": func(lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]),
    "func.jacrev": func(lambda f, x: torch.func.jacrev(lambda z: f(z).sum(0))(x)),
    "func.hessian": func(lambda f, x: torch.func.hessian(lambda z: f(z).sum())(x[:1])),
    "vmap of grad": func(lambda f, x: torch.func.vmap(torch.func.grad(lambda z: f(z[None]).square().sum()))(x)),
    "compile": compiled(lambda f: f),
    "compile of func.grad": compiled(torch.func.grad),
    "compile of vmap of grad": compiled(lambda f: torch.func.vmap(torch.func.grad(lambda z: f(z[None])))),
    "compile of jvp": compiled(lambda f: lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]),
    "export": lambda layer, x: [torch.export.export(layer, (x,), strict=False).module()(x).detach()],
    "jit.trace": traced,
}


@pytest.mark.parametrize("mode", EAGER)
@pytest.mark.parametrize("spec", SPECS)
def test_in_eager_modes_the_kernel_runs(spy, spec, mode):
    layer, x = spy(spec, dtype=torch.float64), sample()
    plain = actlab.layer(spec, channels=CHANNELS, native=False, dtype=torch.float64)

    for ours, theirs in zip(EAGER[mode](layer, x), EAGER[mode](plain, x), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert "forward" in spy.kernel.calls
    assert ("backward" in spy.kernel.calls) == ("forward" not in mode and "inference" not in mode)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace.*` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
@pytest.mark.parametrize("mode", PLAIN)
@pytest.mark.parametrize("spec", SPECS)
def test_in_every_other_mode_the_formula_runs(spy, spec, mode):
    layer, x = spy(spec, dtype=torch.float64, factor=FACTOR), sample()
    plain = actlab.layer(spec, channels=CHANNELS, native=False, dtype=torch.float64)

    for ours, theirs in zip(PLAIN[mode](layer, x), PLAIN[mode](plain, x), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert spy.kernel.calls == []


@pytest.mark.parametrize("spec", SPECS)
def test_a_gradient_that_is_differentiated_again_is_the_formulas(spy, spec):
    layer, x = spy(spec, dtype=torch.float64), sample()
    plain = actlab.layer(spec, channels=CHANNELS, native=False, dtype=torch.float64)

    for ours, theirs in zip(second(layer, x), second(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs)
    # The last pass goes through the value's node and is not differentiated again; the passes before it used the formula.
    assert spy.kernel.calls == ["forward", "backward"]


def test_a_lie_of_the_kernel_shows_in_eager_mode(spy):
    layer, x = spy("telu", factor=FACTOR), sample(torch.float32)

    torch.testing.assert_close(layer(x), FACTOR * actlab.layer("telu")(x))


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("spec", ["telu", "prelu(weight=learned_per_channel)"])
def test_other_memory_formats_are_computed_and_kept(spy, spec, memory_format):
    x = torch.randn(2, CHANNELS, 5, 3).to(memory_format=memory_format)
    layer, plain = spy(spec), actlab.layer(spec, channels=CHANNELS, native=False)

    torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(gradients(layer, x), gradients(plain, x))
    if spec == "telu":
        assert layer(x).is_contiguous(memory_format=memory_format)


def test_slices_transposed_and_expanded_inputs_are_right(spy):
    layer, plain, x = spy("telu"), actlab.layer("telu"), torch.randn(6, 8)
    for view in (x[:, ::2], x.T, x[:1].expand(5, 8), x[0, 0], x[:0]):
        torch.testing.assert_close(layer(view), plain(view))
        torch.testing.assert_close(gradients(layer, view), gradients(plain, view))


def test_only_the_gradients_asked_for_are_given(spy):
    layer = spy("swish(beta=learned)")
    x = torch.randn(6, CHANNELS)
    layer(x).sum().backward()
    assert x.grad is None
    assert layer.beta.grad is not None

    layer.requires_grad_(False)
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None


def test_an_input_changed_in_place_before_the_backward_pass_is_an_error_not_a_wrong_gradient(spy):
    x = torch.randn(8, requires_grad=True)
    h = x * 1
    y = spy("telu")(h)
    h.add_(1)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_devices_and_dtypes_without_a_kernel_take_the_formula(spy, monkeypatch):
    layer = spy("telu", factor=FACTOR)
    x = torch.randn(8)

    assert layer(x.to("meta")).shape == (8,)
    monkeypatch.setattr(route, "crossover", lambda *_, **__: float("inf"))
    torch.testing.assert_close(layer(x.half()), actlab.layer("telu")(x.half()))
    assert spy.kernel.calls == []


def test_without_a_compiler_everything_runs_as_torch_has_it(spy, monkeypatch):
    def broken(*_):
        raise ActlabError("no compiler")

    layer, x = spy("telu", factor=FACTOR), torch.randn(8)
    monkeypatch.setitem(route.DEVICES, "cpu", broken)
    monkeypatch.setattr(route, "_kernels_run", kernels_run.__wrapped__)  # without its cache

    torch.testing.assert_close(layer(x), actlab.layer("telu")(x))


def test_a_subclass_of_tensor_takes_the_formula(spy):
    class Named(Tensor):
        pass

    layer, x = spy("telu", factor=FACTOR), torch.randn(8)

    assert type(layer(x.as_subclass(Named))) is Named
    assert spy.kernel.calls == []


def test_under_autocast_the_dtype_of_the_input_is_kept(spy):
    layer, x = spy("telu"), torch.randn(8, dtype=torch.bfloat16)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert spy.kernel.calls == ["forward"]


def test_small_tensors_stay_with_torch(spy, monkeypatch):
    layer = spy("telu")
    monkeypatch.setattr(route, "crossover", lambda *_, **__: 100)

    layer(torch.randn(99))
    assert spy.kernel.calls == []
    layer(torch.randn(100))
    assert spy.kernel.calls == ["forward"]


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_fast_layer_travels(travel):
    layer = travel(actlab.layer("swish(beta=learned)", fast=True))

    assert layer.fast
    assert layer._route is not None
    assert list(layer.state_dict()) == ["beta"]


def test_a_layer_that_has_run_on_one_thread_asks_again_on_two(monkeypatch):
    layer, x = actlab.layer("telu", fast=True), torch.randn(100)
    monkeypatch.setattr(route, "crossover", lambda *_, threads, **__: 1 if threads == 1 else 1000)
    before = torch.get_num_threads()
    try:
        taken = []
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            taken.append(layer._route.takes(x, ()))
    finally:
        torch.set_num_threads(before)

    assert taken == [True, False, True]


def test_mish_runs_its_kernel_at_64k():
    """With the package's own table; only the kernel is replaced by one that records its calls."""
    layer, calls = actlab.layer("mish", fast=True), []
    kernel = layer._route._create_kernel("cpu")
    layer._route._kernels["cpu"] = Spy(layer._plain, 1.0)
    layer._route._kernels["cpu"].calls = calls
    x = torch.randn(65536)

    torch.testing.assert_close(layer(x), kernel.forward(x))
    assert calls == ["forward"]
    layer(x[:64])
    assert calls == ["forward"]


def test_what_computes_nothing_hands_its_input_on():
    x = torch.randn(2**20)

    assert actlab.layer("identity", fast=True)(x) is x


@pytest.mark.parametrize("spec", ["telu", "swiglu", "prelu(weight=learned_per_channel)"])
def test_the_kernel_of_a_card_is_the_gpu_readings(spec):
    assert route.DEVICES["cuda"](parse(spec), "first") is gpu.kernel(parse(spec), "first")


@pytest.mark.parametrize(
    "problem", [ActlabError("Triton is missing"), RuntimeError("Failed to find C compiler"), OSError("no file")]
)
def test_a_device_whose_kernels_cannot_be_made_takes_the_formula(monkeypatch, problem):
    def broken(*_):
        raise problem

    monkeypatch.setitem(route.DEVICES, "cuda", broken)

    assert not kernels_run.__wrapped__("cuda", torch.float32)
    assert not kernels_run.__wrapped__("mps", torch.float32)
    assert kernels_run.__wrapped__("cpu", torch.float32)


@pytest.mark.parametrize("spec", ["tanh", "sigmoid"])
def test_where_torch_keeps_the_output_so_does_the_kernel(monkeypatch, spec):
    monkeypatch.setattr(route, "crossover", lambda *_, **__: 1)
    x = torch.linspace(-20, 20, 4001).requires_grad_()
    grad = torch.linspace(-2, 3, 4001)
    y = actlab.layer(spec, fast=True)(x)
    assert [kept.data_ptr() for kept in y.grad_fn.saved_tensors] == [y.data_ptr()]
    (ours,) = torch.autograd.grad(y, x, grad)
    (theirs,) = torch.autograd.grad(actlab.layer(spec)(x), x, grad)

    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_in_half_precision_the_input_is_kept_since_small_slopes_would_be_lost(monkeypatch):
    monkeypatch.setattr(route, "crossover", lambda *_, **__: 1)
    x = torch.tensor([4.0] * 64, dtype=torch.bfloat16, requires_grad=True)
    y = actlab.layer("tanh", fast=True)(x)
    (ours,) = torch.autograd.grad(y, x, torch.ones_like(y))

    exact = 1 / math.cosh(4.0) ** 2  # the output is 1 in bfloat16, from which the slope would be 0
    torch.testing.assert_close(ours.float(), torch.full((64,), exact), rtol=2**-8, atol=0)
