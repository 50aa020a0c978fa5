"""CPU kernels on torch's threads, on Python threads and on one thread, against torch.

    python benchmarks/threads.py            # an idle machine
    python benchmarks/threads.py --busy     # with as many busy processes as threads

Forward passes with new output tensors, wall-clock time, medians; microseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from actlab.codegen.cpu import launch
from actlab.codegen.cpu import threads as pools
from actlab.codegen.cpu.kernel import kernel
from actlab.functions.grammar import parse

FUNCTIONS = {"relu": F.relu, "silu": F.silu, "mish": F.mish}
SIZES = [2**power for power in (15, 16, 17, 18, 20, 22)]
ROUNDS = 30
ALONE = 2**60  # numbers per thread with which a single thread is used


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(options.threads if options.busy else 0)]  # noqa: S603 a fixed command
    try:
        print(f"{options.threads} threads, {len(processes)} busy processes, load {os.getloadavg()[0]:.1f}")
        print(f"{'':6}{'elements':>10}{'torch threads':>16}{'Python threads':>16}{'alone':>10}{'torch':>10}")
        for name in FUNCTIONS:
            for size in SIZES:
                cells = measure(name, size, options.threads)
                print(f"{name:6}{size:10}{cells[0]:16.1f}{cells[1]:16.1f}{cells[2]:10.1f}{cells[3]:10.1f}", flush=True)
    finally:
        for process in processes:
            process.kill()


def measure(name: str, size: int, threads: int) -> list[float]:
    """Return the microseconds of a forward pass in each of the four ways."""
    x, function = torch.randn(size), kernel(parse(name))
    usual, openmp = launch.SHARE, pools._openmp
    times = []
    for share, pools._openmp in ((size // threads, openmp), (size // threads, lambda: None), (ALONE, openmp)):
        launch.SHARE = share
        times.append(microseconds(lambda: function.forward(x), size))
    launch.SHARE, pools._openmp = usual, openmp
    return [*times, microseconds(lambda: FUNCTIONS[name](x), size)]


def microseconds(call: Callable[[], object], size: int) -> float:
    """Return the median time of a call."""
    repeats, times = max(1, 2**19 // size), []
    call()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - start) / repeats)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
