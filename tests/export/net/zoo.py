"""Nets as people bring them to small devices, untrained, with examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actlab
from actlab.export.net.net import Net
from actlab.export.net.read import read_net


class Residual(nn.Module):
    """Block of two convolutions with a sum, as in ResNet-8, with operators in place."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _ in range(3))
        self.skip = nn.Conv2d(channels, out, 1, stride, bias=False) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)), inplace=True)
        y = self.norms[1](self.second(y))
        y += x if self.skip is None else self.norms[2](self.skip(x))
        return F.relu_(y)


class Causal(nn.Module):
    """Block of a temporal convolutional net: dilated, padded on the left, with a gated unit."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 2 * channels, 3, padding=2 * dilation, dilation=dilation)
        self.cut = 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)[:, :, : -self.cut]
        a, b = y.chunk(2, dim=1)
        return x + torch.tanh(a) * torch.sigmoid(b)


class SwiGLU(nn.Module):
    """Feed-forward block with two projections and their product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.value, self.out = nn.Linear(width, 12), nn.Linear(width, 12), nn.Linear(12, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.silu(self.gate(x)) * self.value(x))


class TwoInputs(nn.Module):
    """Image and numbers in, class and score out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.line, self.out = nn.Conv2d(1, 4, 3), nn.Linear(3, 4), nn.Linear(8, 5)
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, image: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        h = F.elu(self.conv((image - 0.5) / 0.25)).amax((2, 3))
        both = torch.cat([h, F.mish(self.line(numbers - self.mean))], dim=1)
        scores = self.out(both)
        return {"class": scores.argmax(1), "score": F.log_softmax(scores, 1), "features": both}


def digits_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 24), actlab.layer("gelu"), nn.Linear(24, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 10)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), actlab.layer("mish"), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 30), actlab.layer("swish(beta=learned)"), nn.Dropout(), nn.Linear(30, 10), nn.Softmax(-1),
    )  # fmt: skip


def ds_cnn() -> nn.Module:
    def block(channels: int) -> list[nn.Module]:
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        return [
            depthwise,
            nn.BatchNorm2d(channels),
            nn.ReLU6(),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]

    first = [nn.Conv2d(1, 8, (10, 4), stride=2, padding=(5, 1), bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 12)]
    return nn.Sequential(*first, *block(8), *block(8), nn.Dropout2d(), *last)


def autoencoder() -> nn.Module:
    sizes = [40, 16, 16, 4, 16, 16]
    inner = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.BatchNorm1d(b), actlab.layer("serf"))]
    return nn.Sequential(*inner, nn.Linear(16, 40))


def resnet() -> nn.Module:
    blocks = [Residual(4, 4, 1), Residual(4, 6, 2)]
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"), *blocks, nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(24, 10)
    )


def temporal() -> nn.Module:
    head = [nn.MaxPool1d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(4 * 12, 3)]
    return nn.Sequential(nn.Conv1d(2, 4, 1), Causal(4, 1), Causal(4, 2), *head)


def gated() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), actlab.layer("geglu"), SwiGLU(8), nn.Linear(8, 8), nn.GLU(), nn.Linear(4, 2))


ZOO: Mapping[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "digits_mlp": (digits_mlp, ((64,),)),
    "lenet": (lenet, ((1, 28, 28),)),
    "ds_cnn": (ds_cnn, ((1, 49, 10),)),
    "autoencoder": (autoencoder, ((40,),)),
    "resnet": (resnet, ((3, 8, 8),)),
    "temporal": (temporal, ((2, 24),)),
    "gated": (gated, ((6,),)),
    "two_inputs": (TwoInputs, ((1, 6, 6), (3,))),
}


def build(name: str, batch: int = 3) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a net in eval mode, whose norms have seen data, and a batch."""
    torch.manual_seed(0)
    make, shapes = ZOO[name]
    model = make()
    with torch.no_grad():
        for key, tensor in [*model.named_buffers(), *model.named_parameters()]:
            if tensor.is_floating_point() and ("running" in key or tensor.dim() == 1):
                tensor.add_(0.5 * torch.rand(tensor.shape))
    return model.eval(), tuple(torch.randn(batch, *shape) for shape in shapes)


@cache
def net_of(name: str) -> Net:
    """Return the layers of a net."""
    return read_net(*build(name))
