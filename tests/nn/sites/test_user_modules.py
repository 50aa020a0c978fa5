"""User-defined modules are matched by what they compute, and replaced as a whole."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # the usual name
from torch import nn

from actlab.nn.sites.find import find
from actlab.nn.sites.user_modules import match_module
from actlab.nn.transforms.swap import swap_

X = torch.linspace(-2, 2, 12).reshape(3, 4)


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class Mish(nn.Module):
    def forward(self, x):
        return x * torch.tanh(F.softplus(x))


class NewGELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class ErfGELU(nn.Module):
    def forward(self, x):
        return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


class HSwish(nn.Module):
    def forward(self, x):
        return x * F.relu6(x + 3) / 6


class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = F.gelu

    def forward(self, x):
        return self.act(x)


class Clamp(nn.Module):
    def forward(self, x):
        return x.clamp(min=0)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Swish, "silu"),
        (Mish, "mish"),
        (NewGELU, "gelu_tanh"),
        (ErfGELU, "gelu"),
        (HSwish, "hardswish"),
        (Held, "gelu"),
        (Clamp, "relu"),
    ],
)
def test_a_module_that_computes_a_known_function_is_that_function(cls, name):
    assert match_module(cls()).name == name


class OwnSoftmax(nn.Module):
    def forward(self, x):
        return x.exp() / x.exp().sum(-1, keepdim=True)


class Scaled(nn.Module):
    def forward(self, x):
        return 1.1 * torch.tanh(x)


class DropPath(nn.Module):
    def forward(self, x):
        return x * torch.bernoulli(torch.full_like(x, 0.5)) if self.training else x


class Noisy(nn.Module):
    def forward(self, x):
        return torch.relu(x + torch.rand_like(x))


class Gate(nn.Module):
    def forward(self, x, y):
        return torch.relu(x) * y


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


class Halves(nn.Module):
    def forward(self, x):
        return torch.relu(x[..., ::2])


@pytest.mark.parametrize(
    "cls", [OwnSoftmax, Scaled, DropPath, Noisy, Gate, Weighted, Halves, nn.Dropout, nn.ReLU, nn.Identity]
)
def test_everything_else_is_not_guessed_at(cls):
    assert match_module(cls()) is None


@pytest.mark.parametrize("example_inputs", [None, X], ids=["as written", "as run"])
def test_a_swap_replaces_the_module_and_not_what_it_calls_inside(example_inputs):
    model = nn.Sequential(nn.Linear(4, 4), Swish(), nn.Linear(4, 4), Scaled(), nn.Linear(4, 1))

    assert [(site.path, site.name) for site in find(model, example_inputs)] == [
        ("1", "silu"),
        ("3.forward:torch.tanh@1", "tanh"),
    ]
    swap_(model, {"silu": "sine"}, example_inputs)

    assert torch.equal(model(X), model[2:](torch.sin(model[0](X))))
