"""Training step of a small CNN with smooth activations against ReLU, in CPU time and saved bytes.

    python benchmarks/cnn_step.py            # torch's allocator tuned for all (actlab.tune_allocator)
    python benchmarks/cnn_step.py --as-shipped

Four times convolution (64 channels, 3 x 3), BatchNorm and activation on 32 x 32 images, a batch of 128; a step is forward, cross entropy,
backward and SGD. All contenders take turns in one process, in another order every round; CPU time of one thread; the median over rounds of
the ratio to the round's ReLU step. Bytes are what autograd keeps for the backward pass, parameters and images excluded.
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
from actlab.nn.probes.saved_tensors import saved_bytes

BATCH, CHANNELS, SIZE, LAYERS = 128, 64, 32, 4
NAMES = ["silu", "gelu", "mish", "tanh", "elu", "softplus", "telu"]
UNIT = BATCH * CHANNELS * SIZE * SIZE * 4  # one copy of the features


class Telu(nn.Module):
    """TeLU as its paper writes it: torch has none."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return x * torch.tanh(torch.exp(x))


TORCH: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "telu": Telu,
}


def cnn(name: str, *, fast: bool) -> nn.Module:
    """Return the net with an activation of torch's, or on our kernel."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for index in range(LAYERS):
        before = 3 if index == 0 else CHANNELS
        made = actlab.layer(name, fast=True) if fast else TORCH[name]()
        parts += [nn.Conv2d(before, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS), made]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10))


def stepper(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], float]:
    """Return a function that makes a training step and returns its CPU time."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> float:
        start = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        return time.process_time() - start

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--as-shipped", action="store_true", help="leave the memory allocator as it is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tuned = not options.as_shipped and actlab.tune_allocator()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator)
    labels = torch.randint(10, (BATCH,), generator=generator)
    models = {("relu", False): cnn("relu", fast=False)}
    models |= {(name, fast): cnn(name, fast=fast) for name in options.names for fast in (False, True)}
    steps = {key: stepper(model, images, labels) for key, model in models.items()}
    times = in_turns(steps, options.rounds)
    relu = times["relu", False]
    print(f"allocator {'tuned' if tuned else 'as shipped'}; load {os.getloadavg()[0]:.1f}; {options.rounds} rounds")
    print(
        f"relu, torch: {statistics.median(relu) * 1e3:.0f} ms, keeps {saved_bytes(models['relu', False], images) / UNIT:.2f}N"
    )
    print(
        f"{'':10}{'torch / relu':>14}{'kernel / relu':>15}{'torch / kernel':>16}{'torch keeps':>13}{'kernel keeps':>14}{'slim keeps':>12}"
    )
    for name in options.names:
        ours, theirs = times[name, True], times[name, False]
        ratios = [against(theirs, relu), against(ours, relu), against(theirs, ours)]
        kept = [saved_bytes(models[name, fast], images) / UNIT for fast in (False, True)]
        actlab.slim_(models[name, False], images)
        kept.append(saved_bytes(models[name, False], images) / UNIT)
        print(
            f"{name:10}{ratios[0]:14.2f}{ratios[1]:15.2f}{ratios[2]:16.2f}{kept[0]:12.2f}N{kept[1]:13.2f}N{kept[2]:11.2f}N"
        )


def in_turns(steps: dict[tuple[str, bool], Callable[[], float]], rounds: int) -> dict[tuple[str, bool], list[float]]:
    """Return the times of every model's steps, round by round, each round in another order."""
    for step in steps.values():
        step()
    order, times = random.Random(0), {key: [] for key in steps}  # noqa: S311 no secret
    for _ in range(rounds):
        for key in order.sample(list(steps), len(steps)):
            times[key].append(steps[key]())
    return times


def against(times: list[float], others: list[float]) -> float:
    """Return the median ratio of neighbours."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


if __name__ == "__main__":
    main()
