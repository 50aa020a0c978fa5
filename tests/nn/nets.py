"""Nets with convolutions, residuals and planted units, for tests of probes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 8
SILENT = -1e3


class Residual(nn.Module):
    """A residual block as torchvision writes it: one ReLU, in place, that runs twice."""

    def __init__(self, channels=4):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.norm(self.first(x)))
        y = self.second(y)
        y += x
        return self.relu(y)


class Mixed(nn.Module):
    """Convolutions, a functional call, dropout, a learned activation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.block = Residual()
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(4 * 6 * 6, 16)
        self.act = nn.PReLU()
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.drop(self.block(F.gelu(self.stem(x))))
        return self.head(self.act(self.hidden(x.flatten(1))))


def planted(function: nn.Module, *, flat: float = 40.0) -> tuple[nn.Sequential, list[str]]:
    """Return a net of one input and one hidden layer whose units have known states, and these states.

    Inputs are integers from 0 to 999. A unit of weight 0 always has its bias as input.
    """
    plan = {
        "dead": (0.0, SILENT),
        "sparse": (1.0, -990.5),  # above zero for 9 inputs of 1000
        "saturated": (0.0, flat),
        "healthy": (1.0 / 500, -0.999),  # on both sides of zero
    }
    units = [(kind, *plan[kind]) for kind in ("dead", "sparse", "healthy", "saturated", "dead", "healthy", "sparse")]
    net = nn.Sequential(nn.Linear(1, len(units)), function, nn.Linear(len(units), 1))
    with torch.no_grad():
        net[0].weight.copy_(Tensor([[weight] for _, weight, _ in units]))
        net[0].bias.copy_(Tensor([bias for _, _, bias in units]))
    return net, [kind for kind, _, _ in units]
