"""Times of activations in every dtype on this machine, over ReLU's and over float32."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from actlab.bench.machine import Machine, describe_machine
from actlab.bench.speed import DTYPES, PASSES, check_bench, pass_call, size_of
from actlab.bench.timing import Call, Timer, interleaved_times, preallocate, timer_for
from actlab.errors import ActlabError
from actlab.functions.activation import names
from actlab.functions.grammar import parse, parse_all
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer
from actlab.stats.median_interval import median_interval
from actlab.system.allocator import tune_allocator
from actlab.system.display import Displayed, shown_count

__all__ = ["BEST_KNOWN", "DTYPES", "PASSES", "Hardware", "Ratio", "Timing", "Untimed", "measure_hardware"]

#: Functions that most models use, and their fast or learned variants.
BEST_KNOWN: Final = (
    "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign", "tanh",
    "sigmoid", "logsigmoid", "hardtanh", "hardsigmoid", "hardswish", "squared_relu", "softmax", "glu", "swiglu", "geglu", "reglu",
)  # fmt: skip
REFERENCE: Final = "relu"
_WIDTH: Final = 1024  # of a row, for functions along rows
_CHANNELS: Final = 64  # of the input, for parameters by channel
_POOL: Final = 64  # bytes of memory that are mapped before, for each element
_Key: TypeAlias = tuple[str, str, str]  # function, dtype, passes
_BOTH: Final = PASSES[-1]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratio of two times.

    Attributes:
        ratio: median over the rounds, in each of which both ran.
        low: lower end of the 95 % interval of the median; None with fewer than six rounds.
        high: upper end.

    Example:
        >>> Ratio(ratio=1.2, low=1.1, high=1.3).is_known, Ratio(ratio=1.2, low=0.9, high=1.3).is_known
        (True, False)
    """

    ratio: float
    low: float | None
    high: float | None

    @property
    def is_known(self) -> bool:
        """Whether one of the two is shown to be faster, as the interval does not contain 1."""
        return self.low is not None and self.high is not None and (self.low > 1 or self.high < 1)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time of one function in one dtype.

    Attributes:
        spec: the function.
        dtype: name of the dtype of inputs and parameters.
        passes: "forward" or "forward+backward".
        seconds: median time of a call: CPU time with one thread, else wall-clock time.
        over_relu: time over ReLU's in the same dtype, on a tensor of the output's size.
        over_float32: time over the function's own in float32; None for float32, or where that was not timed.
    """

    spec: str
    dtype: str
    passes: str
    seconds: float
    over_relu: Ratio
    over_float32: Ratio | None


@dataclass(frozen=True, kw_only=True)
class Untimed:
    """A function that does not run in a dtype.

    Attributes:
        spec: the function.
        dtypes: in which it does not run.
        passes: "forward", or "forward+backward" where the forward pass runs.
        reason: what it raises.
    """

    spec: str
    dtypes: tuple[str, ...]
    passes: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Hardware(Displayed):
    """What activations gain or lose on a machine.

    Attributes:
        machine: processor or card.
        specs: functions that were asked for.
        dtypes: names of the dtypes.
        size: elements of an output.
        rounds: measurements of each call.
        fast: whether layers ran ActLab's kernels where these are faster, instead of torch's functions.
        load: load average of the system over one minute, before and after.
        timings: what was measured, function by function.
        untimed: what does not run.
        stopped: whether the measurement was stopped before all functions were timed.
    """

    machine: Machine
    specs: tuple[str, ...]
    dtypes: tuple[str, ...]
    size: int
    rounds: int
    fast: bool
    load: tuple[float, float]
    timings: tuple[Timing, ...]
    untimed: tuple[Untimed, ...] = ()
    stopped: bool = field(default=False)

    def of(self, spec: str, dtype: str, passes: str = _BOTH) -> Timing | None:
        """Return the timing of a function; None where there is none."""
        wanted = spec, dtype, passes
        return next((one for one in self.timings if (one.spec, one.dtype, one.passes) == wanted), None)

    def geometric_mean(self, dtype: str, passes: str = _BOTH, *, over: str = "over_float32") -> float | None:
        """Return the geometric mean of the ratios in a dtype; None where there are none.

        Args:
            dtype: name of the dtype.
            passes: "forward" or "forward+backward".
            over: "over_relu" or "over_float32".
        """
        found = [getattr(one, over) for one in self.timings if (one.dtype, one.passes) == (dtype, passes)]
        logs = [np.log(ratio.ratio) for ratio in found if ratio is not None]
        return float(np.exp(np.mean(logs))) if logs else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)


def measure_hardware(
    specs: Iterable[str | Spec] | None = None,
    *,
    every: bool = False,
    device: str = "cpu",
    dtypes: Sequence[str] = tuple(DTYPES),
    size: str | int = "1M",
    rounds: int = 9,
    fast: bool = False,
    progress: Callable[..., Any] | bool | None = False,
) -> Hardware:
    """Time activations forward, and forward and backward, in several dtypes, on tensors of normal numbers.

    For each function, all of its dtypes and ReLU in the same dtypes run in turn within a round, so that other load affects them alike. A
    stop (Ctrl-C) after the first function ends the measurement; what has been measured is returned.

    Args:
        specs: the functions; by default :data:`BEST_KNOWN`.
        every: whether all functions of the catalogue are timed instead.
        device: "cpu" or "cuda".
        dtypes: names of the dtypes.
        size: elements of an output: a number, ``64k``, ``1M``.
        rounds: measurements of each call; intervals need six.
        fast: whether layers run ActLab's kernels where these are faster.
        progress: called with the number of functions done, of all, and the current one; True for a display on stderr, None for one on a
            terminal, False for none.

    Raises:
        BenchError: a device, dtype, size or number of rounds that cannot be timed.
        UnknownNameError: there is no such activation or dtype.

    Example:
        >>> found = measure_hardware(["mish"], dtypes=["float32", "bfloat16"], size=1000, rounds=6)
        >>> found.of("mish", "bfloat16").over_float32.ratio > 0
        True
    """
    chosen = [parse(name) for name in names()] if every else parse_all(BEST_KNOWN if specs is None else specs)
    wanted = list(dict.fromkeys(dtypes))
    for dtype in wanted or [""]:
        check_bench(device, dtype, rounds)
    count, kept = size_of(size), device == "cpu" and tune_allocator()
    settings = _Settings(
        device=device, dtypes=wanted, size=count, rounds=rounds, fast=fast, kept=kept, timer=timer_for(device)
    )
    before = _load()
    timings, untimed, stopped = _measure_all(chosen, settings, progress)
    return Hardware(
        machine=describe_machine(device),
        specs=tuple(map(str, chosen)),
        dtypes=tuple(wanted),
        size=count,
        rounds=rounds,
        fast=fast,
        load=(before, _load()),
        timings=tuple(timings),
        untimed=tuple(untimed),
        stopped=stopped,
    )


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """How functions are timed."""

    device: str
    dtypes: Sequence[str]
    size: int
    rounds: int
    fast: bool
    kept: bool
    timer: Timer


def _measure_all(
    specs: Sequence[Spec], settings: _Settings, progress: Callable[..., Any] | bool | None
) -> tuple[list[Timing], list[Untimed], bool]:
    """Return what has been measured, and whether it was stopped before all functions were timed."""
    timings, untimed = list[Timing](), list[Untimed]()
    with shown_count(progress, "functions") as show:
        tell = show or (lambda *_: None)
        for done, spec in enumerate(specs):
            tell(done, len(specs), str(spec))
            try:
                own, missing = _measure(spec, settings)
            except KeyboardInterrupt:
                if not timings:
                    raise KeyboardInterrupt("Stopped before the first function was timed. To start again:") from None
                return timings, untimed, True
            timings += own
            untimed += missing
        tell(len(specs), len(specs), "")
    return timings, untimed, False


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _measure(spec: Spec, settings: _Settings) -> tuple[list[Timing], list[Untimed]]:
    """Return the timings of one function, and where it does not run."""
    calls: dict[_Key, Call] = {}
    reasons: dict[tuple[str, str], list[str]] = {}  # dtypes by passes and reason
    for dtype in settings.dtypes:
        for passes in PASSES:
            found = _calls(spec, dtype, passes, settings)
            if isinstance(found, str):
                reasons.setdefault((passes, found), []).append(dtype)
                break  # what has no forward pass has no backward pass
            calls |= found
    name = str(spec)
    untimed = [
        Untimed(spec=name, dtypes=tuple(which), passes=passes, reason=why) for (passes, why), which in reasons.items()
    ]
    if not calls:
        return [], untimed
    if settings.kept:
        preallocate(calls.values(), _POOL * settings.size)
    times = interleaved_times(calls, settings.rounds, settings.timer)
    return _timings(name, times, settings.dtypes), untimed


def _timings(spec: str, times: Mapping[_Key, Sequence[float]], dtypes: Sequence[str]) -> list[Timing]:
    return [
        Timing(
            spec=spec,
            dtype=dtype,
            passes=passes,
            seconds=float(np.median(times[spec, dtype, passes])),
            over_relu=_ratio(times[spec, dtype, passes], times[REFERENCE, dtype, passes]),
            over_float32=_ratio(times[spec, dtype, passes], times[spec, "float32", passes])
            if dtype != "float32" and (spec, "float32", passes) in times
            else None,
        )
        for dtype, passes in product(dtypes, PASSES)
        if (spec, dtype, passes) in times
    ]


def _ratio(times: Sequence[float], others: Sequence[float]) -> Ratio:
    ratios = np.array(times) / np.array(others)
    low, high = median_interval(ratios) or (None, None)
    return Ratio(ratio=float(np.median(ratios)), low=low, high=high)


def _calls(spec: Spec, dtype: str, passes: str, settings: _Settings) -> dict[_Key, Call] | str:
    """Return the calls of a function and of ReLU on an output of its size; the reason where it raises."""
    x = _input(spec, settings.size, DTYPES[dtype], settings.device)
    try:
        module = layer(
            spec, channels=_CHANNELS if spec.needs_channels else None, fast=settings.fast, device=settings.device
        ).to(x.dtype)
        with torch.no_grad():
            output = module(x)
        own = pass_call(module, passes, x, _normal(output.shape, x.dtype, settings.device))
        own()
    except Exception as error:  # of any function, the user's own among them
        text = str(error) if isinstance(error, ActlabError) else f"{type(error).__name__}: {error}"
        return text.strip().partition("\n")[0].replace(f"torch.{dtype}", "this dtype")
    relu = layer(REFERENCE, fast=settings.fast, device=settings.device)
    plain = _normal(output.shape, x.dtype, settings.device)
    return {
        (str(spec), dtype, passes): own,
        (REFERENCE, dtype, passes): own if str(spec) == REFERENCE else pass_call(relu, passes, plain, plain.clone()),
    }


def _input(spec: Spec, size: int, dtype: torch.dtype, device: str) -> Tensor:
    """Return normal numbers of the shape that a function takes: rows of 1,024, of which gated functions take two each."""
    if spec.needs_channels:
        rest = min(_WIDTH, max(1, size // _CHANNELS))
        return _normal((max(1, size // (_CHANNELS * rest)), _CHANNELS, rest), dtype, device)
    width = min(_WIDTH, size)
    return _normal((max(1, size // width), 2 * width if spec.activation.kind == "gated" else width), dtype, device)


def _normal(shape: Sequence[int], dtype: torch.dtype, device: str) -> Tensor:
    return torch.randn(tuple(shape), dtype=dtype, device=device, generator=torch.Generator(device).manual_seed(0))
