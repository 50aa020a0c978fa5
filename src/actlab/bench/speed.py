"""Speed benchmark of activations, forward and backward, against torch and memory bandwidth."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from actlab.bench import liger
from actlab.bench.timing import Call, Timer, interleaved_times, preallocate, timer_for, without_page_faults
from actlab.errors import BenchError, UnknownNameError
from actlab.functions.grammar import parse_all
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.system.allocator import tune_allocator
from actlab.system.display import Displayed

__all__ = [
    "CONTENDERS",
    "DEFAULT",
    "DTYPES",
    "PASSES",
    "Bench",
    "Measurement",
    "bench",
    "check_bench",
    "pass_call",
    "size_of",
]

DEFAULT: Final = (
    "relu",
    "silu",
    "gelu",
    "gelu_tanh",
    "tanh",
    "mish",
    "telu",
    "squared_relu",
    "swiglu",
    "geglu",
    "reglu",
)
CONTENDERS: Final = {
    "actlab": "layer(spec, fast=True)",
    "kernel": "ActLab's kernel at any size, also where the layer would run torch",
    "torch": "torch's fused kernel, or the formula in torch operations if there is none",
    "formula": "the formula in torch operations",
    "compile": "torch.compile of the contender torch",
    "liger": "Liger-Kernel (three functions; on a GPU, if installed)",
}
PASSES: Final = ("forward", "forward+backward")
DTYPES: Final = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_CHANNELS = 64  # channels of the input, for parameters learned per channel
_COPY = "copy"
_POOL = 8  # memory preallocated per call, in multiples of the input: glibc leaves holes that do not fit a tensor of the same size
_FLOOR = {  # tensors of the output's size that must be read or written at least
    ("elementwise", "forward"): 2,  # x, y
    ("elementwise", "forward+backward"): 5,  # and: x, dy, dx
    ("gated", "forward"): 3,  # gate, value, y
    ("gated", "forward+backward"): 8,  # and: gate, value, dy, both gradients
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One contender on one function.

    Attributes:
        spec: the function.
        contender: a key of :data:`CONTENDERS`.
        passes: "forward" or "forward+backward".
        seconds: median time of a call: CPU time with one thread, else wall-clock time.
        times: speedup over torch: the median over rounds of torch's time divided by this one's.
        roofline: share of the machine's copy bandwidth that is reached, counting the bytes that must be moved at least.
    """

    spec: str
    contender: str
    passes: str
    seconds: float
    times: float
    roofline: float


@dataclass(frozen=True, kw_only=True)
class Bench(Displayed):
    """Result of a benchmark.

    Attributes:
        device: name of the processor or GPU.
        dtype: dtype of the inputs.
        size: elements of an output.
        threads: number of torch's threads.
        load: load average of the system over one minute, before and after; above the number of threads, times are disturbed.
        allocator: "kept" if freed memory stays with the process (see :func:`actlab.tune_allocator`), else "as shipped". With "kept", calls
            during which pages were mapped are timed again.
        copy: bytes per second of ``copy_`` into allocated memory, counting reads and writes.
        rounds: measurements of each call.
        versions: versions of Python, torch and the system.
        measurements: the results.
    """

    device: str
    dtype: str
    size: int
    threads: int
    load: tuple[float, float]
    allocator: str
    copy: float
    rounds: int
    versions: Mapping[str, str]
    measurements: tuple[Measurement, ...]

    def geometric_mean(self, contender: str, passes: str, against: str = "torch") -> float:
        """Return the geometric mean of a contender's speedup over another, over all functions that both ran; NaN if there are none."""
        seconds = {(m.spec, m.contender): m.seconds for m in self.measurements if m.passes == passes}
        ratios = [
            seconds[spec, against] / s
            for (spec, c), s in seconds.items()
            if c == contender and (spec, against) in seconds
        ]
        return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)


