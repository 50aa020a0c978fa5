"""Time of token-mixing functions by sequence length, and the exponent of its growth.

Run: python benchmarks/attention_cost.py [name ...]        (about 5 minutes for all)

Slopes are fitted over 1k to 16k tokens, and over 256 to 16k; 1 is linear, 2 quadratic. Exit code 1 if a function other than softmax
attention has a slope above 1.1 from 1k on. The last column is the time at 16k tokens over that of softmax attention, causal over causal.
Softmax attention's 4 heads of 16k x 16k weights with their gradients would need 17 GB: its time at 16k is extrapolated from 4k, as 16 times
as much, and in parentheses.

Times are CPU times of one thread for forward and backward, medians of the rounds; in every round all functions and lengths run in another
random order, so that disturbances affect all of them. A short pass is repeated until it has taken 20 ms. float32, one sample, 64 features
in 4 heads, ``causal=1`` where there is such a form. `actlab.tune_allocator` keeps freed memory in the process: otherwise glibc maps every
block above 32 MB anew and the kernel zeroes its pages, which changes the slopes from 8k tokens on (gated linear attention: 1.27, not 0.98).
"""

from __future__ import annotations

import random
import statistics
import sys
import time

import numpy as np
import torch

import actlab
from actlab.functions.activation import get, names
from actlab.nn.layers.layer import layer

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
FITTED, ALLOWED = 1024, 1.1
DIM, HEADS, ROUNDS = 64, 4, 5
SHORTEST = 0.02  # seconds of one timing
QUADRATIC, LARGEST_QUADRATIC = "softmax_attention", 4096


def specs(chosen: list[str]) -> list[str]:
    """Return the specs to measure: every token-mixing function and its causal form, always with softmax attention."""
    result = []
    all_names = [*(n for n in names("vector") if get(n).mixes_tokens), "fourier_mixing", "average_attention"]
    for name in dict.fromkeys([*(chosen or all_names), QUADRATIC]):
        parameters = {parameter.name for parameter in get(name).parameters}
        heads = [f"heads={HEADS}"] if "heads" in parameters else []
        result += [
            _spec(name, [*heads, *causal]) for causal in ([], ["causal=1"]) if "causal" in parameters or not causal
        ]
    return result


def _spec(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})" if arguments else name


def seconds(spec: str, length: int) -> float:
    """Return the CPU time of one forward and backward pass."""
    module = layer(spec)
    x = torch.randn(1, length, DIM, generator=torch.Generator().manual_seed(0)).requires_grad_()
    module(x[:, :64]).sum().backward()  # one-time work is not timed
    passes, start = 0, time.process_time()
    while time.process_time() - start < SHORTEST:
        module(x).sum().backward()
        passes += 1
    return (time.process_time() - start) / passes


def measure(chosen: list[str]) -> dict[str, dict[int, float]]:
    """Return the median time by spec and length."""
    cases = [(s, n) for s in chosen for n in LENGTHS if not (s.startswith(QUADRATIC) and n > LARGEST_QUADRATIC)]
    times: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    shuffler = random.Random(0)  # noqa: S311 not used for security
    for spec, length in cases:  # allocates the memory of the largest pass before anything is timed
        seconds(spec, length)
    for _ in range(ROUNDS):
        shuffler.shuffle(cases)
        for spec, length in cases:
            times[spec, length].append(seconds(spec, length))
    return {s: {n: statistics.median(times[s, n]) for n in LENGTHS if (s, n) in times} for s in dict.fromkeys(chosen)}


def slope(row: dict[int, float], start: int) -> float:
    """Return the slope of log time to log length, fitted from ``start`` tokens on."""
    points = np.log([(length, value) for length, value in row.items() if length >= start])
    return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])


def main() -> int:
    """Print milliseconds by length, the slopes and the ratio to softmax attention; return 1 if another function is not linear."""
    torch.set_num_threads(1)
    actlab.tune_allocator()
    rows = measure(specs(sys.argv[1:]))
    largest = LENGTHS[-1]
    ends = {}
    for causal in ("", ", causal=1"):
        row = rows[f"{QUADRATIC}(heads={HEADS}{causal})"]
        ends[bool(causal)] = row[LARGEST_QUADRATIC] * (largest / LARGEST_QUADRATIC) ** 2
    shown = " | ".join(f"{n} [ms]" for n in LENGTHS)
    print(
        f"| function | {shown} | slope from {FITTED} | slope from {LENGTHS[0]} | 16k: time over softmax attention's |"
    )
    print("|---|" + "---|" * (len(LENGTHS) + 3))
    failed = []
    for spec, row in rows.items():
        is_causal = "causal=1" in spec or spec.startswith(("retention", "gated_linear", "average"))
        is_quadratic = spec.startswith(QUADRATIC)
        end = row.get(largest, ends[is_causal])
        cells = [f"{1e3 * row[n]:.1f}" if n in row else f"({1e3 * end:.0f})" if n == largest else "-" for n in LENGTHS]
        print(
            f"| {spec} | {' | '.join(cells)} | {slope(row, FITTED):.2f} | {slope(row, LENGTHS[0]):.2f} | "
            f"{end / ends[is_causal]:.4f} |"
        )
        if not is_quadratic and slope(row, FITTED) > ALLOWED:
            failed.append(spec)
    print(
        f"\n{len(rows)} functions; slope above {ALLOWED} from {FITTED} tokens on: {', '.join(failed) or 'none but softmax attention'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
