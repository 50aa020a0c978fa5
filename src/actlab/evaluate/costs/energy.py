"""Energy counters of the machine, where it has any that can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

__all__ = ["EnergyCounter", "joules_of", "rapl_counters"]

_FOLDER: Final = Path("/sys/class/powercap")
_SHORTEST: Final = 0.3  # seconds; counters are updated about every millisecond


class EnergyCounter:
    """Energy counter of the kernel's power capping interface (RAPL), in joules since any time.

    Args:
        folder: of one zone, with ``energy_uj`` and ``max_energy_range_uj``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range = float((folder / "max_energy_range_uj").read_text())
        self.read()

    def read(self) -> float:
        """Return the counter in microjoules."""
        return float(self._file.read_text())

    def joules(self, before: float, after: float) -> float:
        """Return the energy between two readings, of which the second may have started again from zero."""
        return ((after - before) if after >= before else (after - before + self._range)) / 1e6


def rapl_counters(folder: Path = _FOLDER) -> list[EnergyCounter]:
    """Return the counters of the processor packages that can be read; none without the interface, or without the right to read it.

    Args:
        folder: of the interface.
    """
    found = []
    for zone in sorted(folder.glob("intel-rapl:*")) if folder.is_dir() else []:
        if zone.name.count(":") == 1:  # a package, whose subzones are parts of it
            with suppress(OSError, ValueError):
                found.append(EnergyCounter(zone))
    return found


def joules_of(
    action: Callable[[], Any], *, seconds: float = _SHORTEST, counters: list[EnergyCounter] | None = None
) -> float | None:
    """Return the energy of the processor packages while an action runs once, in joules; None where no counter can be read.

    It is that of the whole machine, other processes included.

    Args:
        action: repeated for ``seconds``.
        seconds: at least.
        counters: by default those of :func:`rapl_counters`.
    """
    meters = rapl_counters() if counters is None else counters
    if not meters:
        return None
    before, start, runs = [meter.read() for meter in meters], time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - start < seconds:
        action()
        runs += 1
    after = [meter.read() for meter in meters]
    return sum(meter.joules(*pair) for meter, pair in zip(meters, zip(before, after, strict=True), strict=True)) / runs
