r"""Cost of functions that mix tokens against the number of tokens: forward and backward, and the slope of log time to log length.

Run: MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=1073741824 \
    python benchmarks/attention_cost.py [name ...]

The settings keep freed memory in the process. Without them glibc asks the kernel for every block above 32 MB anew and the kernel zeroes its
pages, which doubles to triples the time from 8k tokens on: gated linear attention then had slope 1.27 where it has 0.98.

The slope is fitted over 1k to 16k tokens; 1 is linear, 2 quadratic. Times are the smallest of several runs, interleaved over the functions
so that a busy machine hits all of them. float32, one sample, 64 features in 4 heads, ``causal=1`` where there is such a form.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import torch

from actlab.functions.activation import get, names
from actlab.models.layer import layer

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
FITTED = 1024
DIM, HEADS, ROUNDS = 64, 4, 2
LARGEST_QUADRATIC = 4096  # 4 heads of 16k x 16k weights with their gradient are 12 GB


def specs(chosen: list[str]) -> list[str]:
    """Return what is measured: every function of tokens, with its causal form."""
    found = []
    for name in chosen or [*(n for n in names("vector") if get(n).mixes_tokens), "fourier_mixing", "average_attention"]:
        parameters = {parameter.name for parameter in get(name).parameters}
        heads = [f"heads={HEADS}"] if "heads" in parameters else []
        found += [
            _spec(name, [*heads, *causal]) for causal in ([], ["causal=1"]) if "causal" in parameters or not causal
        ]
    return found


def _spec(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})" if arguments else name


def seconds(spec: str, length: int) -> float:
    """Return the time of one forward and backward pass."""
    module = layer(spec)
    x = torch.randn(1, length, DIM, generator=torch.Generator().manual_seed(0)).requires_grad_()
    start = time.perf_counter()
    module(x).sum().backward()
    return time.perf_counter() - start


def main() -> None:
    """Print milliseconds by length and the slopes."""
    torch.set_num_threads(1)
    chosen = specs(sys.argv[1:])
    best: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):
        for spec in chosen:
            for length in LENGTHS:
                if not (spec.startswith("softmax_attention") and length > LARGEST_QUADRATIC):
                    best[spec, length] = min(best.get((spec, length), math.inf), seconds(spec, length))
    print("| function | " + " | ".join(f"{n} [ms]" for n in LENGTHS) + f" | slope from {FITTED} |")
    print("|---|" + "---|" * (len(LENGTHS) + 1))
    for spec in chosen:
        row = [best.get((spec, length)) for length in LENGTHS]
        points = [(length, t) for length, t in zip(LENGTHS, row, strict=True) if t and length >= FITTED]
        slope = np.polyfit(*np.log(np.array(points)).T, 1)[0]
        print(f"| {spec} | " + " | ".join(f"{1e3 * t:.1f}" if t else "-" for t in row) + f" | {slope:.2f} |")


if __name__ == "__main__":
    main()
