"""Calibration of the tensor sizes from which kernels are faster than torch on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import inf
from pathlib import Path
from typing import Any, Final

import torch

from actlab.bench.speed import bench
from actlab.codegen import pytorch
from actlab.codegen.dispatch import crossover
from actlab.errors import BenchError
from actlab.functions.activation import names
from actlab.functions.grammar import parse, parse_all
from actlab.functions.spec import Spec
from actlab.system.display import Displayed

__all__ = ["COMPOSED", "LIGHT", "Calibration", "Crossing", "calibrate"]

SIZES: Final = tuple(2**power for power in (8, 10, 12, 14, 16, 18, 20, 22, 24))
# The most used functions without a fused kernel in torch; they represent all that are not measured.
COMPOSED: Final = ("telu", "swish", "snake", "reglu", "swiglu", "geglu")
# Functions without a fused kernel in torch that are so cheap that these do not represent them.
LIGHT: Final = (
    "squared_relu",
    "cube",
    "flexible_relu",
    "laaf",
    "shilu",
    "taaf",
    "dynamic_tanh",
    "delay_relu",
    "bipolar_sigmoid",
    "bilinear",
    "lisht",
)
WON = 1.05  # speedup from which the kernel counts as faster at a size
LARGEST = 2**26  # bytes of the largest tensor that is measured


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Result for one function in one dtype.

    Attributes:
        name: name of the activation.
        dtype: dtype of the input.
        native: whether torch has a fused kernel for it.
        times: speedup of the kernel over torch by number of elements: the lower one of forward alone and of both passes.
        fewest: number of elements from which the kernel is used: the smallest size from which it is faster at all sizes; infinite if none.
    """

    name: str
    dtype: str
    native: bool
    times: Mapping[int, float]
    fewest: float


@dataclass(frozen=True, kw_only=True)
class Calibration(Displayed):
    """Result of a calibration.

    Attributes:
        device: "cpu" or "cuda".
        threads: number of torch's threads.
        crossings: the results.
        file: file in which they are stored for this machine; None if they are not.
    """

    device: str
    threads: int
    crossings: tuple[Crossing, ...]
    file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, with None where a kernel is never used."""
        data = asdict(self)
        for crossing in data["crossings"]:
            crossing["fewest"] = None if crossing["fewest"] == inf else crossing["fewest"]
        return {**data, "file": str(self.file) if self.file else None}

    @property
    def sizes(self) -> dict[str, Any]:
        """The results in the format of ``crossover.toml``: "composed" has the size shared by functions that were not measured."""
        table: dict[str, Any] = {}
        for crossing in self.crossings:
            group = table if crossing.native else table.setdefault("composed", {})
            group.setdefault(crossing.name, {})[crossing.dtype] = crossing.fewest
        if set(COMPOSED) <= set(table.get("composed", {})):
            composed = [crossing for crossing in self.crossings if crossing.name in COMPOSED]
            for dtype in dict.fromkeys(crossing.dtype for crossing in composed):
                shared = [_fewest(crossing.times, 1.0) for crossing in composed if crossing.dtype == dtype]
                table["composed"][dtype] = max(shared)
        return table


def calibrate(
    specs: Iterable[str | Spec] | None = None,
    *,
    device: str = "cpu",
    dtypes: Sequence[str] = ("float32", "bfloat16"),
    rounds: int = 9,
    keep: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Calibration:
    """Measure on this machine from which size fast layers should use kernels, and store the result.

    The package contains sizes measured with AVX-512 and with AVX2, and estimates for GPUs. Stored results take precedence in all processes
    of this user, as long as processor, GPU and torch stay the same. Run it on an otherwise idle machine.

    Args:
        specs: activations, without parameters; by default all with a fused kernel in torch, and seventeen composed ones.
        device: "cpu" or "cuda".
        dtypes: dtypes of the inputs.
        rounds: number of times each size is timed.
        keep: whether to store the result for this machine.
        progress: called with each function's name and dtype.

    Raises:
        BenchError: a device, dtype or kind of function that cannot be timed, or a folder that cannot be written.
        UnknownNameError: there is no such activation.

    Example:
        >>> result = calibrate(["telu"], dtypes=["float32"], rounds=1, keep=False)  # doctest: +SKIP
        >>> result.crossings[0].fewest  # doctest: +SKIP
        256
    """
    selected = (
        [spec.activation.name for spec in parse_all(specs)] if specs is not None else [*_natives(), *COMPOSED, *LIGHT]
    )
    result = Calibration(device=device, threads=torch.get_num_threads(), crossings=())
    for name, dtype in product(dict.fromkeys(selected), dtypes):
        if progress is not None:
            progress(f"{name} in {dtype}")
        result = replace(result, crossings=(*result.crossings, _crossing(name, device, dtype, rounds)))
        if keep:  # after every function, so that an interrupted calibration keeps its results
            result = replace(result, file=_store(result))
    return result


def _store(result: Calibration) -> Path:
    try:
        return crossover.store_measured(result.device, result.threads, result.sizes)
    except OSError as error:
        raise BenchError(
            f"The measured sizes cannot be stored: {error}. Set ACTLAB_CACHE to a folder that can be written, or store nothing (--dry-run)."
        ) from error


def _natives() -> list[str]:
    """Return the activations with a fused kernel in torch."""
    specs = [parse(name) for name in [*names("elementwise"), *names("gated")]]
    return [spec.activation.name for spec in specs if pytorch.native(spec) is not None]


def _crossing(name: str, device: str, dtype: str, rounds: int) -> Crossing:
    width = torch.finfo(getattr(torch, dtype, torch.float32)).bits // 8  # `bench` rejects unknown dtypes
    times = {size: _speedup(name, device, dtype, size, rounds) for size in SIZES if size * width <= LARGEST}
    won = [size for size, ratio in times.items() if ratio >= WON]
    for size, ratio in times.items():
        if won and size > min(won) and ratio < WON:  # slower than at a smaller size: repeated, as it may be noise
            times[size] = _speedup(name, device, dtype, size, 2 * rounds)
    native = pytorch.native(parse(name)) is not None
    return Crossing(name=name, dtype=dtype, native=native, times=times, fewest=_fewest(times, WON))


def _speedup(name: str, device: str, dtype: str, size: int, rounds: int) -> float:
    """Return the speedup of the kernel over torch, the lower one of forward alone and of both passes."""
    result = bench([name], device=device, dtype=dtype, size=size, contenders=["kernel"], rounds=rounds)
    return min(m.times for m in result.measurements)


def _fewest(times: Mapping[int, float], threshold: float) -> float:
    """Return the smallest size from which the speedup reaches the threshold at all sizes."""
    fewest = inf
    for size in sorted(times, reverse=True):
        if times[size] < threshold:
            break
        fewest = size
    return fewest