def size_of(text: str | int) -> int:
    """Return the number of elements of ``64k``, ``16M`` or ``1000`` (k is 1,024, M is 1,048,576).

    Raises:
        BenchError: not a positive number with an optional k or M.

    Example:
        >>> size_of("64k"), size_of("16M")
        (65536, 16777216)
    """
    match = re.fullmatch(r"(\d+)([kKmM]?)", str(text).strip())
    number = int(match[1]) * {"": 1, "k": 2**10, "m": 2**20}[match[2].lower()] if match else 0
    if number < 1:
        raise BenchError(f"A size is a number of elements such as 1000, 64k or 16M, got {text!r}.")
    return number


def bench(
    specs: Iterable[str | Spec] = DEFAULT,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    size: str | int = "16M",
    contenders: Sequence[str] = ("actlab", "torch", "formula"),
    rounds: int = 9,
    as_shipped: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Bench:
    """Time activations forward, and forward and backward, with all contenders interleaved in this process.

    Args:
        specs: elementwise and gated activations.
        device: "cpu" or "cuda".
        dtype: "float32", "float64", "bfloat16" or "float16".
        size: elements of an output: a number, ``64k``, ``16M``.
        contenders: keys of :data:`CONTENDERS`; "compile" takes seconds to minutes to warm up. On a GPU Liger-Kernel is added if installed.
        rounds: measurements of each call; small sizes need more, although a call is repeated within a round.
        as_shipped: leave the memory allocator as it is. By default freed memory is kept (Linux with glibc), for the rest of the process:
            otherwise every contender pays for new pages, four times the arithmetic at 16M.
        progress: called with each function's name.

    Raises:
        BenchError: a device, dtype, size, contender or kind of function that cannot be timed.
        UnknownNameError: there is no such activation.

    Example:
        >>> result = bench(["mish"], size=1000, rounds=3)
        >>> sorted({m.contender for m in result.measurements})
        ['actlab', 'formula', 'torch']
    """
    parsed = [_check_spec(spec) for spec in parse_all(specs)]
    contenders = _check(device, dtype, contenders, rounds)
    kept = not as_shipped and device == "cpu" and tune_allocator()
    count, timer = size_of(size), timer_for(device)
    before, measurements, copies = _load(), [], []
    for spec in parsed:
        if progress is not None:
            progress(str(spec))
        if "compile" in contenders:
            torch._dynamo.reset()  # all layers share one code object, of which it compiles only a few variants
        x = _input(spec, count, DTYPES[dtype], device)
        results, copied = _measure(spec, x, contenders, rounds, timer, kept=kept)
        measurements += results
        copies.append(copied)
    return Bench(
        device=_name(device),
        dtype=dtype,
        size=count,
        threads=torch.get_num_threads(),
        load=(before, _load()),
        allocator="kept" if kept else "as shipped",
        copy=float(np.median(copies)) if copies else float("nan"),
        rounds=rounds,
        versions=_versions(),
        measurements=tuple(measurements),
    )


def _check_spec(spec: Spec) -> Spec:
    if spec.activation.kind not in {"elementwise", "gated"}:
        raise BenchError(f"{spec} is a {spec.activation.kind} function; the bench times elementwise and gated ones.")
    return spec


def _check(device: str, dtype: str, contenders: Sequence[str], rounds: int) -> list[str]:
    """Return the contenders, with Liger-Kernel on a GPU where it is installed; raise an error for what cannot be timed."""
    check_bench(device, dtype, rounds)
    for contender in contenders:
        if contender not in CONTENDERS:
            raise UnknownNameError("contender", contender, list(CONTENDERS), f"They are {', '.join(CONTENDERS)}.")
    if "liger" in contenders and not (device == "cuda" and liger.is_installed()):
        raise BenchError("Liger-Kernel needs a GPU and its package: use --device cuda, and pip install liger-kernel.")
    has_liger = device == "cuda" and liger.is_installed() and "liger" not in contenders
    return [*contenders, *(["liger"] if has_liger else [])]


def check_bench(device: str, dtype: str, rounds: int) -> None:
    """Check what every benchmark needs.

    Raises:
        BenchError: a device that is not there, or no rounds.
        UnknownNameError: another dtype.
    """
    if device not in {"cpu", "cuda"}:
        raise BenchError(f"The bench runs on cpu or cuda, got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("There is no CUDA device here: torch.cuda.is_available() is False. Use --device cpu.")
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, list(DTYPES), f"The dtypes are {', '.join(DTYPES)}.")
    if rounds < 1:
        raise BenchError(f"At least one round is needed, got {rounds}.")


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__, "system": platform.platform()}


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return models[0] if models else platform.processor() or platform.machine()


