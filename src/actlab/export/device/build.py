"""Programs of a project for a core, with start-up code, linker script and the project's test vectors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from actlab.errors import ExportError
from actlab.export.device.compiler import FLAGS, Compiler, Size
from actlab.export.device.cores import Core

__all__ = ["Project", "build_program", "build_size", "read_project"]

HARNESS = Path(__file__).with_name("harness.c")
STDIO = "#ifndef STDIO_H\n#define STDIO_H\nint printf(const char *format, ...);\n#endif\n"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A C99 project that an export has written.

    Attributes:
        folder: with its files.
        name: prefix of the public names.
        vectors: number of its test vectors.
        layers: descriptions of the layers that do something, by index in the net.
    """

    folder: Path
    name: str
    vectors: int
    layers: dict[int, str]


def read_project(folder: Path) -> Project:
    """Return the project in a folder.

    Raises:
        ExportError: it holds none.
    """
    found = [
        file.name.removesuffix("_test.c")
        for file in sorted(folder.glob("*_test.c"))
        if file.with_name(f"{file.name.removesuffix('_test.c')}.c").is_file()
    ]
    if len(found) != 1:
        raise ExportError(
            f"{folder} holds no C99 project: one NAME.c with NAME.h and NAME_test.c, as actlab export writes."
        )
    name = found[0]
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ExportError(f"{name!r}, the name of the project in {folder}, is no C identifier.")
    vectors = re.search(
        r"^#define VECTORS (\d+)", (folder / f"{name}_test.c").read_text(encoding="utf-8"), re.MULTILINE
    )
    if vectors is None:
        raise ExportError(f"{folder / name}_test.c defines no VECTORS; export the model again.")
    text = (folder / f"{name}.c").read_text(encoding="utf-8")
    hooks = re.compile(rf"/\* ((?:(?!\*/).)*) \*/(?:(?!/\*).)*?\n    {name.upper()}_AFTER_LAYER\((\d+)\);", re.DOTALL)
    layers = {int(index): " ".join(what.split()) for what, index in hooks.findall(text)}
    return Project(folder=folder, name=name, vectors=int(vectors[1]), layers=layers)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How programs are built.

    Attributes:
        compiler: that is used.
        core: for which.
        folder: for the built files.
        flags: behind those of the project.
        seconds: time limit of each command.
    """

    compiler: Compiler
    core: Core
    folder: Path
    flags: tuple[str, ...]
    seconds: float

    def compile(self, source: Path, output: str, *arguments: str) -> None:
        """Compile a file to an object file, with the flags of the project."""
        command = [*FLAGS, *self.flags, *arguments, "-c", str(source), "-o", output]
        self.compiler.compile(self.core, command, self.folder, self.seconds)

    def link(self, objects: list[str], output: str, entry: str) -> Path:
        """Link object files to a program."""
        script = f"{output}.ld"
        (self.folder / script).write_text(_script(self.core, entry), encoding="utf-8")
        self.compiler.link(self.core, [f"-Wl,-e,{entry}", *objects, "-o", output], script, self.folder, self.seconds)
        return self.folder / output


def build_size(project: Project, build: Build) -> Size:
    """Return what the net takes alone, with the compiler's arithmetic that it calls and nothing else.

    Raises:
        ExportError: it does not compile, needs functions that no compiler brings, or does not fit into the memory.
    """
    name = project.name
    build.compile(project.folder / f"{name}.c", "net.o", f"-D{name}_run=counted_net")
    return build.compiler.size(build.link(["net.o"], "net.elf", "counted_net"), build.seconds)


def build_program(project: Project, build: Build, vectors: int, *, by_layer: bool) -> Path:
    """Return a program that runs the project's test program and counts.

    Args:
        project: whose net has been compiled by :func:`build_size`.
        build: how.
        vectors: number of test vectors.
        by_layer: whether it counts each layer; the net is compiled again, with a call behind each layer.

    Raises:
        ExportError: it does not compile, or does not fit into the memory.
    """
    name, kind = project.name, "layers" if by_layer else "total"
    net, renamed = "net.o", f"-D{name}_run=counted_net"
    if by_layer:
        net = "net_layers.o"
        build.compile(project.folder / f"{name}.c", net, renamed, f"-D{name.upper()}_AFTER_LAYER=after_layer")
    stdio = build.folder / "stdio"
    stdio.mkdir(exist_ok=True)
    (stdio / "stdio.h").write_text(STDIO, encoding="utf-8")
    build.compile(project.folder / f"{name}_test.c", "test.o", f"-I{stdio}", f"-DVECTORS={vectors}")
    defines = [
        f"-DRUN={name}_run",
        "-DNET=counted_net",
        f"-DTIMER={build.core.board.timer}u",
        f"-DLAYERS={max(project.layers, default=0) + 1}",
        f"-DRUNS={vectors}",
    ]
    build.compile(HARNESS, f"harness_{kind}.o", *defines)
    return build.link([f"harness_{kind}.o", "test.o", net], f"{kind}.elf", "reset")


def _script(core: Core, entry: str) -> str:
    board = core.board
    return f"""ENTRY({entry})
EXTERN({entry})
MEMORY {{
    FLASH (rx) : ORIGIN = {board.flash:#x}, LENGTH = 4M
    RAM (rwx) : ORIGIN = {board.ram:#x}, LENGTH = 4M
    VECTORS (r) : ORIGIN = {board.vectors:#x}, LENGTH = 16M
}}
SECTIONS {{
    .vectors : {{ *test.o(.rodata .rodata.*) }} > VECTORS
    .text : {{ KEEP(*(.start)) *(.text .text.*) *(.rodata .rodata.*) }} > FLASH
    .data : {{ *(.data .data.*) }} > RAM
    .bss (NOLOAD) : {{ *(.bss .bss.*) *(COMMON) }} > RAM
    stack_top = {board.ram:#x} + 0x400000;
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.comment) }}
}}
"""
