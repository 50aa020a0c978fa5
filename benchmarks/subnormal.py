"""Cost of subnormal intermediate results in kernels that keep or flush them, and in torch.

    OMP_NUM_THREADS=1 python benchmarks/subnormal.py

Normally distributed inputs of a given deviation; milliseconds of CPU time for 1,048,576 of them, forward and both passes, medians,
interleaved.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from actlab.codegen.cpu.kernel import CpuKernel
from actlab.codegen.cpu.row_body import RowLoop
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer

CASES = [("softplus", 1), ("softplus", 30), ("silu", 30), ("mish", 30), ("gelu", 10), ("soft_clipping", 1)]
SIZE, ROUNDS = 2**20, 9


class KeepingKernel(CpuKernel):
    """A kernel that keeps subnormal numbers."""

    def _loop(self, *key: object) -> RowLoop:
        return replace(super()._loop(*key), flushes=False)  # type: ignore[arg-type] # passed on unchanged


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'':14}{'deviation':>10}{'forward: kept, zero, torch':>34}{'both: kept, zero, torch':>34}")
    for name, deviation in CASES:
        print(row(name, deviation), flush=True)


def row(name: str, deviation: float) -> str:
    """Measure one function."""
    x, grad = torch.randn(SIZE) * deviation, torch.randn(SIZE)
    keeping, zeroing, plain, leaf = (
        KeepingKernel(parse(name)),
        CpuKernel(parse(name)),
        layer(name),
        x.clone().requires_grad_(),
    )
    forward = medians([lambda: keeping.forward(x), lambda: zeroing.forward(x), lambda: plain(x)])
    both = medians(
        [
            lambda: (keeping.forward(x), keeping.backward(grad, x)),
            lambda: (zeroing.forward(x), zeroing.backward(grad, x)),
            lambda: torch.autograd.grad(plain(leaf), leaf, grad),
        ]
    )
    cells = ("".join(f"{time:10.2f}" for time in times) for times in (forward, both))
    return f"{name:14}{deviation:10}" + "".join(f"{cell:>34}" for cell in cells)


def medians(calls: list[Callable[[], object]]) -> list[float]:
    """Return the median milliseconds of each call, interleaved."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS + 1):
        for call, found in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            found.append(time.process_time() - start)
    return [statistics.median(found[1:]) * 1e3 for found in times]


if __name__ == "__main__":
    main()
