"""Low-rank adapters around Linears (the structure of PEFT's LoRA): a changed model is the same with adapters on, off and merged."""

from __future__ import annotations

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actlab
from actlab.errors import SiteError

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


class Lora(nn.Module):
    """A frozen Linear and a low-rank sum beside it, on, off or merged into the weight, as PEFT's ``lora.Linear``."""

    def __init__(self, base_layer: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base_layer.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, base_layer.out_features, bias=False)})
        self.lora_dropout = nn.ModuleDict({"default": nn.Identity()})
        self.disabled = self.merged = False

    def merge(self) -> None:
        with torch.no_grad():
            self.base_layer.weight += self.lora_B["default"].weight @ self.lora_A["default"].weight
        self.merged = True

    def forward(self, x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        result = self.base_layer(x, *args, **kwargs)
        if self.disabled or self.merged:
            return result
        for name in self.lora_A:
            x = x.to(self.lora_A[name].weight.dtype)
            result = result + self.lora_B[name](self.lora_A[name](self.lora_dropout[name](x)))
        return result


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)

    def forward(self, x):
        return self.down(self.act(self.up(x))) + x


class Called(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        return self.down(F.silu(self.up(x))) + x


def add_adapters(model):
    torch.manual_seed(1)
    for block in model[:2]:
        block.up, block.down = Lora(block.up), Lora(block.down)
    return model


@contextlib.contextmanager
def adapters_off(model):
    parts = [module for module in model.modules() if isinstance(module, Lora)]
    for part in parts:
        part.disabled = True
    yield
    for part in parts:
        part.disabled = False


def model():
    torch.manual_seed(0)
    return nn.Sequential(Block(), Called(), nn.Linear(8, 2))


def measured(net):
    """Return outputs, the input's gradient and those of all parameters, with adapters on and off."""
    results = []
    for off in (False, True):
        with adapters_off(net) if off else contextlib.nullcontext():
            x = X.clone().requires_grad_()
            net.zero_grad()
            y = net(x)
            y.square().sum().backward()
            results += [y.detach(), x.grad, *(p.grad for p in net.parameters() if p.grad is not None)]
    return results


CHANGES = {
    "same functions": lambda net: actlab.swap_(net, {"gelu": "gelu", "silu": "silu"}, X),
    "same functions, unseen": lambda net: actlab.swap_(net, {"gelu": "gelu", "silu": "silu"}),
    "fast": lambda net: actlab.fast(net, X),
    "slim": lambda net: actlab.slim_(net, X),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before the adapters", "after", "while they are off"])
def test_on_and_off_the_model_computes_what_it_computed(change, when):
    want = measured(add_adapters(model()))

    net = model()
    if when == "before the adapters":
        changes = CHANGES[change](net)
        add_adapters(net)
    else:
        add_adapters(net)
        with adapters_off(net) if when == "while they are off" else contextlib.nullcontext():
            changes = CHANGES[change](net)

    for got, wanted in zip(measured(net), want, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    if when != "before the adapters":
        changes.undo()
        assert all(torch.equal(got, wanted) for got, wanted in zip(measured(net), want, strict=True))


def test_a_new_function_runs_with_adapters_on_off_and_merged():
    net = add_adapters(model())
    actlab.swap_(net, "tanh", X)

    on = net(X)
    with adapters_off(net):
        off = net(X)

    assert not torch.allclose(on, off)
    for block in net[:2]:
        hidden = torch.tanh(block.up(X))
        torch.testing.assert_close(block(X), block.down(hidden) + X)
        for part in (block.up, block.down):
            part.merge()
    torch.testing.assert_close(net(X), on)


def test_a_gated_function_is_refused_where_adapters_share_the_width():
    net = add_adapters(model())
    want = net(X)

    with pytest.raises(SiteError):
        actlab.swap_(net, "swiglu", X)

    assert torch.equal(net(X), want)
