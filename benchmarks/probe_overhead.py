"""Time and memory overhead of the probe against hand-written hooks on a residual net, interleaved.

Run: python benchmarks/probe_overhead.py [--rounds 12]        (a few minutes on one core)

A ResNet-18 for images of 32 x 32 (17 ReLUs, 2.8 million parameters at width 32), batch 16, CPU time of one thread. In every round each
variant runs once; printed are medians of the ratios to the plain pass of the same round, with quartiles:

    between         a pass in a loop with Probe(every=100) that is not recorded
    looked at       a recorded pass
    every 100       both combined: 0.99 of the first and 0.01 of the second
    hooks, always   the usual hand-written form: a forward hook on every ReLU that takes mean, deviation and share of zeros with .item()
    hooks, every    the same hooks when they return at once, as in 99 passes of 100
    hooks, store    hooks that keep every output for later analysis

The probe measures moments, quantiles, zeros, slopes, units and effective rank, and in a training step the gradients on both sides.
Memory is the peak allocation of a pass (torch's profiler), and what is kept afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actlab

BATCH, WIDTH, EVERY = 16, 32, 100


class Block(nn.Module):
    """Residual block with one shared in-place ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for _ in range(2))
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        y += self.short(x)
        return self.relu(y)


class ResNet(nn.Module):
    """ResNet-18 for small images."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH, WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH]
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)
        )
        stages = [
            nn.Sequential(Block(widths[i], widths[i + 1], 1 + (i > 0)), Block(widths[i + 1], widths[i + 1], 1))
            for i in range(4)
        ]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits


X, Y = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
Kept = list[object]


def measured(kept: Kept, _module: nn.Module, _inputs: object, y: Tensor) -> None:
    """Record mean, deviation and share of zeros."""
    kept.append((y.mean().item(), y.std().item(), (y == 0).float().mean().item()))


def stored(kept: Kept, _module: nn.Module, _inputs: object, y: Tensor) -> None:
    """Keep the output."""
    kept.append(y.detach().clone())


def idle(_module: nn.Module, _inputs: object, _y: Tensor, *, step: int = 1) -> None:
    """Return at once, except in every ``EVERY``-th step."""
    if step % EVERY:
        return


class Watched:
    """Model to which a variant is applied for one pass."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.kept: Kept = []

    def variants(self) -> dict[str, Callable[[ExitStack], object]]:
        """Return the function that applies each variant to the model before the pass."""
        return {
            "plain": lambda _: None,
            "between": partial(self._probe, passes=1),
            "looked at": partial(self._probe, passes=0),
            "hooks, always": lambda stack: self._hooks(stack, partial(measured, self.kept)),
            "hooks, every": lambda stack: self._hooks(stack, idle),
            "hooks, store": lambda stack: self._hooks(stack, partial(stored, self.kept)),
        }

    def _probe(self, stack: ExitStack, passes: int) -> None:
        probe = actlab.Probe(self.model, every=EVERY)
        probe._passes = passes
        stack.enter_context(probe)
        self.kept.append(probe)

    def _hooks(self, stack: ExitStack, hook: Callable[..., None]) -> None:
        for module in self.model.modules():
            if isinstance(module, nn.ReLU):
                stack.callback(module.register_forward_hook(hook).remove)


def forward(model: nn.Module) -> None:
    """Run a forward pass, as in training."""
    model(X)


def step(model: nn.Module) -> None:
    """Run a training step without the optimizer."""
    F.cross_entropy(model(X), Y).backward()
    model.zero_grad()


def times(work: Callable[[nn.Module], None], rounds: int) -> dict[str, list[float]]:
    """Return the ratios to the plain pass of the same round, by variant; reading the probe's results is part of its pass."""
    model = ResNet().train()
    watched = Watched(model)
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        spent: dict[str, float] = {}
        for name, put in watched.variants().items():
            with ExitStack() as stack:
                put(stack)
                begun = time.process_time()
                work(model)
                stack.close()
                spent[name] = time.process_time() - begun
            watched.kept.clear()
        for name, value in spent.items() if number else ():  # the first round warms up
            found.setdefault(name, []).append(value / spent["plain"])
    both = zip(found["between"], found["looked at"], strict=True)
    found["every 100"] = [(EVERY - 1) / EVERY * between + looked / EVERY for between, looked in both]
    return found


def peak(work: Callable[[nn.Module], None], name: str) -> tuple[float, float]:
    """Return the peak memory of a pass beyond the memory before it, and the memory kept afterwards, in MiB."""
    model = ResNet().train()
    watched = Watched(model)
    work(model)
    with ExitStack() as stack:
        watched.variants()[name](stack)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            work(model)
            stack.close()
        made = profile.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in made if event.name() == "[memory]")
    totals = list(accumulate(change for _, change in changes))
    return max(totals) / 2**20, totals[-1] / 2**20


def straight(passes: int = 2 * EVERY) -> float:
    """Return the CPU time of the forward passes of a loop with the probe over those of a plain one, interleaved pass by pass."""
    models = ResNet().train(), ResNet().train()
    spent = [0.0, 0.0]
    with actlab.Probe(models[1], every=EVERY):
        for number in range(passes):
            for which in (0, 1) if number % 2 else (1, 0):
                begun = time.process_time()
                forward(models[which])
                spent[which] += time.process_time() - begun
    return spent[1] / spent[0]


def main() -> int:
    """Print the tables; return 1 if the forward overhead reaches 15 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    amounts: dict[str, float] = {}
    for work in (forward, step):
        print(f"{work.__name__}: CPU time over the plain pass" + (", peak and kept memory" if work is step else ""))
        for name, ratios in times(work, options.rounds).items():
            low, middle, high = statistics.quantiles(ratios, n=4)
            amounts[f"{work.__name__} {name}"] = middle
            memory = ""
            if work is step and name != "every 100":
                top, kept = peak(work, name)
                memory = f"   peak {top:6.1f} MiB, kept {kept:6.2f} MiB"
            print(f"  {name:14} {middle:6.3f} ({low:.3f} to {high:.3f}){memory}", flush=True)
    ratio = straight()
    print(f"{2 * EVERY} forward passes in a loop, with the probe over plain, interleaved: {ratio:.3f}")
    return 0 if amounts["forward every 100"] < 1.15 and ratio < 1.15 else 1


if __name__ == "__main__":
    raise SystemExit(main())
