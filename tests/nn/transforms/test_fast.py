"""fast: the same outputs on compiled kernels where they are faster, and undo."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.codegen.cpu import kernel as cpu
from actlab.codegen.dispatch import route
from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.layer import layer
from actlab.nn.transforms.fast import fast

X = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def kernels(monkeypatch):
    """Let kernels run at every size, and record which ran."""
    ran = []
    for place in (route, actlab.nn.transforms.fast):
        monkeypatch.setattr(place, "crossover", lambda *_, **__: 1)
    forward = cpu.CpuKernel.forward
    monkeypatch.setattr(
        cpu.CpuKernel, "forward", lambda self, *tensors: ran.append(str(self.spec)) or forward(self, *tensors)
    )
    return ran


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.own = layer("swish(beta=learned)")
        self.shared = nn.PReLU()

    def forward(self, x):
        x = F.mish(self.first(x))
        x = self.shared(self.own(self.second(x)))
        return torch.softmax(self.last(x), -1)


def test_a_model_computes_the_same_on_kernels(kernels):
    model = Net()
    before = model(X)
    other = copy.deepcopy(model)

    changes = fast(model, X)

    torch.testing.assert_close(model(X), before, rtol=1e-5, atol=1e-6)
    assert {"mish", "swish(beta=learned)"} <= set(kernels)
    model(X).square().sum().backward()
    other(X).square().sum().backward()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert len(changes) == 2


def test_skipped_sites_have_a_reason(kernels):
    skipped = {skip.site.name: skip.reason for skip in fast(Net(), X).skipped}

    assert "learned weights" in skipped["prelu"]


def test_undo_gives_the_model_back(kernels):
    model = Net()
    before = model(X)

    fast(model, X).undo()
    kernels.clear()

    assert torch.equal(model(X), before)
    assert kernels == []
    assert not model.own.fast


def test_undo_twice_is_an_error():
    changes = fast(nn.Sequential(nn.Linear(2, 2), nn.Mish()), torch.zeros(1, 2))
    changes.undo()

    with pytest.raises(SiteError, match="undone already"):
        changes.undo()


def test_a_checkpoint_of_the_plain_model_loads_into_the_fast_one_and_back():
    plain, quick = Net(), Net()
    fast(quick, X)

    quick.load_state_dict(plain.state_dict())
    plain.load_state_dict(quick.state_dict())


def test_torch_kernels_that_are_as_fast_stay(monkeypatch):
    monkeypatch.setattr(actlab.nn.transforms.fast, "crossover", lambda *_, **__: float("inf"))

    changes = fast(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))

    assert len(changes) == 0
    assert "as fast" in changes.skipped[0].reason


def test_a_swap_can_insert_fast_layers():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))

    actlab.swap_(model, "telu", fast=True)

    assert isinstance(model[1], ActivationLayer)
    assert model[1].fast


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "spec", ["mish", "telu", "swish(beta=learned)", "prelu(weight=learned_per_channel)", "swiglu", "gelu"]
)
def test_fast_layers_agree_with_the_formula(kernels, spec, dtype):
    x = 3 * torch.randn(6, 4, 10, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = []
    for options in ({"fast": True}, {"native": False}):
        made = layer(spec, channels=4, dtype=torch.float32 if dtype == torch.bfloat16 else dtype, **options)
        leaf = x.clone().requires_grad_()
        y = made(leaf)
        y.float().square().sum().backward()
        found.append([y.detach(), leaf.grad, *(p.grad for p in made.parameters())])

    assert kernels[-1] == str(actlab.parse(spec))
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-11, torch.bfloat16: 2**-6}[dtype]  # sums of 240 products
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("gate", ["first", "second", "interleaved"])
def test_every_half_can_be_the_gate(kernels, gate):
    x = torch.randn(5, 12)

    torch.testing.assert_close(layer("swiglu", gate=gate, fast=True)(x), layer("swiglu", gate=gate, native=False)(x))
    assert kernels == ["swiglu"]


def test_a_function_registered_today_has_kernels_at_once(kernels):
    from actlab.functions.activation import activation, forget
    from actlab.functions.formula import sigmoid, sin

    @activation(paper="found this morning")
    def found_this_morning(x):
        """A wave behind a gate."""
        return sigmoid(2 * x) * sin(x)

    try:
        torch.testing.assert_close(layer("found_this_morning", fast=True)(X), torch.sigmoid(2 * X) * torch.sin(X))
        assert kernels == ["found_this_morning"]
    finally:
        forget("found_this_morning")


class Reused(nn.Module):
    """The input of the activation is read again; in place, it is the output by then."""

    def __init__(self, act):
        super().__init__()
        self.linear, self.act = nn.Linear(16, 16), act

    def forward(self, x):
        h = self.linear(x)
        return self.act(h) + h


class Typed(nn.Module):
    """Depends on the type of its activation, so that a layer in its place makes it fail."""

    def __init__(self):
        super().__init__()
        self.linear, self.act = nn.Linear(16, 16), nn.Mish()

    def forward(self, x):
        return self.act(self.linear(x)) if type(self.act) is nn.Mish else self.linear(x)


@pytest.mark.parametrize("block", [lambda: Reused(nn.SiLU(inplace=True)), Typed], ids=["in place", "typed"])
@pytest.mark.parametrize("rest", [nn.Mish, nn.GELU])
def test_a_site_that_cannot_be_replaced_is_left_and_the_rest_is_done(kernels, block, rest):
    torch.manual_seed(0)
    model = nn.Sequential(block(), nn.Linear(16, 16), rest(), nn.Linear(16, 2))
    want = model(X)

    changes = fast(model, X)

    assert [change.path for change in changes] == ["2"]
    assert [skip.site.path for skip in changes.skipped] == ["0.act"]
    torch.testing.assert_close(model(X), want, rtol=1e-5, atol=1e-6)


def test_a_model_none_of_whose_sites_can_be_replaced_is_left(kernels):
    model = nn.Sequential(Reused(nn.SiLU(inplace=True)), nn.Linear(16, 2))
    want = model(X)

    changes = fast(model, X)

    assert not changes
    assert torch.equal(model(X), want)


def test_without_example_inputs_a_site_in_place_is_left(kernels):
    model = nn.Sequential(Reused(nn.SiLU(inplace=True)), nn.Linear(16, 16), nn.Mish(), nn.Linear(16, 2))
    want = model(X)

    changes = fast(model)

    assert [skip.reason.partition(",")[0] for skip in changes.skipped] == ["it overwrites its input"]
    torch.testing.assert_close(model(X), want, rtol=1e-5, atol=1e-6)


def test_a_path_that_is_the_name_of_another_function_is_a_path(kernels):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.mish, self.b, self.act = nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16), nn.Mish()

        def forward(self, x):
            return self.b(self.act(self.a(self.mish(self.b(x)))))

    model = Named()
    want = model(X)

    fast(model, X)

    assert [model.mish.spec.activation.name, model.act.spec.activation.name] == ["silu", "mish"]
    torch.testing.assert_close(model(X), want, rtol=1e-5, atol=1e-6)
