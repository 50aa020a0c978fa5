"""Cortex-M cores, with compiler flags and the emulated boards that run their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actlab.errors import ExportError, did_you_mean

__all__ = ["CORES", "Board", "Core", "check_cores", "core_of"]

MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Board:
    """Memory and timer of a board of Arm's, which qemu has.

    Attributes:
        machine: its name in qemu.
        flash: address of 4 megabytes for code and constants.
        ram: address of 4 megabytes.
        vectors: address of 16 megabytes, which hold the test vectors.
        timer: address of a 32-bit timer (CMSDK).
        hertz: of the timer.
    """

    machine: str
    flash: int = 0
    ram: int = 0x20000000
    vectors: int = 0x21000000
    timer: int = 0x40000000
    hertz: int = 25_000_000


@dataclass(frozen=True, kw_only=True)
class Core:
    """A core.

    Attributes:
        name: as in "Cortex-M4F".
        gcc: flags of arm-none-eabi-gcc.
        zig: flags of zig's compiler.
        unicorn: suffix of the model's name in unicorn.
        board: that runs its code.
        note: what differs from the core itself.
    """

    name: str
    gcc: tuple[str, ...]
    zig: tuple[str, ...]
    unicorn: str
    board: Board
    note: str = ""


M3 = Board(machine="mps2-an385")
SOFT = ("-target", "thumb-freestanding-eabi")
HARD = ("-target", "thumb-freestanding-eabihf")

CORES: Mapping[str, Core] = {
    "m0": Core(
        name="Cortex-M0",
        gcc=("-mcpu=cortex-m0", "-mthumb"),
        zig=(*SOFT, "-mcpu=cortex_m0"),
        unicorn="M3",
        board=M3,
        note="compiled for Cortex-M0 and run on a Cortex-M3, which has all of its instructions and more memory",
    ),
    "m3": Core(
        name="Cortex-M3", gcc=("-mcpu=cortex-m3", "-mthumb"), zig=(*SOFT, "-mcpu=cortex_m3"), unicorn="M3", board=M3
    ),
    "m4f": Core(
        name="Cortex-M4F",
        gcc=("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        zig=(*HARD, "-mcpu=cortex_m4+vfp4d16sp"),
        unicorn="M4",
        board=Board(machine="mps2-an386"),
    ),
    "m7": Core(
        name="Cortex-M7",
        gcc=("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        zig=(*HARD, "-mcpu=cortex_m7+fp_armv8d16sp"),
        unicorn="M7",
        board=Board(machine="mps2-an500", vectors=0x60000000),
    ),
    "m33": Core(
        name="Cortex-M33",
        gcc=("-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        zig=(*HARD, "-mcpu=cortex_m33+dsp+fp_armv8d16sp"),
        unicorn="M33",
        board=Board(
            machine="mps2-an505",
            flash=0x10000000,
            ram=0x38000000,
            vectors=0x80000000,
            timer=0x50000000,
            hertz=20_000_000,
        ),
    ),
}


def core_of(name: str) -> Core:
    """Return a core by its short name.

    Raises:
        ExportError: there is none of that name.

    Example:
        >>> core_of("m4f").name, core_of("m4f").board.machine
        ('Cortex-M4F', 'mps2-an386')
    """
    if name not in CORES:
        raise ExportError(f"There is no core {name!r}.{did_you_mean(name, list(CORES))} Cores: {', '.join(CORES)}.")
    return CORES[name]


def check_cores(device: Sequence[str]) -> None:
    """Refuse names of cores that do not exist.

    Raises:
        ExportError: there is such a name, or the value is no sequence of names.

    Example:
        >>> check_cores("m3")
        Traceback (most recent call last):
        actlab.errors.ExportError: device is a tuple of cores, as ("m3",); got 'm3'.
    """
    if isinstance(device, str) or not isinstance(device, Sequence) or not all(isinstance(each, str) for each in device):
        example = f'("{device}",)' if isinstance(device, str) and device in CORES else '("m3", "m4f")'
        raise ExportError(f"device is a tuple of cores, as {example}; got {device!r}.")
    for each in device:
        core_of(each)
