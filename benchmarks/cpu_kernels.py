"""Kernels of the CPU reading beside torch: forward and backward of ours, of torch's native and of the formula composed of torch operations.

Run: python benchmarks/cpu_kernels.py [--all] [--size 16777216] [--dtype float32] [--repeats 7] [name ...]

One thread, CPU time (``time.thread_time``), all contenders interleaved in one process, medians, memory hot: the allocator keeps what is
freed, and a run during which the operating system had to map pages is left out on every side. "native" is what a user writes today;
"composed" is the formula in torch operations, as :mod:`actlab.codegen.pytorch` prints it. The ratios are to ours into given memory;
"fresh" is into new tensors, and NaN where each run mapped pages.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from actlab.codegen import pytorch
from actlab.codegen.cpu.kernel import kernel
from actlab.functions.activation import Learned, names
from actlab.functions.grammar import parse
from actlab.system.allocator import tune_allocator

NAMED = ["mish", "tanh", "telu", "squared_relu", "gelu_tanh", "gelu", "silu", "relu", "swiglu", "geglu"]
NATIVE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mish": F.mish,
    "tanh": torch.tanh,
    "telu": lambda x: x * torch.tanh(torch.exp(x)),
    "squared_relu": lambda x: F.relu(x).square(),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "silu": F.silu,
    "relu": F.relu,
    "swiglu": lambda x: F.silu(x.chunk(2, -1)[1]) * x.chunk(2, -1)[0],
    "geglu": lambda x: F.gelu(x.chunk(2, -1)[1]) * x.chunk(2, -1)[0],
}
AIMS = {
    "mish": 7,
    "tanh": 4,
    "telu": 5,
    "squared_relu": 3.5,
    "gelu_tanh": 3,
    "swiglu": 2.8,
    "geglu": 2.4,
    "gelu": 1.6,
    "silu": 1.3,
    "relu": 1.0,
}
PAGES = 64  # more newly mapped pages than this, and the run is left out


def timed(run: Callable[[], object]) -> tuple[float, bool]:
    """Return the CPU milliseconds of a run, and whether no memory had to be mapped."""
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = time.thread_time()
    run()
    spent = (time.thread_time() - start) * 1e3
    return spent, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < PAGES


def medians(contenders: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median time of each contender, interleaved; NaN if memory was mapped in every run."""
    times: dict[str, list[tuple[float, bool]]] = {name: [] for name in contenders}
    for _ in range(2 * repeats):
        for name, run in contenders.items():
            if sum(is_hot for _, is_hot in times[name][2:]) < repeats:
                times[name].append(timed(run))
    hot = {name: [t for t, is_hot in found[2:] if is_hot] for name, found in times.items()}
    return {name: statistics.median(found) if found else math.nan for name, found in hot.items()}


def contenders(name: str, size: int, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Return what is compared for an activation."""
    spec = parse(name)
    ours = kernel(spec)
    gated = spec.activation.kind == "gated"
    width = min(size, 1024)
    x = torch.randn(size // width, 2 * width if gated else width).to(dtype)
    parameters = [torch.full((), float(v.initial or 0.0)) for _, v in spec.assigned if isinstance(v, Learned)]
    grad = torch.randn(size // width, width).to(dtype)
    y, dx = torch.empty_like(grad), torch.empty_like(x)
    leaf, learned = x.clone().requires_grad_(), [p.clone().requires_grad_() for p in parameters]
    numbers = tuple((k, v) for k, v in spec.assigned if not isinstance(v, Learned))
    formula = pytorch.function(spec.activation, numbers)

    def composed() -> None:
        leaf.grad = None
        inputs = leaf.chunk(2, -1)[::-1] if gated else (leaf,)
        formula(*inputs, *learned).backward(grad)

    def native() -> None:
        leaf.grad = None
        NATIVE[name](leaf).backward(grad)

    found: dict[str, Callable[[], object]] = {
        "copy": lambda: dx.copy_(x),
        "F": lambda: ours.forward(x, *parameters, out=y),
        "FB": lambda: (ours.forward(x, *parameters, out=y), ours.backward(grad, x, *parameters, out=dx)),
        "FB fresh": lambda: (ours.forward(x, *parameters), ours.backward(grad, x, *parameters)),
        "composed": composed,
    }
    return found | ({"native": native} if name in NATIVE else {})


def mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    known = [ratio for ratio in ratios if ratio == ratio]  # noqa: PLR0124 NaN is unequal to itself
    return math.exp(statistics.fmean(map(math.log, known))) if known else math.nan


def main() -> None:
    """Print the table and the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--size", type=int, default=2**24)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "bfloat16", "float16"])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tune_allocator()
    chosen = options.names or (names("elementwise") + names("gated") if options.all else NAMED)
    print(f"{options.size} numbers, {options.dtype}, 1 thread, CPU ms; load of the machine {os.getloadavg()[0]:.1f}")
    print(
        "| name | copy | ours F | ours F+B | ours F+B, fresh | native F+B | composed F+B | native/ours | composed/ours | aim |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    natives, composites = [], []
    for name in chosen:
        t = medians(contenders(name, options.size, getattr(torch, options.dtype)), options.repeats)
        composites.append(t["composed"] / t["FB"])
        if "native" in t:
            natives.append(t["native"] / t["FB"])
        cells = [f"{t[key]:.3f}" if key in t else "" for key in ("copy", "F", "FB", "FB fresh", "native", "composed")]
        ratio = f"{natives[-1]:.2f}" if "native" in t else ""
        print(f"| {name} | {' | '.join(cells)} | {ratio} | {composites[-1]:.2f} | {AIMS.get(name, '')} |", flush=True)
    print(
        f"geometric mean: native/ours {mean(natives):.2f}, composed/ours {mean(composites):.2f} over {len(composites)}"
    )


if __name__ == "__main__":
    main()
