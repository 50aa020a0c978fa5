"""A function is recognised where its values and gradients are those of a registered one, everywhere."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import nn

from actlab.nn.recognition.values import name_of
from actlab.nn.sites.find import find
from actlab.nn.sites.user_modules import match_module
from actlab.nn.transforms.fast import fast
from actlab.nn.transforms.slim import slim_
from actlab.nn.transforms.swap import swap_

SAME = {
    "relu": lambda x: torch.max(x, torch.zeros_like(x)),
    "relu6": lambda x: x.clamp(0, 6),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),  # overflows far out
    "softplus": lambda x: torch.log(1 + torch.exp(x)),  # so does this
    "gelu": lambda x: F.gelu(x.float()).type_as(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3))),
    "sign": lambda x: torch.where(x >= 0, 1.0, -1.0),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
}


@pytest.mark.parametrize("name", SAME)
def test_other_spellings_of_a_function_are_that_function(name):
    assert name_of(SAME[name]) == name


OTHERS = {
    "clamped at 20": lambda x: x.clamp(0, 20),
    "silu capped at 7": lambda x: F.silu(x).clamp(max=7),
    "exp capped at 15": lambda x: torch.exp(x.clamp(max=15)),
    "softplus capped at 1000": lambda x: F.softplus(x).clamp(max=1000),
    "floor of 1e-8": lambda x: F.relu(x) + 1e-8,
    "positive by 1e-6": lambda x: F.softplus(x) + 1e-6,
    "ends far below": lambda x: torch.where(x < -100, torch.zeros_like(x), F.leaky_relu(x)),
    "flat near zero": lambda x: torch.where(x.abs() < 1e-6, torch.zeros_like(x), x.abs()),
    "softsign with an epsilon": lambda x: x / (x.abs() + 1 + 1e-4),
    "sign of torch, which is 0 at 0": torch.sign,
    "clamped in float32 alone": lambda x: x.relu().clamp(max=20) if x.dtype == torch.float32 else x.relu(),
    "dropout that is always on": lambda x: F.dropout(F.relu(x), 0.5),
    "noise of size 0": lambda x: F.relu(x + 0 * torch.randn_like(x)),
    "detached gate": lambda x: x * torch.sigmoid(x).detach(),
    "straight through": lambda x: x + (x.clamp(-1, 1) - x).detach(),
    "half the gradient": lambda x: 0.5 * F.relu(x) + (0.5 * F.relu(x)).detach(),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_function_that_differs_anywhere_is_not_recognised(what):
    assert name_of(OTHERS[what]) is None


def own_gradient(backward):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.relu()

    Own.backward = staticmethod(lambda ctx, g: backward(g, *ctx.saved_tensors))
    return Own.apply


BACKWARDS = {
    "guided": lambda g, x: g * (x > 0) * (g > 0),
    "clipped": lambda g, x: (g * (x > 0)).clamp(-1, 1),
    "reversed": lambda g, x: -g * (x > 0),
    "passed on": lambda g, _: g,
}


@pytest.mark.parametrize("what", BACKWARDS)
def test_a_gradient_of_its_own_is_no_registered_function(what):
    assert name_of(own_gradient(BACKWARDS[what])) is None
    assert name_of(own_gradient(lambda g, x: g * (x > 0))) == "relu"


class Noisy(nn.Module):
    def forward(self, x):
        return torch.relu(x + torch.randn_like(x) if self.training else x)


class WithDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(x * torch.sigmoid(x))


class Annealed(nn.Module):
    def forward(self, x):
        return F.relu(x) if not self.training else F.softplus(x)


class OfParts(nn.Module):
    """As MobileNet's forks have it."""

    def __init__(self):
        super().__init__()
        self.relu6 = nn.ReLU6()

    def forward(self, x):
        return x * self.relu6(x + 3) / 6


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(x)


@pytest.mark.parametrize("cls", [Noisy, WithDropout, Annealed])
def test_a_module_that_differs_in_training_is_not_recognised(cls):
    assert match_module(cls()) is None
    assert match_module(cls().eval()) is None


def test_a_module_of_modules_is_one_function_and_a_mere_wrapper_is_not():
    assert match_module(OfParts()).name == "hardswish"
    assert match_module(Around()) is None


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_default_dtype_changes_nothing_and_nothing_is_kept_from_another(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        assert match_module(Swish()).name == "silu"
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(before)
    assert match_module(Swish()).name == "silu"


def test_on_another_default_device_it_is_judged_on_the_cpu():
    with torch.device("meta"):
        assert match_module(Swish()).name == "silu"


def net(act):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), act, nn.Linear(8, 2))


@pytest.mark.parametrize("transform", [fast, slim_, lambda model, x: swap_(model, {"silu": "silu"}, x)])
def test_what_is_known_by_its_values_keeps_its_own_code(transform):
    x = 100 * torch.linspace(-2, 2, 12).reshape(3, 4)
    model = net(Swish())
    before = model(x)

    transform(model, x)

    assert torch.equal(model(x), before)
    assert transform is slim_ or isinstance(model[1], Swish)  # slim_ has it computed again inside the next layer


def test_a_swap_to_another_function_replaces_it():
    model = net(Swish())
    assert [change.path for change in swap_(model, {"silu": "sine"})] == ["1"]
    assert [site.name for site in find(model)] == ["sine"]


def test_constants_of_seven_digits_are_close_enough_and_of_four_are_not():
    assert name_of(lambda x: x * 0.5 * (1 + torch.erf(x / 1.41421356))) == "gelu"
    assert name_of(lambda x: x * 0.5 * (1 + torch.erf(x / 1.414))) is None
    assert name_of(lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))) == "gelu"
