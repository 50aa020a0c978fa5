"""Models and engines with a planted fault, for the tests of conform."""

from __future__ import annotations

import torch
from torch import nn

import actlab

INPUTS = torch.randn(96, 8, generator=torch.Generator().manual_seed(0)) * 2


def net(*acts, inputs=8, width=16, outputs=3, last=()):
    """Return a net with the same weights for any activations: Linear and activation in turn."""
    torch.manual_seed(1)
    layers, size = [], inputs
    for act in acts:
        layers += [nn.Linear(size, width), actlab.layer(act) if isinstance(act, str) else act]
        size = width // 2 if _is_gated(layers[-1]) else width
    return nn.Sequential(*layers, nn.Linear(size, outputs), *last)


def _is_gated(act):
    return isinstance(act, nn.GLU) or (hasattr(act, "spec") and act.spec.activation.kind == "gated")


class Rounded(nn.Module):
    """A net whose tensors are rounded to int8 codes, each of its own scale."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        for part in self.model:
            x = part(x)
            step = float(x.abs().max()) / 127
            x = torch.round(x / step) * step
        return x


class Textbook(nn.Module):
    """Softplus as exporters write it."""

    def forward(self, x):
        return torch.log(1 + torch.exp(x))


class Product(nn.Module):
    """SwiGLU written out, with two Linears."""

    def __init__(self, swapped=False):
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 4)
        self.swapped = swapped

    def forward(self, x):
        gate, value = self.a(x), self.b(x)
        if self.swapped:
            gate, value = value, gate
        return self.c(nn.functional.silu(gate) * value)


class Shared(nn.Module):
    """A net that calls one activation twice; the second call may lose its limit."""

    def __init__(self, limit=6.0):
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.act, self.limit = nn.ReLU6(), limit

    def forward(self, x):
        h = 8 * self.b(self.act(self.a(x)))
        h = self.act(h) if self.limit == 6 else torch.clamp(h, 0, self.limit)
        return self.c(h)
