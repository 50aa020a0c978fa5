"""Bytes that autograd saves for the backward pass, and CPU time, before and after ``slim_``.

    python benchmarks/saved_bytes.py

Bytes are counted exactly: every storage that autograd's saved-tensor hooks report, once; parameters and the input excluded. The peak is of
all tensors of a step, from torch's profiler. Times are CPU times of forward and backward, one thread, the two models taking turns; the
median of the ratios of neighbours is shown, with its quartiles.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler tells of itself on every start

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actlab
from actlab.nn.probes.saved_tensors import saved_bytes

TOKENS, WIDTH, HIDDEN = 1024, 384, 1536
BATCH, CHANNELS, SIZE = 32, 32, 32


class Mish3(nn.Module):
    """Mish in three operations, as people write it."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return x * torch.tanh(F.softplus(x))


class Serf(nn.Module):
    """Serf in three operations."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return x * torch.erf(F.softplus(x))


class SwiGLU(nn.Module):
    """The block of Llama: two projections, their product, one projection."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down, self.act = nn.Linear(HIDDEN, WIDTH, bias=False), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.down(self.act(self.gate(x)) * self.up(x))


def mlp(activation: Callable[[], nn.Module]) -> nn.Module:
    """Linear, activation, Linear."""
    return nn.Sequential(nn.Linear(WIDTH, HIDDEN), activation(), nn.Linear(HIDDEN, WIDTH))


def cnn(activation: Callable[[], nn.Module], layers: int = 4) -> nn.Module:
    """Convolution, BatchNorm, activation, four times; the mean of each channel; a Linear."""
    parts: list[nn.Module] = []
    for index in range(layers):
        before = 3 if index == 0 else CHANNELS
        parts += [nn.Conv2d(before, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS), activation()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10))


TOKEN_INPUT = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
IMAGE_INPUT = torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
HIDDEN_BYTES, FEATURE_BYTES = TOKENS * HIDDEN * 4, BATCH * CHANNELS * SIZE * SIZE * 4
MLPS = {"relu": nn.ReLU, "gelu": nn.GELU, "mish": nn.Mish, "mish, 3 ops": Mish3, "serf, 3 ops": Serf, "elu": nn.ELU}
CNNS = {"relu": nn.ReLU, "silu": nn.SiLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}
MODELS: dict[str, tuple[Callable[[], nn.Module], Tensor, int]] = {
    **{f"MLP {name}": (partial(mlp, make), TOKEN_INPUT, HIDDEN_BYTES) for name, make in MLPS.items()},
    "SwiGLU": (SwiGLU, TOKEN_INPUT, HIDDEN_BYTES),
    "4 MLPs mish, 3 ops": (lambda: nn.Sequential(*(mlp(Mish3) for _ in range(4))), TOKEN_INPUT, HIDDEN_BYTES),
    "4 SwiGLUs": (lambda: nn.Sequential(*(SwiGLU() for _ in range(4))), TOKEN_INPUT, HIDDEN_BYTES),
    **{f"CNN {name}": (partial(cnn, make), IMAGE_INPUT, FEATURE_BYTES) for name, make in CNNS.items()},
}


def step(model: nn.Module, x: Tensor) -> float:
    """Return the CPU time of a step without its update."""
    model.zero_grad()
    begin = time.process_time()
    model(x).sum().backward()
    return time.process_time() - begin


def difference(plain: nn.Module, slim: nn.Module, x: Tensor) -> tuple[bool, float]:
    """Return whether the outputs are the same to the bit, and the largest relative error of a parameter's gradient (by norm)."""
    outputs = [model(x) for model in (plain, slim)]
    weights = torch.rand(outputs[0].shape, generator=torch.Generator().manual_seed(1))
    theirs, ours = (
        torch.autograd.grad((y * weights).sum(), list(m.parameters()))
        for y, m in zip(outputs, (plain, slim), strict=True)
    )
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True)]
    return torch.equal(*outputs), max(errors)


def row(name: str, repeats: int) -> str:
    """Measure one model."""
    make, x, unit = MODELS[name]
    torch.manual_seed(0)
    plain = make()
    slim = copy.deepcopy(plain)
    savings = actlab.slim_(slim, x)
    equal, error = difference(copy.deepcopy(plain), copy.deepcopy(slim), x)
    for model in (plain, slim):
        step(model, x)
    ratios = []
    for turn in range(repeats):
        first, second = (slim, plain) if turn % 2 else (plain, slim)
        times = {id(first): step(first, x), id(second): step(second, x)}
        ratios.append(times[id(slim)] / times[id(plain)])
    assert savings.before == saved_bytes(plain, x)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return (
        f"{name:<19}{savings.before / unit:>8.3f}N{saved_bytes(slim, x) / unit:>9.3f}N"
        f"{peak(plain, x) / unit:>8.1f}{peak(slim, x) / unit:>7.1f}N{middle:>9.2f} ({low:.2f} to {high:.2f})"
        f"{'yes' if equal else 'no':>8}{error:>10.0e}"
    )


def peak(model: nn.Module, x: Tensor) -> int:
    """Return the most bytes of tensors that are alive at once in a step, beyond what is there before it: gradients, buffers and all."""
    model.zero_grad()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        model(x).sum().backward()
    made = profile.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in made if event.name() == "[memory]")
    return max(accumulate(change for _, change in changes))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<19}{'eager':>9}{'slim':>10}{'peak':>16}{'time slim/eager':>24}{'same y':>8}{'grad err':>10}")
    for name in MODELS:
        print(row(name, options.repeats), flush=True)


if __name__ == "__main__":
    main()
