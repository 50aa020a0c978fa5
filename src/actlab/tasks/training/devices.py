"""Devices and threads of a study's trials, chosen by name and checked against the machine."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch

from actlab.errors import PlanError, did_you_mean
from actlab.system import cores

__all__ = [
    "DeviceLike",
    "Hardware",
    "choose_hardware",
    "device_kind",
    "device_record",
    "has_unused_card",
    "present_devices",
]

#: A device as a user may name it.
DeviceLike: TypeAlias = str | torch.device | Sequence[str | torch.device]

_NAMES = ("auto", "cpu", "cuda", "mps")
_OTHER_WORDS = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "hip": "cuda", "metal": "mps"}
_ALLOWED = "auto, cpu, cuda, cuda:0 (a card by its number), several cards as cuda:0,cuda:1, and mps"
_PROBE_LIMIT = 60.0  # seconds for the driver's answer; a card that sleeps takes some
_DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, of AMD, and of both in WSL


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where the trials of a study run, several at a time. It is no part of the plan.

    Attributes:
        devices: torch devices, each of them named once.
        jobs: trials that run at the same time, on all devices together.
        threads: threads of torch in each of them.

    Example:
        >>> two = Hardware(devices=("cuda:0", "cuda:1"), jobs=4)
        >>> [two.device_of(slot) for slot in range(two.jobs)]
        ['cuda:0', 'cuda:1', 'cuda:0', 'cuda:1']
    """

    devices: tuple[str, ...] = ("cpu",)
    jobs: int = 1
    threads: int = 1

    def device_of(self, slot: int) -> str:
        """Return the device of one of the places at which trials run, numbered from 0 to ``jobs - 1``."""
        return self.devices[slot % len(self.devices)]

    @property
    def is_cpu(self) -> bool:
        """Whether no accelerator is used."""
        return self.devices == ("cpu",)


def device_kind(device: str) -> str:
    """Return the type of a device, without its number.

    Example:
        >>> device_kind("cuda:1"), device_kind("cpu")
        ('cuda', 'cpu')
    """
    return device.partition(":")[0]


def device_record(device: str) -> dict[str, str]:
    """Return a device as rows record it, a card with its name; call it where trials run, as it initialises CUDA.

    Example:
        >>> device_record("cpu")
        {'device': 'cpu'}
    """
    record = {"device": device}
    if device_kind(device) == "cuda":
        with suppress(Exception):  # a card that has gone; the trial says so
            record["card"] = torch.cuda.get_device_name(device)
    return record


def choose_hardware(
    device: DeviceLike | None = None,
    *,
    default: str | None = None,
    jobs: int | None = None,
    jobs_per_device: int | None = None,
    threads: int | None = None,
) -> Hardware:
    """Return where trials run, from the settings of a study. CUDA is not initialised, as a process that has done so cannot be forked.

    Args:
        device: "auto" (a CUDA card if there is one, else MPS, else the CPU), "cpu", "cuda" (the first card), "cuda:1", "mps", or several
            cards, as a list or separated by commas; None for the default.
        default: the task's own device, or None for the CPU.
        jobs: trials at the same time; by default one per device, on the CPU one per ``threads`` cores.
        jobs_per_device: the same for each device.
        threads: of torch in each trial; by default one.

    Raises:
        PlanError: a value is not allowed, a device is not there, or the numbers of jobs contradict each other.

    Example:
        >>> choose_hardware("cpu", jobs=3)
        Hardware(devices=('cpu',), jobs=3, threads=1)
    """
    wanted = default if device is None else device
    devices = _devices("cpu" if wanted is None else wanted, is_from_task=device is None)
    count = 1 if threads is None else _count("threads", threads, f" (this machine has {cores.available()} cores)")
    if count > cores.available():
        raise PlanError(
            f"threads is {count}; this machine has {cores.available()} cores, and more threads than cores only wait for each other. "
            f"Allowed is a whole number from 1 to {cores.available()}."
        )
    return _check_mps(Hardware(devices=devices, jobs=_jobs(devices, jobs, jobs_per_device, count), threads=count))


