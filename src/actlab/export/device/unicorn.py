"""Run of a program in unicorn, with a timer that counts instructions."""

from __future__ import annotations

from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actlab.errors import ExportError
from actlab.export.device.compiler import INSTALL
from actlab.export.device.cores import Core
from actlab.export.device.output import FAULT

__all__ = ["is_installed", "run_in_unicorn", "version"]

TICKS = 1.0  # of the timer in one instruction
PAGE = 4096
BREAKPOINT = 7  # number of the exception
WRITE, EXIT = 4, 0x20  # operations of semihosting
SYSTEM = 0xE0000000  # registers of the core


def is_installed() -> bool:
    """Return whether the packages are found."""
    return find_spec("unicorn") is not None and find_spec("elftools") is not None


def version() -> str:
    """Return the name and version."""
    return f"unicorn {version_of('unicorn')}"


def run_in_unicorn(program: Path, core: Core, seconds: float) -> str:
    """Run a program to its end, and return what it printed.

    Raises:
        ExportError: it takes longer, stops with an error, or a package is missing.
    """
    try:
        import unicorn  # noqa: PLC0415 an extra
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415 an extra
    except ImportError as error:
        raise ExportError(f"unicorn or pyelftools is not installed. {INSTALL}") from error
    machine = _Machine(unicorn, core)
    with program.open("rb") as file:
        elf = ELFFile(file)
        for part in elf.iter_segments("PT_LOAD"):
            machine.load(part["p_vaddr"], part.data())
        start = elf["e_entry"]
    return machine.run(start, seconds)


class _Machine:
    """Memory, timer and semihosting around a core of unicorn."""

    def __init__(self, unicorn: Any, core: Core) -> None:
        self.unicorn, self.core = unicorn, core
        self.arm = unicorn.arm_const
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(getattr(self.arm, f"UC_CPU_ARM_CORTEX_{core.unicorn}"))
        board = core.board
        for address, size in ((board.flash, 4), (board.ram, 4), (board.vectors, 16), (SYSTEM, 1)):
            self.uc.mem_map(address, size << 20)
        self.uc.mmio_map(board.timer, PAGE, self._timer, None, lambda *_: None, None)
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._count)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self.instructions = 0
        self.lengths: dict[tuple[int, int], int] = {}
        self.printed: list[str] = []
        self.code: int | None = None

    def load(self, address: int, data: bytes) -> None:
        """Write a part of the program into the memory."""
        self.uc.mem_write(address, data)

    def run(self, start: int, seconds: float) -> str:
        """Run from an address until the program ends."""
        self.uc.reg_write(self.arm.UC_ARM_REG_SP, self.core.board.ram + (4 << 20))
        try:
            self.uc.emu_start(start | 1, 0xFFFFFFF0, timeout=int(1e6 * seconds))
        except self.unicorn.UcError as error:
            raise ExportError(f"The program stopped in unicorn: {error}.") from error
        if self.code is None:
            raise ExportError(f"unicorn took more than {seconds:g} seconds and was stopped.")
        return "".join(self.printed)

    def _timer(self, _uc: Any, offset: int, _size: int, _data: Any) -> int:
        return (0xFFFFFFFF - self.instructions) & 0xFFFFFFFF if offset == 4 else 0

    def _count(self, uc: Any, address: int, size: int, _data: Any) -> None:
        count = self.lengths.get((address, size))
        if count is None:
            count = self.lengths[address, size] = _instructions(bytes(uc.mem_read(address, size)))
        self.instructions += count

    def _interrupt(self, uc: Any, number: int, _data: Any) -> None:
        operation, argument = uc.reg_read(self.arm.UC_ARM_REG_R0), uc.reg_read(self.arm.UC_ARM_REG_R1)
        if number == BREAKPOINT and operation == WRITE:
            self.printed.append(self._text(argument))
            uc.reg_write(self.arm.UC_ARM_REG_PC, (uc.reg_read(self.arm.UC_ARM_REG_PC) + 2) | 1)
        elif number == BREAKPOINT and operation == EXIT:
            self.code = int.from_bytes(uc.mem_read(argument + 4, 4), "little")
            uc.emu_stop()
        else:
            self.printed.append("fault\n")
            self.code = FAULT
            uc.emu_stop()

    def _text(self, address: int) -> str:
        data = bytearray()
        while (byte := self.uc.mem_read(address + len(data), 1)[0]) != 0:
            data.append(byte)
        return data.decode("ascii", errors="replace")


def _instructions(code: bytes) -> int:
    """Return the number of Thumb instructions in a block."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 in {0b11101, 0b11110, 0b11111} else 2
        count += 1
    return count
