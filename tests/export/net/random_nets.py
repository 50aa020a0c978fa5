"""Random small nets for exports, of all layers that a net can have."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actlab
from actlab.functions.activation import get, names

SPECS = [name for name in names("elementwise") if get(name).expression is not None]
LEARNED = ["swish(beta=learned)", "prelu(weight=learned_per_channel)", "elu(alpha=learned_per_channel)"]


class Gate(nn.Module):
    """Product of a tensor with a sigmoid of its means, as in squeeze and excitation."""

    def forward(self, x: Tensor) -> Tensor:
        return (
            x * torch.sigmoid(x.mean(tuple(range(2, x.dim())), keepdim=True)) if x.dim() > 2 else x * torch.sigmoid(x)
        )


class Joined(nn.Module):
    """Sum, concatenation or maximum of a tensor and of what a layer makes of it."""

    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, x: Tensor) -> Tensor:
        other = self.inner(x)
        if self.how == "cat":
            return torch.cat([x, other], 1)
        return x + other if self.how == "sum" else torch.maximum(x, other)


class Halves(nn.Module):
    """Difference of the halves of a tensor, and a constant, with padding around it."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return F.pad(F.relu_(a - b * 0.5) + 0.25, (1, 0))


class Argmax(nn.Module):
    """Probabilities and the most probable class."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.softmax(x, -1), x.argmax(-1)


def random_net(seed: int) -> tuple[nn.Module, Tensor]:
    """Return a net and a batch of two or three examples.

    Args:
        seed: fixes both.
    """
    draw = random.Random(seed)  # noqa: S311 no secret
    torch.manual_seed(seed)
    spatial = draw.choice([0, 0, 1, 2])
    shape = [draw.randint(2, 6), *(draw.randint(5, 9) for _ in range(spatial))]
    x = torch.randn(draw.randint(2, 3), *shape)
    parts: list[nn.Module] = []
    value = x
    for _ in range(draw.randint(1, 6)):
        part = _part(draw, value.shape)
        parts.append(part)
        value = _run(part, value)
    if spatial:
        parts.append(draw.choice([nn.Flatten(), nn.AdaptiveAvgPool1d(1) if spatial == 1 else nn.AdaptiveAvgPool2d(1)]))
        parts.append(nn.Flatten())
        value = value.flatten(1) if isinstance(parts[-2], nn.Flatten) else value.mean(tuple(range(2, value.dim())))
    parts.append(nn.Linear(value.shape[1], draw.randint(2, 5), bias=draw.random() < 0.8))
    parts.append(draw.choice([nn.Identity(), nn.Softmax(-1), nn.LogSoftmax(1), Argmax(), nn.Sigmoid()]))
    net = nn.Sequential(*parts)
    with torch.no_grad():
        for name, tensor in net.named_buffers():
            if "running" in name:
                tensor.add_(torch.rand(tensor.shape))
    return net.eval(), x


def _run(part: nn.Module, value: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = part.eval()(value)
    return result


def _part(draw: random.Random, shape: torch.Size) -> nn.Module:
    spatial = len(shape) - 2
    kinds = ["activation", "activation", "weights", "weights", "norm", "joined", "other"]
    if spatial and min(shape[2:]) >= 3:
        kinds += ["pool", "conv"]
    kind = draw.choice(kinds)
    if kind == "activation":
        return _activation(draw, shape)
    if kind == "norm":
        return [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d][spatial](shape[1])
    if kind == "joined":
        how = draw.choice(["sum", "cat", "maximum"])
        return Joined(draw.choice([_activation(draw, shape, gated=False), Gate()]), how)
    if kind == "pool":
        return _pool(draw, spatial)
    if kind == "other":
        halves = [Halves()] if shape[1] % 2 == 0 and shape[1] > 1 else []
        return draw.choice([nn.Dropout(), Gate(), nn.Identity(), nn.Hardtanh(-0.5, 0.7, inplace=True), *halves])
    if spatial and (kind == "conv" or draw.random() < 0.7):
        return _conv(draw, shape, spatial)
    return nn.Linear(shape[-1], draw.randint(2, 8), bias=draw.random() < 0.7)


def _activation(draw: random.Random, shape: torch.Size, *, gated: bool = True) -> nn.Module:
    if gated and shape[-1] % 2 == 0 and draw.random() < 0.2:
        return draw.choice([actlab.layer("swiglu"), actlab.layer("reglu"), nn.GLU()])
    if draw.random() < 0.2:
        return actlab.layer(draw.choice(LEARNED), channels=shape[1])
    if draw.random() < 0.2:
        return draw.choice([nn.LeakyReLU(0.2), nn.Softplus(2.0), nn.ELU(0.5), nn.ReLU6(inplace=True), nn.PReLU()])
    return actlab.layer(draw.choice(SPECS))


def _conv(draw: random.Random, shape: torch.Size, spatial: int) -> nn.Module:
    cls: Any = [None, nn.Conv1d, nn.Conv2d][spatial]
    groups = draw.choice([1, 1, shape[1]])
    dilation = draw.choice([1, 1, 2]) if min(shape[2:]) >= 5 else 1
    size = draw.choice([1, 2, 3]) if min(shape[2:]) >= 5 else 1
    return cls(
        shape[1],
        groups * draw.randint(1, 4),
        size,
        stride=draw.choice([1, 1, 2]),
        padding=draw.choice([0, 1, 2]),
        dilation=dilation,
        groups=groups,
        bias=draw.random() < 0.7,
    )


def _pool(draw: random.Random, spatial: int) -> nn.Module:
    average: Any = [None, nn.AvgPool1d, nn.AvgPool2d][spatial]
    highest: Any = [None, nn.MaxPool1d, nn.MaxPool2d][spatial]
    options = {"stride": draw.choice([1, 2, 3]), "padding": draw.choice([0, 1]), "ceil_mode": draw.random() < 0.4}
    if draw.random() < 0.5:
        return average(draw.choice([2, 3]), count_include_pad=draw.random() < 0.5, **options)
    return highest(3, dilation=draw.choice([1, 1, 2]) if options["padding"] else 1, **options)
