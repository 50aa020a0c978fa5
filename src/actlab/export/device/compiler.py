"""Compilers for Cortex-M, arm-none-eabi-gcc or zig's."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from actlab.errors import ExportError
from actlab.export.device.command import run
from actlab.export.device.cores import Core

__all__ = ["FLAGS", "INSTALL", "Compiler", "Size", "find_compiler"]

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off")  # of all projects, on the host too
INSTALL = (
    "Install arm-none-eabi-gcc and qemu-system-arm (Debian: apt-get install --no-install-recommends gcc-arm-none-eabi "
    "libnewlib-arm-none-eabi qemu-system-arm), or the Python packages of pip install 'actlab[device]' (ziglang, unicorn, pyelftools)."
)
GCC = "arm-none-eabi-gcc"
WITHOUT_LIBRARY = re.compile(r"stdint\.h: No such file|cannot find -l(c|m|gcc)\b")
SECTION = re.compile(r"^\.(\S+)\s+(\d+)\s+\d+$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Bytes of a program.

    Attributes:
        flash: code, constants and initial values.
        ram: initialised and zeroed static memory.
    """

    flash: int
    ram: int


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A compiler that is installed.

    Attributes:
        kind: "gcc" or "zig".
        command: program and first arguments.
        version: name and version.
    """

    kind: str
    command: tuple[str, ...]
    version: str

    def compile(self, core: Core, arguments: Sequence[str], folder: Path, seconds: float) -> None:
        """Run the compiler for a core.

        Raises:
            ExportError: it refuses the files.
        """
        flags = core.gcc if self.kind == "gcc" else core.zig
        try:
            run([*self.command, *flags, *arguments], folder, seconds)
        except ExportError as error:
            if WITHOUT_LIBRARY.search(str(error)) is None:
                raise
            raise ExportError(f"{self.command[0]} has no C library, so nothing was measured. {INSTALL}") from error

    def link(self, core: Core, files: Sequence[str], script: str, folder: Path, seconds: float) -> None:
        """Link object files with a linker script; the last of the arguments in ``files`` name the output.

        Raises:
            ExportError: a symbol is missing, or the program does not fit into the memory of the board.
        """
        libraries = ["-lm", "-lc", "-lgcc"] if self.kind == "gcc" else ["-lcompiler_rt"]
        try:
            self.compile(core, ["-nostdlib", f"-Wl,--gc-sections,-T,{script}", *files, *libraries], folder, seconds)
        except ExportError as error:
            found = re.search(r"overflowed by (\d+) bytes", str(error))
            if found is None:
                raise
            region = "RAM" if re.search(r"[`'\"]RAM['\"]", str(error)) else "flash"
            raise ExportError(
                f"The program does not fit into the {region} of the emulated board {core.board.machine} (4 MB): {int(found[1]):,} bytes "
                "too many. Make the net smaller, or export it to int8."
            ) from error

    def size(self, program: Path, seconds: float) -> Size:
        """Return the sizes of a linked program."""
        sections = _sections(program, seconds) if self.kind == "gcc" else _sections_by_elftools(program)
        flash = sum(size for name, size in sections.items() if name in {"text", "data"})
        return Size(flash=flash, ram=sections.get("data", 0) + sections.get("bss", 0))


def find_compiler(kind: str | None = None) -> Compiler:
    """Return the compiler of a kind, or the first that is installed.

    Args:
        kind: "gcc" or "zig"; None for either.

    Raises:
        ExportError: it is not installed.
    """
    if kind in {None, "gcc"} and shutil.which(GCC):
        return Compiler(kind="gcc", command=(GCC,), version=_first_line([GCC, "--version"]))
    if kind in {None, "zig"} and find_spec("ziglang") and find_spec("elftools"):
        command = (sys.executable, "-m", "ziglang")
        version = f"zig {_first_line([*command, 'version'])} (clang)"
        return Compiler(kind="zig", command=(*command, "cc", "-fno-sanitize=all"), version=version)
    what = {"gcc": f"{GCC} is", "zig": "zig's compiler (ziglang, pyelftools) is", None: "No compiler for Cortex-M is"}[
        kind
    ]
    raise ExportError(f"{what} {'not ' if kind else ''}installed, so nothing was measured. {INSTALL}")


def _first_line(command: list[str]) -> str:
    return run(command, Path.cwd(), 60).partition("\n")[0]


def _sections(program: Path, seconds: float) -> dict[str, int]:
    printed = run(["arm-none-eabi-size", "-A", str(program)], program.parent, seconds)
    return {name: int(size) for name, size in SECTION.findall(printed)}


def _sections_by_elftools(program: Path) -> dict[str, int]:
    try:
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415 an extra
    except ImportError as error:
        raise ExportError(f"pyelftools is not installed. {INSTALL}") from error
    with program.open("rb") as file:
        return {section.name.lstrip("."): section["sh_size"] for section in ELFFile(file).iter_sections()}
