"""Random nets with weights, inputs and layers that are hard for exports: bits, huge and tiny numbers, zeros, single examples."""

from __future__ import annotations

import random
from typing import Any

import torch
from tests.export.net.random_nets import Argmax, Gate, Joined, _activation, _conv, _part, _pool, _run
from torch import Tensor, nn

import actlab
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear

BINARY = ["sign/clipped", "step/rect", "sign", "step", "step_at(threshold=0.4)"]
SCALES = [1e-30, 1e-8, 1e-3, 1.0, 1.0, 1.0, 1.0, 30.0, 1e4, 1e12]


class TwoInputs(nn.Module):
    """Net of the sum, the product or the concatenation of two inputs."""

    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the net's output."""
        joined = {"sum": x + y, "product": x * y, "maximum": torch.maximum(x, y), "difference": 0.5 * x - y}[self.how]
        result: Tensor = self.inner(joined)
        return result


def hard_net(seed: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a net in eval mode and its inputs, a batch of at most eight examples.

    Args:
        seed: fixes both.
    """
    draw = random.Random(seed)  # noqa: S311 no secret
    torch.manual_seed(seed)
    spatial = draw.choice([0, 0, 1, 2, 2])
    shape = [draw.choice([1, 1, 2, 3, 4, 6, 33]), *(draw.choice([1, 2, 5, 7, 8]) for _ in range(spatial))]
    count = draw.choice([1, 2, 8])
    x = _inputs(draw, (count, *shape))
    parts: list[nn.Module] = []
    value = x
    for _ in range(draw.randint(1, 5)):
        part = _hard_part(draw, value.shape)
        parts.append(part)
        value = _run(part, value)
    if spatial and draw.random() < 0.8:
        parts.append(nn.Flatten())
        parts.append(nn.Linear(value.flatten(1).shape[1], draw.randint(1, 5), bias=draw.random() < 0.8))
    ends = [nn.Identity(), nn.Softmax(-1), Argmax(), nn.Sigmoid(), actlab.layer(draw.choice(BINARY))]
    parts.append(draw.choice(ends))
    net = nn.Sequential(*parts)
    _disturb(draw, net)
    if draw.random() < 0.15:
        return TwoInputs(net, draw.choice(["sum", "product", "maximum", "difference"])).eval(), (
            x,
            _inputs(draw, x.shape),
        )
    return net.eval(), (x,)


def _inputs(draw: random.Random, shape: tuple[int, ...]) -> Tensor:
    x = torch.randn(shape)
    kind = draw.choice(["normal"] * 5 + ["pixels", "constant", "zero", "scaled", "one sided", "outlier"])
    if kind == "pixels":
        return torch.randint(0, 256, shape).float()
    if kind in {"constant", "zero"}:
        return torch.full(shape, draw.choice([-3.0, 0.5, 1e5]) if kind == "constant" else 0.0)
    if kind == "outlier":
        x.view(-1)[0] = 1e6
    return x * draw.choice(SCALES) if kind == "scaled" else x.abs() + 5 if kind == "one sided" else x


def _hard_part(draw: random.Random, shape: torch.Size) -> nn.Module:
    spatial = len(shape) - 2
    kind = draw.choice(["any", "any", "bits", "bits", "gated", "joined", "conv"])
    if kind == "bits":
        return _bits(draw, shape)
    if kind == "gated" and shape[-1] % 2 == 0:
        return actlab.layer(draw.choice(["swiglu", "reglu", "geglu", "glu"]))
    if kind == "joined":
        inner = [_activation(draw, shape, gated=False), Gate(), actlab.layer(draw.choice(BINARY))]
        return Joined(draw.choice(inner), draw.choice(["sum", "cat", "maximum"]))
    if kind == "conv" and spatial:
        return _conv(draw, shape, spatial)
    if spatial and min(shape[2:]) < 3 and kind == "conv":
        return _pool(draw, spatial) if min(shape[2:]) >= 2 else nn.Identity()
    return _part(draw, shape)


def _bits(draw: random.Random, shape: torch.Size) -> nn.Module:
    """Return a binary activation, alone or behind a product with binary or float weights and a norm."""
    spatial = len(shape) - 2
    ending = actlab.layer(draw.choice(BINARY))
    out = draw.choice([1, 3, 17, 33, 64])
    parts: list[nn.Module] = []
    if draw.random() < 0.7:
        if spatial == 2 and draw.random() < 0.7:
            size = draw.choice([1, 3])
            pad = size // 2
            parts.append(
                draw.choice(
                    [
                        BinaryConv2d(shape[1], out, size, padding=pad, pad_value=draw.choice([0.0, -1.0])),
                        nn.Conv2d(shape[1], out, size, padding=pad, bias=draw.random() < 0.5),
                    ]
                )
            )
        elif spatial == 0:
            scale: Any = draw.choice([None, "mean"])
            parts.append(draw.choice([BinaryLinear(shape[1], out, scale=scale), nn.Linear(shape[1], out)]))
        channels = out if parts else shape[1]
        if draw.random() < 0.6:
            parts.append([nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d][spatial](channels))
    return nn.Sequential(*parts, ending)


def _disturb(draw: random.Random, net: nn.Module) -> None:
    """Scale weights, make them zero, of one magnitude or of one sign, and give norms random numbers."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.running_mean, module.weight, module.bias):
                    assert tensor is not None
                    tensor.copy_(torch.randn(tensor.shape) * draw.choice([1.0, 1.0, 10.0]))
                assert module.running_var is not None
                module.running_var.copy_(torch.rand(module.running_var.shape) * draw.choice([1.0, 1e-6, 100.0]))
                if draw.random() < 0.2:
                    module.weight[0] = 0.0
            elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                _disturb_weight(draw, module)


def _disturb_weight(draw: random.Random, module: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    weight, bias = module.weight, module.bias
    kind = draw.choice(["as it is"] * 4 + ["scaled", "zero", "zero row", "signs", "ternary", "positive", "spread"])
    if kind == "scaled":
        weight.mul_(draw.choice(SCALES))
    elif kind == "zero":
        weight.zero_()
    elif kind == "zero row":
        weight[0].zero_()
    elif kind == "signs":
        weight.copy_(weight.sign() * draw.choice([1.0, 0.37]))
    elif kind == "ternary":
        weight.copy_(torch.randint(-1, 2, weight.shape) * draw.choice([1.0, 0.02]))
    elif kind == "positive":
        weight.abs_()
    elif kind == "spread":
        weight.mul_(10.0 ** torch.randint(-9, 9, (len(weight), *[1] * (weight.dim() - 1))))
    if bias is not None and draw.random() < 0.2:
        bias.mul_(draw.choice(SCALES))
