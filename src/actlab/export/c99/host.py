"""C compiler of this machine, with which a project is built, measured and tested."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from actlab.errors import ExportError
from actlab.export.device.compiler import FLAGS as LANGUAGE

__all__ = ["FLAGS", "Built", "Measured", "build", "compiler", "measure"]

FLAGS = " ".join([*LANGUAGE, "-Wall", "-Wextra", "-Wconversion", "-Werror"])
SECONDS = 300
FOUND = re.compile(r"largest difference (\S+), over 1 \+ magnitude (\S+), (\d+) above")


@dataclass(frozen=True, kw_only=True)
class Built:
    """A project that this machine's compiler has built.

    Attributes:
        compiler: name and version.
        text: bytes of code and constants, of the net alone; 0 where they could not be measured.
        data: bytes of initialised and zeroed memory.
        printed: by the test program.
    """

    compiler: str
    text: int
    data: int
    printed: str


@dataclass(frozen=True, kw_only=True)
class Measured(Built):
    """A project and its differences from the model.

    Attributes:
        largest: largest difference of any output number from the model.
        relative: the same over 1 + the magnitude.
        above: count of the numbers that differ by more than the tolerance.
    """

    largest: float
    relative: float
    above: int


def compiler() -> list[str] | None:
    """Return the command of a C compiler: that of the variable CC, else cc, gcc or clang; None where there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in ([named] if named else []) + [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    return None


def measure(folder: Path, name: str, command: list[str]) -> Measured:
    """Build a float32 project and run its test vectors; see :func:`build`.

    Raises:
        ExportError: the compiler refuses the project, or its program fails.
    """
    built = build(folder, name, command)
    found = FOUND.search(built.printed)
    if found is None:
        raise ExportError(f"The test program of {name} printed {built.printed[:200]!r}.")
    return Measured(**vars(built), largest=float(found[1]), relative=float(found[2]), above=int(found[3]))


def build(folder: Path, name: str, command: list[str]) -> Built:
    """Build a project in a temporary folder, and run its test vectors.

    Args:
        folder: of the project.
        name: of the net.
        command: a compiler, see :func:`compiler`.

    Raises:
        ExportError: the compiler refuses the project, or its program fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        built, program = Path(temporary) / "net.o", Path(temporary) / "test"
        _run([*command, *FLAGS.split(), "-c", str(folder / f"{name}.c"), "-o", str(built)])
        _run([*command, *FLAGS.split(), str(folder / f"{name}_test.c"), str(built), "-o", str(program)])
        printed = _run([str(program)], allowed=(0, 1)).stdout
        text, data = _sizes(built)
    version = _run([*command, "--version"]).stdout.partition("\n")[0]
    return Built(compiler=version, text=text, data=data, printed=printed)


def _sizes(built: Path) -> tuple[int, int]:
    if shutil.which("size") is None:
        return 0, 0
    text, data, zeroed = _run(["size", str(built)]).stdout.splitlines()[1].split()[:3]
    return int(text), int(data) + int(zeroed)


def _run(command: list[str], allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603 our own project
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode not in allowed:
        raise ExportError(f"{command[0]} failed with {done.returncode}:\n{(done.stderr or done.stdout)[:2000]}")
    return done
