"""The bench: how fast activations run here, side by side with torch and with the speed of memory."""

from __future__ import annotations

import os
import platform
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from actlab.bench import liger
from actlab.errors import BenchError, UnknownNameError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.system.allocator import tune_allocator

__all__ = ["CONTENDERS", "DEFAULT", "Bench", "Measurement", "bench", "size_of"]

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
    "kernel": "our kernel, at sizes too where the layer would leave it to torch",
    "torch": "torch's fused kernel; the formula in torch operations where there is none",
    "formula": "the formula in torch operations",
    "compile": "torch.compile of torch's",
    "liger": "Liger-Kernel's, of the three functions that it has; on a card, where it is installed",
}
PASSES: Final = ("forward", "forward+backward")
DTYPES: Final = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_CHANNELS = 64  # of inputs, for parameters learned per channel
_COPY = "copy"
_POOL = 8  # times the input's memory that is mapped in advance: glibc leaves holes that it cannot use for a tensor of the same size
_TRIES = 8  # of a call, until it is timed without new pages
_PAGES = 64  # newly mapped pages that are not to be seen in a time
_FLOOR = {  # tensors of the output's size that must be read and written at least
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
        seconds: median time of a call: of the CPU with one thread, of the clock otherwise.
        times: how often as quick as torch: the median over rounds of torch's time over this one's.
        roofline: share of the machine's copy bandwidth that it reaches, counting the bytes that must be moved at least.
    """

    spec: str
    contender: str
    passes: str
    seconds: float
    times: float
    roofline: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured, and on what.

    Attributes:
        device: name of the processor or card.
        dtype: of the inputs.
        size: elements of an output.
        threads: torch's.
        load: processes waiting for a processor, before and after (one-minute means); above the number of threads, times are disturbed.
        allocator: "kept" if freed memory stays with the process (see :func:`actlab.tune_allocator`), else "as shipped". Where it is kept, a
            call during which pages had to be mapped all the same is timed again.
        copy: bytes per second of ``copy_`` into memory that is there, reads and writes counted.
        rounds: how often each was timed.
        versions: of Python, torch and the machine.
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
        """Return how often as quick a contender is as another, over all functions that both ran."""
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
    """Return the number of elements that ``64k``, ``16M`` or ``1000`` means (k is 1,024, M 1,048,576).

    Raises:
        BenchError: it is no such number.

    Example:
        >>> size_of("64k"), size_of("16M")
        (65536, 16777216)
    """
    found = re.fullmatch(r"(\d+)([kKmM]?)", str(text).strip())
    number = int(found[1]) * {"": 1, "k": 2**10, "m": 2**20}[found[2].lower()] if found else 0
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
    """Time activations forward, and forward and backward, all contenders in turns in this process.

    Args:
        specs: elementwise and gated activations.
        device: "cpu" or "cuda".
        dtype: "float32", "float64", "bfloat16" or "float16".
        size: elements of an output: a number, ``64k``, ``16M``.
        contenders: of :data:`CONTENDERS`; "compile" takes seconds to minutes to warm up. On a card Liger-Kernel takes part where it is
            installed.
        rounds: how often each is timed; more for small sizes, where a round repeats the call.
        as_shipped: leave the memory allocator as it is. By default freed memory is kept (Linux with glibc), for the rest of the process:
            otherwise every contender pays for fresh pages, four times the arithmetic at 16M.
        progress: called with each function's name.

    Raises:
        BenchError: a device, dtype, size, contender or kind of function that cannot be timed.
        UnknownNameError: there is no such activation.

    Example:
        >>> result = bench(["mish"], size=1000, rounds=3)
        >>> sorted({m.contender for m in result.measurements})
        ['actlab', 'formula', 'torch']
    """
    parsed = [_timed(parse(spec)) for spec in specs]
    _check(device, dtype, contenders, rounds)
    if device == "cuda" and liger.is_installed():
        contenders = list(dict.fromkeys([*contenders, "liger"]))
    kept = not as_shipped and device == "cpu" and tune_allocator()
    count, clock = size_of(size), _clock(device)
    before, measurements, copies = _load(), [], []
    for spec in parsed:
        if progress is not None:
            progress(str(spec))
        if "compile" in contenders:
            torch._dynamo.reset()  # all layers are one piece of code to it, of which it compiles only a few variants
        x = _input(spec, count, DTYPES[dtype], device)
        found, copied = _raced(spec, x, contenders, rounds, clock, kept=kept)
        measurements += found
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
        versions={"python": platform.python_version(), "torch": torch.__version__, "system": platform.platform()},
        measurements=tuple(measurements),
    )


def _timed(spec: Spec) -> Spec:
    if spec.activation.kind not in {"elementwise", "gated"}:
        raise BenchError(f"{spec} is a {spec.activation.kind} function; the bench times elementwise and gated ones.")
    return spec


def _check(device: str, dtype: str, contenders: Sequence[str], rounds: int) -> None:
    if device not in {"cpu", "cuda"}:
        raise BenchError(f"The bench runs on cpu or cuda, got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("There is no CUDA device here: torch.cuda.is_available() is False. Use --device cpu.")
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, list(DTYPES), f"The dtypes are {', '.join(DTYPES)}.")
    for contender in contenders:
        if contender not in CONTENDERS:
            raise UnknownNameError("contender", contender, list(CONTENDERS), f"They are {', '.join(CONTENDERS)}.")
    if "liger" in contenders and not (device == "cuda" and liger.is_installed()):
        raise BenchError(
            "Liger-Kernel runs on a card, where it is installed: --device cuda, and pip install liger-kernel."
        )
    if rounds < 1:
        raise BenchError(f"At least one round is needed, got {rounds}.")


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*:\s*(.+)", described.read_text()) if described.exists() else []
    return models[0] if models else platform.processor() or platform.machine()


# ------------------------------------------------------------------------------------------- one function

Call = Callable[[], object]
Clock = Callable[[Call], float]


def _raced(
    spec: Spec, x: Tensor, contenders: Sequence[str], rounds: int, clock: Clock, *, kept: bool = False
) -> tuple[list[Measurement], float]:
    """Return the measurements of a function, and the bandwidth of copying measured in between."""
    grad = torch.randn(_output_shape(spec, x), dtype=x.dtype, device=x.device, generator=_generator(x.device))
    contenders = [c for c in contenders if c != "liger" or spec.activation.name in liger.FUNCTIONS]
    wanted = dict.fromkeys([*contenders, "torch"])  # torch's own is what all are held against
    calls = {(c, p): _call(c, p, spec, x, grad) for c, p in product(wanted, PASSES)}
    target = torch.empty_like(grad)
    calls[_COPY, "forward"] = lambda: target.copy_(grad)
    if kept:
        _fill(calls.values(), _POOL * x.numel() * x.element_size())
    times = _in_turns(calls, rounds, _hot(clock) if kept else clock)
    bandwidth = 2 * grad.numel() * grad.element_size() / float(np.median(times[_COPY, "forward"]))
    found = [
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
    return found, bandwidth


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
    module = _module(contender, spec, x.device)
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


def _in_turns(calls: Mapping[Any, Call], rounds: int, clock: Clock) -> dict[Any, list[float]]:
    """Return the seconds of every call in every round; in another order in every round, so that disturbances hit all alike."""
    repeats = {}
    for key, call in calls.items():
        call()  # compiles
        repeats[key] = max(1, min(1000, int(0.005 / max(clock(call), 1e-7))))  # a clock's tick is not to be seen
    order = random.Random(0)  # noqa: S311 # no secret
    times: dict[Any, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key in order.sample(list(calls), len(calls)):
            call, often = calls[key], repeats[key]
            times[key].append(clock(lambda: [call() for _ in range(often)]) / often)  # noqa: B023 # called at once
    return times


def _clock(device: str) -> Clock:
    """Return what measures a call: CUDA events; CPU time of one thread, which neighbours disturb least; else the wall clock."""
    if device == "cuda":
        return _by_events
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def seconds(call: Call) -> float:
        start = now()
        call()
        return now() - start

    return seconds


def _hot(clock: Clock) -> Clock:
    """Return a clock that times a call again while it has pages mapped: what glibc keeps it cannot always use for the next tensor."""

    def seconds(call: Call) -> float:
        for _ in range(_TRIES):
            before = _mapped()
            spent = clock(call)
            if _mapped() - before < _PAGES:
                break
        return spent

    return seconds


def _fill(calls: Iterable[Call], size: int) -> None:
    """Let each call make what stays, its gradients; then have memory in one piece mapped, and freed: what is made later is cut from it."""
    for call in calls:
        call()
    torch.empty(size, dtype=torch.uint8).zero_()


def _mapped() -> int:
    """Return how many pages were mapped into this process so far; only asked where glibc is."""
    import resource  # noqa: PLC0415 there is none on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _by_events(call: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000
