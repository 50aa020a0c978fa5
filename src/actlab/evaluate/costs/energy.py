"""Energy counters of processors (RAPL) and NVIDIA cards (NVML), where there are any that can be read."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch

from actlab.evaluate.costs.interleaved import Floats
from actlab.tasks.training.devices import device_kind

__all__ = ["CardCounter", "EnergyCounter", "PackageCounter", "energy_counters", "interleaved_joules", "rapl_counters"]

_FOLDER: Final = Path("/sys/class/powercap")
_BLOCKS: Final = 9
_SECONDS: Final = 0.05  # of one model in one block on a processor, whose counters are updated about every millisecond
_CARD_SECONDS: Final = 0.3  # on a card, whose counters are updated about every 20 to 100 milliseconds


class EnergyCounter(Protocol):
    """Counter of energy since any time.

    Attributes:
        seconds: over which it must run at least, as it is updated now and then only.
    """

    seconds: float

    def read(self) -> float:
        """Return the counter in its own unit."""

    def joules(self, before: float, after: float) -> float:
        """Return the energy between two readings."""


class PackageCounter:
    """Energy counter of a processor package, of the kernel's power capping interface (RAPL).

    Args:
        folder: of one zone, with ``energy_uj`` and ``max_energy_range_uj``.
    """

    def __init__(self, folder: Path) -> None:
        self.seconds = _SECONDS
        self._file = folder / "energy_uj"
        self._range = float((folder / "max_energy_range_uj").read_text())
        self.read()

    def read(self) -> float:
        """Return the counter in microjoules."""
        return float(self._file.read_text())

    def joules(self, before: float, after: float) -> float:
        """Return the energy between two readings, of which the second may have started again from zero."""
        return ((after - before) if after >= before else (after - before + self._range)) / 1e6


class CardCounter:
    """Energy counter of an NVIDIA card since its driver was loaded.

    Args:
        nvml: the module ``pynvml``, initialised.
        handle: of the card, as the module gives it.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.seconds = _CARD_SECONDS
        self._read: Callable[[], float] = lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        self.read()

    def read(self) -> float:
        """Return the counter in millijoules."""
        return self._read()

    def joules(self, before: float, after: float) -> float:
        """Return the energy between two readings."""
        return (after - before) / 1e3


def rapl_counters(folder: Path = _FOLDER) -> list[PackageCounter]:
    """Return the counters of the processor packages that can be read; none without the interface, or without the right to read it.

    Args:
        folder: of the interface.
    """
    found = []
    for zone in sorted(folder.glob("intel-rapl:*")) if folder.is_dir() else []:
        if zone.name.count(":") == 1:  # a package, whose subzones are parts of it
            with suppress(OSError, ValueError):
                found.append(PackageCounter(zone))
    return found


def energy_counters(device: str, *, folder: Path = _FOLDER) -> Sequence[EnergyCounter] | str:
    """Return the counters of a device's energy, or in words why there are none.

    They count the whole processor or card, other processes included.

    Args:
        device: such as "cpu" or "cuda:1".
        folder: of the kernel's power capping interface.

    Example:
        >>> energy_counters("cpu", folder=Path("nowhere"))
        'this machine has no energy counter of its processor that can be read (RAPL)'
    """
    kind = device_kind(device)
    if kind == "cpu":
        found = rapl_counters(folder)
        return found or "this machine has no energy counter of its processor that can be read (RAPL)"
    if kind != "cuda":
        return f"there is no energy counter for a device of the kind {kind}"
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return "the energy counter of a card is read with the package nvidia-ml-py (NVML), which is not installed"
    try:
        nvml.nvmlInit()
        return [CardCounter(nvml, _handle(nvml, device))]
    except Exception as error:  # an error of its own class for every reason: no driver, an old card, no right
        return f"the energy counter of the card cannot be read (NVML: {error})"


def _handle(nvml: Any, device: str) -> Any:
    """Return NVML's handle of a card by its identity: NVML counts all cards, also those that CUDA_VISIBLE_DEVICES hides from torch."""
    identity = str(torch.cuda.get_device_properties(device).uuid)
    return nvml.nvmlDeviceGetHandleByUUID(identity if identity.startswith("GPU-") else f"GPU-{identity}")


def interleaved_joules(
    actions: Mapping[str, Callable[[], Any]],
    counters: Sequence[EnergyCounter],
    *,
    synchronize: Callable[[], None] = lambda: None,
    seconds: float | None = None,
) -> list[dict[str, Floats]]:
    """Return for each of nine blocks the joules of one run of each action; in every block all run in turn, in another order than before.

    Args:
        actions: by name.
        counters: whose energies are added.
        synchronize: waits until an accelerator has done its work.
        seconds: of each action in each block; by default what the slowest counter needs.

    Returns:
        By block and action an array with one number, as of :func:`actlab.evaluate.costs.interleaved.interleaved_times`.
    """
    least = max((counter.seconds for counter in counters), default=0.0) if seconds is None else seconds
    order = random.Random(0)  # noqa: S311 # no cryptography; a random order avoids synchrony with the OS scheduler
    return [
        {
            name: np.array([_joules(actions[name], counters, synchronize, least)])
            for name in order.sample(list(actions), len(actions))
        }
        for _ in range(_BLOCKS)
    ]


def _joules(
    action: Callable[[], Any], counters: Sequence[EnergyCounter], synchronize: Callable[[], None], seconds: float
) -> float:
    synchronize()
    before, start, runs = [counter.read() for counter in counters], time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < seconds:
        action()
        synchronize()
        runs += 1
    after = [counter.read() for counter in counters]
    pairs = zip(counters, before, after, strict=True)
    return sum(counter.joules(first, last) for counter, first, last in pairs) / runs
