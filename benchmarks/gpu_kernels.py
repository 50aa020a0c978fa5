"""Speed of GPU kernels against torch, torch.compile, Liger-Kernel and memory bandwidth.

Run: python benchmarks/gpu_kernels.py [--all] [--out docs/gpu.md] [name ...]    (needs a CUDA GPU; --all takes under ten minutes)

Three tables: the chosen functions (or ``KEY``) by contender, at 64M numbers in bfloat16 and float32, forward and forward + backward; the
same functions by size; with ``--all`` every elementwise and gated function, ours against torch eager, in bfloat16.

*Roofline* is the minimum traffic of a pass (each input read once, each output written once) per second, relative to the speed of copying
a tensor of a gigabyte: 1 is memory bandwidth. Gated functions take packed inputs; for comparison with Liger, whose functions take two
tensors, "ours, two tensors" does, too. *Torch* is torch's fused kernel, or the formula in torch operations without one; *compile* is
torch.compile of the formula. Contenders are interleaved; times are medians by CUDA events, after a pause of the GPU in which its queue
fills, so that launches by Python are not timed. All kernels are compiled beforehand, in parallel processes.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actlab.bench import liger
from actlab.codegen.gpu.kernel import GpuKernel, kernel
from actlab.functions.activation import get, names
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer

KEY = (
    "relu",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "tanh",
    "telu",
    "squared_relu",
    "snake",
    "swiglu",
    "geglu",
    "geglu_tanh",
    "reglu",
)
NUMBERS = 2**26
SIZES = (2**20, 2**23, 2**26, 2**28)
WIDTH = 8192  # numbers in a row of the output
REPEATS = 11
PAUSE = 1_000_000  # GPU cycles
Call = Callable[[], Any]


@dataclass(frozen=True)
class Inputs:
    """Random inputs of a function, and the gradient of its output."""

    x: tuple[Tensor, ...]
    parameters: list[Tensor]
    grad: Tensor


def inputs(name: str, numbers: int, dtype: torch.dtype, *, packed: bool = True) -> Inputs:
    """Return inputs on the GPU for an output of so many numbers."""
    gated = get(name).kind == "gated"
    rows = max(1, numbers // WIDTH)
    shapes = [(rows, 2 * WIDTH)] if gated and packed else [(rows, WIDTH)] * (2 if gated else 1)
    generator = torch.Generator("cuda").manual_seed(0)
    x = tuple(torch.randn(shape, device="cuda", dtype=dtype, generator=generator) for shape in shapes)
    learned = [torch.tensor(float(parse(name).numbers[n]), device="cuda") for n in kernel(parse(name)).learned]
    return Inputs(x, learned, torch.randn(rows, WIDTH, device="cuda", dtype=dtype, generator=generator))


def actlab_passes(name: str, data: Inputs, own: GpuKernel | None = None) -> tuple[Call, Call]:
    """Return ActLab's forward pass, and forward and backward pass; of the given kernel instead of the default one."""
    kernel_ = own or kernel(parse(name))
    x = data.x if len(data.x) > 1 else data.x[0]

    def both() -> None:
        kernel_.forward(x, *data.parameters)
        kernel_.backward(data.grad, x, *data.parameters)

    return (lambda: kernel_.forward(x, *data.parameters)), both


def by_autograd(function: Callable[..., Any], data: Inputs, parameters: Iterable[Tensor] = ()) -> tuple[Call, Call]:
    """Return the forward pass of a function without a graph, and its forward and backward pass."""
    x = [part.requires_grad_() for part in data.x]

    def forward() -> None:
        with torch.no_grad():
            function(*x)

    def both() -> None:
        y = function(*x)
        torch.autograd.grad(y[0] if isinstance(y, tuple) else y, [*x, *parameters], data.grad, allow_unused=True)

    return forward, both


def torch_passes(name: str, data: Inputs, *, compiled: bool = False) -> tuple[Call, Call]:
    """Return torch's passes: its fused kernel or the formula in torch operations, in eager mode or compiled."""
    module = layer(name, native=not compiled).to("cuda")
    function = torch.compile(module, fullgraph=True, dynamic=False) if compiled else module
    return by_autograd(function, data, module.parameters())


def liger_passes(name: str, data: Inputs) -> tuple[Call, Call] | None:
    """Return Liger's passes, or None if it has no such function or is not installed. Its backward pass overwrites the inputs."""
    function = liger.function(name)
    return by_autograd(function, data) if function else None


def milliseconds(calls: dict[str, Call], fresh: Call | None = None, *, repeats: int = REPEATS) -> dict[str, float]:
    """Return the median time of every call that succeeds; calls are interleaved, and the GPU's cache is flushed before each."""
    cache = torch.empty(2**26, dtype=torch.int32, device="cuda")  # several times the second-level cache
    times: dict[str, list[float]] = {key: [] for key in calls}
    for turn in range(repeats + 2):  # two turns to warm up
        for key in list(times):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            try:
                if fresh:
                    fresh()
                cache.zero_()
                torch.cuda._sleep(PAUSE)  # no public function lets the queue fill
                start.record()
                calls[key]()
                end.record()
                end.synchronize()
            except Exception as error:  # a contender that fails, with any exception, is left out
                print(f"{key}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", file=sys.stderr)
                del times[key]
                torch.cuda.empty_cache()
                continue
            if turn > 1:
                times[key].append(start.elapsed_time(end))
    return {key: statistics.median(runs) for key, runs in times.items() if runs}


