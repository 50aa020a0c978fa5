"""Classification of planted dead, sparse, saturated and healthy units at every batch size, beside a hook that counts zeros.

Run: python benchmarks/dead_units.py [--quick]        (four minutes of CPU time; --quick: one)

One hidden layer of 64 units over 4096 inputs (integers from 0 to 4095, in random order), linear or as the channels of a convolution
over images of 2 x 2 equal pixels. A unit of each kind has its own weight and bias, drawn from a range that determines its kind:

    dead         its input is always far below zero, where the function and its slope are exactly zero in float32
    sparse       above zero for 1 to 100 inputs of 4096, below for all others
    saturated    its input is always far above zero
    healthy      its input covers at least -1 to 1

The last columns show the usual count: the share of units that are zero throughout a batch, averaged over batches, and the share of the
living units that this count calls dead in at least one batch. The exit code is 1 if any unit is classified wrongly.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import actlab
from actlab.nn.layers.layer import layer

INPUTS, UNITS = 4096, 64
SIZES = (1, 2, 16, 128, 1024, 4096)
FAR = 1e3  # distance from zero at which sigmoid and GELU are exactly zero in float32, too
KINDS = {  # kinds possible with each function: sparse needs an exact zero, saturated a flat end that is not zero
    "relu": ("dead", "sparse", "healthy"),
    "gelu": ("dead", "sparse", "healthy"),
    "silu": ("dead", "sparse", "healthy"),
    "relu6": ("dead", "sparse", "saturated", "healthy"),
    "hardsigmoid": ("dead", "sparse", "saturated", "healthy"),
    "sigmoid": ("dead", "saturated", "healthy"),
    "tanh": ("saturated", "healthy"),
    "elu": ("saturated", "healthy"),
}


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Net with units of known kinds.

    Attributes:
        net: the layer and its activation.
        kinds: the kind of each unit.
    """

    net: nn.Sequential
    kinds: list[str]


def plant(function: str, *, convolution: bool, seed: int = 0) -> Planted:
    """Return a net with units of every kind that the function can have, in random order."""
    generator = torch.Generator().manual_seed(seed)
    kinds = [KINDS[function][i % len(KINDS[function])] for i in torch.randperm(UNITS, generator=generator).tolist()]
    pairs = [_unit(kind, function, generator) for kind in kinds]
    linear: nn.Module = nn.Conv2d(1, UNITS, 1) if convolution else nn.Linear(1, UNITS)
    with torch.no_grad():
        linear.get_parameter("weight").view(-1).copy_(Tensor([weight for weight, _ in pairs]))
        linear.get_parameter("bias").copy_(Tensor([bias for _, bias in pairs]))
    return Planted(net=nn.Sequential(linear, layer(function)), kinds=kinds)


def _unit(kind: str, function: str, generator: torch.Generator) -> tuple[float, float]:
    """Return weight and bias of a unit."""
    draw = float(torch.rand((), generator=generator))
    if kind == "dead":
        return 0.01 * draw, -FAR * (1 + draw)
    if (
        kind == "sparse"
    ):  # smooth functions are exactly zero only far below, so that the step up to zero has to be steep
        steep = FAR if function in {"gelu", "silu"} else 1.0
        return steep, -steep * (INPUTS - 1 - int(1 + 99 * draw) + 0.5)
    if kind == "saturated":
        sign = -1 if function == "elu" else 1
        return sign * 0.01 * draw, sign * FAR * (1 + draw)
    reach = 1 + draw
    return 2 * reach / INPUTS, -reach


def batches(size: int, *, convolution: bool) -> list[Tensor]:
    """Return all inputs in batches of one size, in random order."""
    order = torch.randperm(INPUTS, generator=torch.Generator().manual_seed(1)).float()
    shaped = order.view(-1, 1, 1, 1).expand(-1, 1, 2, 2) if convolution else order.view(-1, 1)
    return list(shaped.split(size))


def counted_by_hook(planted: Planted, data: list[Tensor]) -> tuple[float, float]:
    """Return the share of units that a hook on zeros finds, and the share of living units that it calls dead at least once."""
    shares, ever = [], torch.zeros(UNITS, dtype=torch.bool)

    def hook(_module: nn.Module, _inputs: object, y: Tensor) -> None:
        zero = (y == 0).transpose(0, 1).flatten(1).all(1)
        shares.append(zero.double().mean())
        ever.logical_or_(zero)

    handle = planted.net[1].register_forward_hook(hook)
    with torch.no_grad():
        for batch in data:
            planted.net(batch)
    handle.remove()
    alive = torch.tensor([kind != "dead" for kind in planted.kinds])
    return float(torch.stack(shares).mean()), float(ever[alive].double().mean())


def main() -> int:
    """Print the table; return the exit code."""
    torch.set_num_threads(1)
    sizes = (1, 64, 4096) if "--quick" in sys.argv else SIZES
    counts = f"{'batch':>5} {'right':>6} {'wrong':>6} {'dead':>6}"
    print(f"{'function':12} {'units are':10} {counts} {'zero in a batch':>16} {'alive, called dead':>19}")
    wrong = 0
    for function in KINDS:
        for convolution in (False, True):
            planted = plant(function, convolution=convolution)
            for size in sizes:
                data = batches(size, convolution=convolution)
                (row,) = actlab.probe(planted.net, data, rank=False)
                found = [row.census.state_of(unit) for unit in range(UNITS)] if row.census else []
                misses = sum(a != b for a, b in zip(found, planted.kinds, strict=True))
                wrong += misses
                share, called = counted_by_hook(planted, data)
                where = "channels" if convolution else "last"
                print(
                    f"{function:12} {where:10} {size:5} {UNITS - misses:6} {misses:6} {row.dead:6.1%} {share:16.1%} {called:19.1%}",
                    flush=True,
                )
    print(f"\n{wrong} units classified wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