def _jobs(devices: tuple[str, ...], jobs: int | None, per_device: int | None, threads: int) -> int:
    if jobs is not None:
        _count("jobs", jobs, f" (this machine has {cores.available()} cores)")
    if per_device is None:
        one_each = max(1, cores.available() // threads) if devices == ("cpu",) else len(devices)
        return one_each if jobs is None else jobs
    total = _count("jobs_per_device", per_device, " (1 unless a trial leaves most of its device idle)") * len(devices)
    if jobs is not None and jobs != total:
        raise PlanError(
            f"jobs is {jobs} and jobs_per_device is {per_device}, which makes {total} on {', '.join(devices)}. Give one of the two."
        )
    return total


def _check_mps(hardware: Hardware) -> Hardware:
    if hardware.devices == ("mps",) and hardware.jobs > 1:
        raise PlanError(
            f"jobs is {hardware.jobs}; on mps trials run one after another, as Metal cannot be used in a forked process. Leave jobs out."
        )
    return hardware


def _count(name: str, value: Any, note: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PlanError(f"{name} is {value!r}; a whole number from 1 up is needed{note}.")
    return value


def _devices(wanted: Any, *, is_from_task: bool) -> tuple[str, ...]:
    names = _names(wanted)
    said = "device of the task" if is_from_task else "device"
    for name in names:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
            word = name.partition(":")[0]
            near = f" Did you mean '{_OTHER_WORDS[word]}'?" if word in _OTHER_WORDS else did_you_mean(word, _NAMES)
            raise PlanError(f"{said} is {_shown(wanted)}; allowed are {_ALLOWED}.{near} {_there()}")
    if len(names) > 1 and {device_kind(name) for name in names} != {"cuda"}:
        raise PlanError(
            f"{said} is {_shown(wanted)}; several devices must be cards of one kind, such as cuda:0,cuda:1: trials on different kinds of "
            "device do not give the same numbers for the same seed, and their times cannot be compared."
        )
    if names == ["cpu"]:
        return ("cpu",)
    present = present_devices()
    if names == ["auto"]:
        return (present[0] if present else "cpu",)
    numbered = ["cuda:0" if name == "cuda" else name for name in names]
    for name in numbered:
        if name not in present:
            raise PlanError(
                f"{said} is {_shown(wanted)}, and there is no {name} here. {_there(present)}{_why_none(name)}"
            )
    if len(set(numbered)) < len(numbered):
        raise PlanError(
            f"{said} is {_shown(wanted)}, which names a card twice. For several trials at a time on a card, use jobs_per_device "
            "(--jobs-per-device 2)."
        )
    return tuple(numbered)


def _names(wanted: Any) -> list[str]:
    """Return the names in a setting: a text with commas, a ``torch.device``, or a list of such; an empty one where it is none."""
    if isinstance(wanted, str | torch.device):
        return [part.strip().lower() for part in str(wanted).split(",")]
    if isinstance(wanted, Iterable):
        return [
            name for part in wanted for name in (_names(part) if isinstance(part, str | torch.device) else [""])
        ] or [""]
    return [""]


def _shown(wanted: Any) -> str:
    return repr(str(wanted) if isinstance(wanted, torch.device) else wanted)


def _there(present: tuple[str, ...] | None = None) -> str:
    devices = ", ".join(("cpu", *(present_devices() if present is None else present)))
    return f"Devices of this machine: {devices}."


def _why_none(name: str) -> str:
    if device_kind(name) == "cuda" and not _is_built_for_cards():
        return f" This build of torch ({torch.__version__}) knows no cards: pytorch.org/get-started names the ones that do."
    if device_kind(name) == "cuda" and "CUDA_VISIBLE_DEVICES" in os.environ:
        return f" CUDA_VISIBLE_DEVICES is {os.environ['CUDA_VISIBLE_DEVICES']!r}, which hides the others."
    return ""


def _is_built_for_cards() -> bool:
    return torch.version.cuda is not None or getattr(torch.version, "hip", None) is not None


def present_devices() -> tuple[str, ...]:
    """Return the accelerators of this machine, such as ``("cuda:0", "cuda:1")`` or ``("mps",)``; none if there is only a CPU."""
    cards = _card_count() if _is_built_for_cards() else 0
    if cards:
        return tuple(f"cuda:{number}" for number in range(cards))
    return ("mps",) if torch.backends.mps.is_available() else ()


def has_unused_card(hardware: Hardware) -> bool:
    """Return whether trials run on the CPU although there is a card; asked at no cost where there is no driver."""
    if not hardware.is_cpu or not _is_built_for_cards() or not any(Path(file).exists() for file in _DRIVER_FILES):
        return False
    return bool(present_devices())


def _card_count() -> int:
    """Return the number of cards. It is asked in a process of its own, as the answer may initialise CUDA."""
    is_initialised = torch.cuda.is_initialized()  # type: ignore[no-untyped-call] # torch has no annotation for it
    if is_initialised or not hasattr(os, "fork"):
        return torch.cuda.device_count()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, b"%d" % torch.cuda.device_count())
        finally:
            os._exit(0)
    os.close(theirs)
    try:
        answer = os.read(ours, 16) if select.select([ours], [], [], _PROBE_LIMIT)[0] else b""
    finally:
        os.close(ours)
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return int(answer or 0)