def copy_speed() -> float:
    """Return the bytes per second, read and written, of copying a gigabyte."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    (best,) = milliseconds({"copy": lambda: target.copy_(source)}, repeats=21).values()
    return 2 * source.numel() * 4 / (best / 1e3)


def floor_bytes(name: str, numbers: int, dtype: torch.dtype, *, backward: bool) -> int:
    """Return the minimum memory traffic of the forward pass, or of both passes, in bytes."""
    count = len(get(name).inputs)
    return numbers * dtype.itemsize * (count + 1 + (2 * count + 1 if backward else 0))


def warm(task: tuple[str, str, bool]) -> str | None:
    """Compile both passes of a function in a worker process; Triton caches them on disk. Return the error message, if any."""
    name, dtype, packed = task
    try:
        data = inputs(name, 4 * WIDTH * 16, getattr(torch, dtype), packed=packed)
        actlab_passes(name, data)[1]()
        torch.cuda.synchronize()
    except Exception as error:  # any failure is reported, and occurs again when it is timed
        return f"{name} in {dtype}: {type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def compile_all(tasks: list[tuple[str, str, bool]]) -> float:
    """Compile kernels in parallel processes; return the seconds it took."""
    start = time.monotonic()
    workers = max(1, min(12, (os.cpu_count() or 2) - 2, len(tasks)))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for message in pool.map(warm, tasks, chunksize=4):
            if message:
                print(message, file=sys.stderr)
    return time.monotonic() - start


def header(copy: float) -> list[str]:
    """Return the GPU, the versions, the date and the copy bandwidth."""
    card = torch.cuda.get_device_properties(0)
    versions = f"torch {torch.__version__}, Triton {version('triton')}"
    where = f"{card.name}, {card.multi_processor_count} multiprocessors, driver {driver()}"
    return [f"{where}; {datetime.now(UTC):%Y-%m-%d}; {versions}; copies {copy / 1e12:.2f} TB/s, read and written.", ""]


def driver() -> str:
    """Return the driver's version."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]  # noqa: S603 a fixed command
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def by_contender(chosen: list[str], copy: float) -> list[str]:
    """Return the first table."""
    lines = [
        f"## At {NUMBERS // 2**20}M numbers",
        "",
        "| function | dtype | pass | ours [ms] | roofline | torch [ms] | compile [ms] | Liger [ms] | ours, two tensors [ms] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in chosen:
        for dtype in (torch.bfloat16, torch.float32):
            data = inputs(name, NUMBERS, dtype)
            contenders = {
                "ours": actlab_passes(name, data),
                "torch": torch_passes(name, data),
                "compile": torch_passes(name, data, compiled=True),
            }
            separate = inputs(name, NUMBERS, dtype, packed=False) if name in liger.FUNCTIONS else None
            if separate and (passes := liger_passes(name, separate)):
                contenders |= {
                    "liger": passes,
                    "two": actlab_passes(name, Inputs(separate.x, separate.parameters, separate.grad)),
                }
            originals = [part.detach().clone() for part in separate.x] if separate else []

            def fresh(separate: Inputs | None = separate, originals: list[Tensor] = originals) -> None:
                for part, value in zip(separate.x if separate else (), originals, strict=True):
                    part.data.copy_(value)  # Liger's backward pass has overwritten them

            for index, label in enumerate(("forward", "both")):
                times = milliseconds({key: calls[index] for key, calls in contenders.items()}, fresh)
                share = (
                    floor_bytes(name, NUMBERS, dtype, backward=index == 1) / copy / times.get("ours", math.inf) * 1e3
                )
                cells = [_cell(times.get(key)) for key in ("torch", "compile", "liger", "two")]
                lines.append(
                    f"| {name} | {str(dtype)[6:]} | {label} | {_cell(times.get('ours'))} | {share:.2f} | {' | '.join(cells)} |"
                )
                print(lines[-1], flush=True)
            torch._dynamo.reset()
            torch.cuda.empty_cache()
    return [*lines, ""]


def by_size(chosen: list[str], copy: float) -> list[str]:
    """Return the second table: forward and backward in bfloat16."""
    lines = [
        "## By size, bfloat16, forward and backward",
        "",
        "| function | " + " | ".join(f"{n // 2**20}M: ours, torch [ms] (roofline)" for n in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for name in chosen:
        cells = []
        for numbers in SIZES:
            data = inputs(name, numbers, torch.bfloat16)
            times = milliseconds({"ours": actlab_passes(name, data)[1], "torch": torch_passes(name, data)[1]})
            share = floor_bytes(name, numbers, torch.bfloat16, backward=True) / copy / times.get("ours", math.inf) * 1e3
            cells.append(f"{_cell(times.get('ours'))}, {_cell(times.get('torch'))} ({share:.2f})")
            torch.cuda.empty_cache()
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def every(chosen: list[str], copy: float, deadline: float) -> list[str]:
    """Return the third table: every function, until the deadline; the last line counts those with 85 % of the copy bandwidth."""
    lines = [
        f"## Every elementwise and gated function, bfloat16, {NUMBERS // 2**20}M numbers",
        "",
        "| function | forward [ms] | roofline | both [ms] | roofline | torch, both [ms] | torch / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    shares: dict[str, float] = {}
    left = []
    for name in chosen:
        if time.monotonic() > deadline:
            left.append(name)
            continue
        data = inputs(name, NUMBERS, torch.bfloat16)
        forward, both = actlab_passes(name, data)
        calls = {"forward": forward, "both": both, "torch": torch_passes(name, data)[1]}
        times = milliseconds(calls, repeats=7)
        if "both" not in times:
            lines.append(f"| {name} | failed | | | | | |")
            continue
        parts = [
            floor_bytes(name, NUMBERS, torch.bfloat16, backward=flag) / copy / times[key] * 1e3
            for key, flag in (("forward", False), ("both", True))
        ]
        shares[name] = parts[1]
        cells = f"{_cell(times['forward'])} | {parts[0]:.2f} | {_cell(times['both'])} | {parts[1]:.2f}"
        other = times.get("torch")
        lines.append(
            f"| {name} | {cells} | {_cell(other)} | {other / times['both']:.1f} |"
            if other
            else f"| {name} | {cells} | - | - |"
        )
        torch.cuda.empty_cache()
    good = sum(share >= 0.85 for share in shares.values())
    low = sorted((share, name) for name, share in shares.items() if share < 0.85)
    lines += ["", f"{good} of {len(shares)} reach 85 % of the copy bandwidth, forward and backward."]
    if low:
        lines.append("Below: " + ", ".join(f"{name} {share:.2f}" for share, name in low) + ".")
    if left:
        lines.append(f"Not reached in the time: {', '.join(left)}.")
    return [*lines, ""]


def _cell(value: float | None) -> str:
    return f"{value:.3f}" if value else "-"


def sweep(chosen: list[str], copy: float) -> list[str]:
    """Return a table of roofline shares by tile size and warps, to choose BLOCK and WARPS for this GPU."""
    plans = [(block, warps) for block in (1024, 2048, 4096, 8192) for warps in (4, 8)]
    lines = [
        "## By tile, bfloat16, forward and backward",
        "",
        "| function | " + " | ".join(f"{b} x {w} warps" for b, w in plans) + " |",
        "|---|" + "---|" * len(plans),
    ]
    for name in chosen:
        data = inputs(name, NUMBERS, torch.bfloat16)
        calls = {}
        for plan in plans:
            calls[str(plan)] = actlab_passes(name, data, GpuKernel(parse(name), block=plan[0], warps=plan[1]))[1]
        times = milliseconds(calls)
        floor = floor_bytes(name, NUMBERS, torch.bfloat16, backward=True) / copy * 1e3
        lines.append(f"| {name} | " + " | ".join(f"{floor / times[str(plan)]:.2f}" for plan in plans) + " |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="functions of the first two tables")
    parser.add_argument("--all", action="store_true", help="add the table of every elementwise and gated function")
    parser.add_argument("--sweep", action="store_true", help="only the table of tiles and warps")
    parser.add_argument("--minutes", type=float, default=9.5, help="time after which no further function is started")
    parser.add_argument("--out", type=Path, help="file for the tables")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            "There is no CUDA GPU; benchmarks/gpu_code.py shows the compiled code of the kernels without one.",
            file=sys.stderr,
        )
        sys.exit(2)
    start = time.monotonic()
    chosen = options.names or list(KEY)
    every_name = [*names("elementwise"), *names("gated")] if options.all else []
    tasks = [(name, dtype, True) for name in chosen for dtype in ("bfloat16", "float32")]
    tasks += [(name, dtype, False) for name in chosen if name in liger.FUNCTIONS for dtype in ("bfloat16", "float32")]
    tasks += [(name, "bfloat16", True) for name in every_name if name not in chosen]
    if not options.sweep:
        print(f"{len(tasks)} functions compiled in {compile_all(tasks):.0f} s", file=sys.stderr)
    copy = copy_speed()
    lines = ["# GPU kernels", "", f"`python benchmarks/gpu_kernels.py {' '.join(sys.argv[1:])}`", "", *header(copy)]
    if options.sweep:
        lines += sweep(chosen, copy)
    else:
        if every_name:
            lines += every(every_name, copy, start + 60 * options.minutes - 150)
        lines += by_contender(chosen, copy) + by_size(chosen, copy)
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
