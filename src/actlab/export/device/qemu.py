"""Run of a program on a board in qemu-system-arm."""

from __future__ import annotations

import shutil
from pathlib import Path

from actlab.export.device.command import run
from actlab.export.device.cores import Core
from actlab.export.device.output import FAULT

__all__ = ["PROGRAM", "run_in_qemu", "ticks", "version"]

PROGRAM = "qemu-system-arm"
SHIFT = 7  # an instruction takes 2 ** SHIFT nanoseconds, several ticks of the timer


def is_installed() -> bool:
    """Return whether qemu-system-arm is found."""
    return shutil.which(PROGRAM) is not None


def version() -> str:
    """Return the name and version."""
    return run([PROGRAM, "--version"], Path.cwd(), 60).partition("\n")[0].partition(" (")[0]


def ticks(core: Core) -> float:
    """Return the ticks of the timer in one instruction."""
    return (1 << SHIFT) * 1e-9 * core.board.hertz


def run_in_qemu(program: Path, core: Core, seconds: float) -> str:
    """Run a program to its end, and return what it printed.

    Raises:
        ExportError: it takes longer, or stops with another exit code than those of the harness.
    """
    command = [
        PROGRAM,
        "-machine",
        core.board.machine,
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
    ]
    semihosting = [
        "-semihosting-config",
        "enable=on,target=native",
        "-icount",
        f"shift={SHIFT}",
        "-kernel",
        program.name,
    ]
    return run([*command, *semihosting], program.parent, seconds, allowed=(0, 1, FAULT))
