"""Cost of sixteen activations on slices of a tensor, relative to one SiLU on the whole.

    python benchmarks/mixed_ratio.py

Shapes of stacked small MLPs, of channels of a CNN and of heads of a transformer. Forward and backward, CPU time of one thread, contenders
interleaved, medians over rounds of the ratio to torch's SiLU in the same round. For comparison: one torch call per slice, concatenated.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import actlab

NAMES = [
    "relu", "silu", "gelu", "mish", "tanh", "sigmoid", "softplus", "elu", "selu", "leaky_relu", "telu", "squared_relu", "hardswish",
    "swish(beta=1.5)", "softsign", "gelu_tanh",
]  # fmt: skip
SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "16 models, batch 64, width 128": ((16, 64, 128), 0),
    "16 models, batch 256, width 128": ((16, 256, 128), 0),
    "64 channels of 32 x 32, batch 32": ((32, 64, 32, 32), 1),
    "16 heads, 1024 tokens of 64, batch 4": ((4, 16, 1024, 64), 1),
}


class Sliced(nn.Module):
    """One torch call per slice, concatenated."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.parts = dim, nn.ModuleList(actlab.layer(name) for name in NAMES)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all."""
        pieces = x.chunk(len(NAMES), self.dim)
        return torch.cat([part(piece) for part, piece in zip(self.parts, pieces, strict=True)], self.dim)


def both(module: nn.Module, x: Tensor, repeats: int) -> Callable[[], float]:
    """Return a function that times forward and backward."""
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)

    def run() -> float:
        start = time.process_time()
        for _ in range(repeats):
            leaf.grad = None
            module(leaf).backward(grad)
        return (time.process_time() - start) / repeats

    return run


def row(name: str, rounds: int) -> str:
    """Measure one shape."""
    shape, dim = SHAPES[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    repeats = max(1, 2**21 // x.numel())
    modules = {"silu": nn.SiLU(), "mixed": actlab.mixed(NAMES, dim=dim), "sliced": Sliced(dim)}
    runs = {key: both(module, x, repeats) for key, module in modules.items()}
    times: dict[str, list[float]] = {key: [] for key in runs}
    order = random.Random(0)  # noqa: S311 not used for security
    for _ in range(rounds + 2):
        for key in order.sample(list(runs), len(runs)):
            times[key].append(runs[key]())
    silu = times["silu"][2:]
    ratios = [
        statistics.median(t / s for t, s in zip(times[key][2:], silu, strict=True)) for key in ("mixed", "sliced")
    ]
    return f"{name:40}{statistics.median(silu) * 1e6:10.0f} us{ratios[0]:10.2f}{ratios[1]:14.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    actlab.tune_allocator()
    print(f"load {os.getloadavg()[0]:.1f}; {options.rounds} rounds")
    print(f"{'':40}{'one silu':>13}{'mixed':>10}{'cut and cat':>14}   (times one silu)")
    for name in SHAPES:
        print(row(name, options.rounds), flush=True)


if __name__ == "__main__":
    main()