def _measure(
    spec: Spec, x: Tensor, contenders: Sequence[str], rounds: int, timer: Timer, *, kept: bool = False
) -> tuple[list[Measurement], float]:
    """Return the measurements of a function, and the bandwidth of a copy measured in the same rounds."""
    grad = torch.randn(_output_shape(spec, x), dtype=x.dtype, device=x.device, generator=_generator(x.device))
    contenders = [c for c in contenders if c != "liger" or spec.activation.name in liger.FUNCTIONS]
    timed = dict.fromkeys([*contenders, "torch"])  # all are compared with torch
    calls = {(c, p): _call(c, p, spec, x, grad) for c, p in product(timed, PASSES)}
    target = torch.empty_like(grad)
    calls[_COPY, "forward"] = lambda: target.copy_(grad)
    if kept:
        preallocate(calls.values(), _POOL * x.numel() * x.element_size())
    times = interleaved_times(calls, rounds, without_page_faults(timer) if kept else timer)
    bandwidth = 2 * grad.numel() * grad.element_size() / float(np.median(times[_COPY, "forward"]))
    measurements = [
        Measurement(
            spec=str(spec),
            contender=contender,
            passes=passes,
            seconds=float(np.median(times[contender, passes])),
            times=float(np.median(np.array(times["torch", passes]) / times[contender, passes])),
            roofline=_floor(spec, passes, grad) / float(np.median(times[contender, passes])) / bandwidth,
        )
        for contender, passes in product(contenders, PASSES)
    ]
    return measurements, bandwidth


def _generator(device: str | torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)


def _input(spec: Spec, size: int, dtype: torch.dtype, device: str) -> Tensor:
    rows = max(1, size // 1024) if spec.activation.kind == "gated" else size
    shape: tuple[int, ...] = (rows, 2 * (size // rows)) if spec.activation.kind == "gated" else (size,)
    if spec.needs_channels:
        shape = (max(1, size // (_CHANNELS * 1024)), _CHANNELS, min(1024, max(1, size // _CHANNELS)))
    return torch.randn(shape, dtype=dtype, device=device, generator=_generator(device))


def _output_shape(spec: Spec, x: Tensor) -> tuple[int, ...]:
    return (*x.shape[:-1], x.shape[-1] // 2) if spec.activation.kind == "gated" else tuple(x.shape)


def _floor(spec: Spec, passes: str, output: Tensor) -> int:
    return _FLOOR[spec.activation.kind, passes] * output.numel() * output.element_size()


def _call(contender: str, passes: str, spec: Spec, x: Tensor, grad: Tensor) -> Call:
    return pass_call(_module(contender, spec, x.device), passes, x, grad)


def pass_call(module: Callable[[Tensor], Any], passes: str, x: Tensor, grad: Tensor) -> Call:
    """Return a call of a function on ``x``, forward without gradients, or forward and backward with the output's gradient ``grad``."""
    if passes == "forward":
        return torch.no_grad()(lambda: module(x))
    leaf = x.clone().requires_grad_()

    def both() -> None:
        leaf.grad = None
        module(leaf).backward(grad)

    return both


def _module(contender: str, spec: Spec, device: torch.device) -> Any:
    if contender == "liger":
        return liger.packed(spec.activation.name)
    module = layer(
        spec,
        channels=_CHANNELS if spec.needs_channels else None,
        native=contender != "formula",
        fast=contender in {"actlab", "kernel"},
        device=device,
    )
    if contender == "kernel":
        module.set_fast(always=True)
    return torch.compile(module, fullgraph=True) if contender == "compile" else module
