"""The calibration: from how many elements on a kernel beats what torch has on this machine, measured."""

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
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["COMPOSED", "LIGHT", "Calibration", "Crossing", "calibrate"]

SIZES: Final = tuple(2**power for power in (8, 10, 12, 14, 16, 18, 20, 22, 24))
COMPOSED: Final = (
    "telu",
    "swish",
    "snake",
    "reglu",
    "swiglu",
    "geglu",
)  # those in most use speak for all that are not measured
# Composed of so little that they do not.
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
WON = 1.05  # times as quick, and a size counts as won
LARGEST = 2**26  # bytes of a tensor that is measured


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """One function in one dtype.

    Attributes:
        name: of the activation.
        dtype: of the input.
        native: whether torch has a fused kernel of its own for it.
        times: how often as quick as torch the kernel is, by number of elements: the worse of forward alone and of both passes.
        fewest: elements from which the kernel is taken: the smallest size from which all larger ones are won; infinite if none is.
    """

    name: str
    dtype: str
    native: bool
    times: Mapping[int, float]
    fewest: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured, and on what.

    Attributes:
        device: "cpu" or "cuda".
        threads: torch's.
        crossings: the results.
        file: where they are kept for this machine, if they are.
    """

    device: str
    threads: int
    crossings: tuple[Crossing, ...]
    file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data; null where a kernel is never taken."""
        plain = asdict(self)
        for one in plain["crossings"]:
            one["fewest"] = None if one["fewest"] == inf else one["fewest"]
        return {**plain, "file": str(self.file) if self.file else None}

    @property
    def sizes(self) -> dict[str, Any]:
        """The crossings as the table has them: composed functions lie within what those of them that were not measured share."""
        table: dict[str, Any] = {}
        for found in self.crossings:
            within = table if found.native else table.setdefault("composed", {})
            within.setdefault(found.name, {})[found.dtype] = found.fewest
        if set(COMPOSED) <= set(table.get("composed", {})):
            composed = [found for found in self.crossings if found.name in COMPOSED]
            for dtype in dict.fromkeys(found.dtype for found in composed):
                shared = [_fewest(found.times, 1.0) for found in composed if found.dtype == dtype]
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
    """Measure on this machine from which size on fast layers are to run a kernel, and keep it.

    The package brings sizes that were measured with AVX-512 and with AVX2, and guesses for cards. What is kept here comes first, in every
    process of this user, as long as processor, card and torch stay the same. Run it on a machine that has nothing else to do.

    Args:
        specs: activations, without parameters; by default every one that torch has a fused kernel for, and seventeen composed
            ones.
        device: "cpu" or "cuda".
        dtypes: of the inputs.
        rounds: how often each size is timed.
        keep: whether to keep it, or only to return it.
        progress: called with each function's name and dtype.

    Raises:
        BenchError: a device, dtype or kind of function that cannot be timed, or a folder that cannot be written to.
        UnknownNameError: there is no such activation.

    Example:
        >>> found = calibrate(["telu"], dtypes=["float32"], rounds=1, keep=False)  # doctest: +SKIP
        >>> found.crossings[0].fewest  # doctest: +SKIP
        256
    """
    wanted = [parse(spec).activation.name for spec in specs] if specs is not None else [*_natives(), *COMPOSED, *LIGHT]
    found = Calibration(device=device, threads=torch.get_num_threads(), crossings=())
    for name, dtype in product(dict.fromkeys(wanted), dtypes):
        if progress is not None:
            progress(f"{name} in {dtype}")
        found = replace(found, crossings=(*found.crossings, _crossing(name, device, dtype, rounds)))
        if keep:  # each as it is found: who stops it keeps what there is
            found = replace(found, file=_kept(found))
    return found


def _kept(found: Calibration) -> Path:
    try:
        return crossover.keep(found.device, found.threads, found.sizes)
    except OSError as error:
        raise BenchError(
            f"What is measured cannot be kept: {error}. Name a folder that can be written to in ACTLAB_CACHE, or keep nothing (--dry-run)."
        ) from error


def _natives() -> list[str]:
    """Return the activations for which torch has a fused kernel."""
    specs = [parse(name) for name in [*names("elementwise"), *names("gated")]]
    return [spec.activation.name for spec in specs if pytorch.native(spec) is not None]


def _crossing(name: str, device: str, dtype: str, rounds: int) -> Crossing:
    width = torch.finfo(getattr(torch, dtype, torch.float32)).bits // 8  # a dtype that is none is refused below
    times = {size: _times(name, device, dtype, size, rounds) for size in SIZES if size * width <= LARGEST}
    won = [size for size, ratio in times.items() if ratio >= WON]
    for size, ratio in times.items():
        if won and size > min(won) and ratio < WON:  # a disturbance, or the truth: seen by looking again
            times[size] = _times(name, device, dtype, size, 2 * rounds)
    native = pytorch.native(parse(name)) is not None
    return Crossing(name=name, dtype=dtype, native=native, times=times, fewest=_fewest(times, WON))


def _times(name: str, device: str, dtype: str, size: int, rounds: int) -> float:
    found = bench([name], device=device, dtype=dtype, size=size, contenders=["kernel"], rounds=rounds)
    return min(m.times for m in found.measurements)


def _fewest(times: Mapping[int, float], bar: float) -> float:
    """Return the smallest size from which all sizes are won."""
    fewest = inf
    for size in sorted(times, reverse=True):
        if times[size] < bar:
            break
        fewest = size
    return fewest
