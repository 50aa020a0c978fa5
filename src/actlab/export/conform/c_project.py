"""C project of an export as an engine, compiled on this machine and called from Python."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from actlab.errors import ExportError
from actlab.export.c99.host import compiler
from actlab.export.c99.source import MARK
from actlab.nn.sites.dry_run import Arguments

__all__ = ["compiled_project"]

Array = np.ndarray[Any, np.dtype[Any]]
SIGNATURE = re.compile(r"^void (\w+)_run\(([^)]*)\);", re.MULTILINE)
ARGUMENT = re.compile(r"^(const )?(float|int32_t|int8_t) \*(\w+)$")
KINDS = {"float": np.float32, "int32_t": np.int32, "int8_t": np.int8}
SECONDS = 300


def compiled_project(folder: Path) -> tuple[Callable[[Arguments], list[Array]], str]:
    """Compile a project, and return a function that runs it on a batch, and the compiler's name.

    Args:
        folder: as :func:`actlab.export.front.export` writes it.

    Raises:
        ExportError: the folder holds no project of an export, its interface is another one, or there is no compiler.
    """
    header = _header(folder)
    name, arguments, sizes = _interface(header)
    command = compiler()
    if command is None:
        raise ExportError(f"No C compiler was found to build {folder}; install gcc or clang, or name one in CC.")
    place = Path(tempfile.mkdtemp(prefix="actlab_conform_"))
    library = place / "net.so"
    sources = [str(file) for file in sorted(folder.glob("*.c")) if not file.stem.endswith("_test")]
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    try:
        done = subprocess.run(  # noqa: S603 the user's own project, which they asked to run
            [*command, *flags, *sources, "-o", str(library)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise ExportError(f"{command[0]} cannot build {folder}:\n{done.stderr[:2000]}")
        function = getattr(ctypes.CDLL(str(library)), f"{name}_run")
    except (OSError, AttributeError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{folder} cannot be built and loaded: {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)  # a loaded library stays in memory
    function.restype = None
    run = _runner(function, arguments, sizes, str(folder))
    return run, f"{command[0]}, C99"


def _header(folder: Path) -> str:
    for file in sorted(folder.glob("*.h")):
        text = file.read_text(encoding="utf-8", errors="replace")
        if MARK in text and SIGNATURE.search(text):
            return text
    raise ExportError(f"The folder {folder} holds no C project of actlab export: no header with a function NAME_run.")


def _interface(header: str) -> tuple[str, list[tuple[bool, str, str]], dict[str, int]]:
    """Return the net's name, its arguments (whether an input, kind, name), and the sizes of its arrays."""
    found = SIGNATURE.search(header)
    assert found is not None  # noqa: S101 # see _header
    name, written = found[1], [each.strip() for each in found[2].split(",")]
    parsed = [ARGUMENT.match(each) for each in written]
    if not all(parsed) or "int8_t" in found[2]:
        raise ExportError(
            f"{name}_run takes {found[2]}; conform runs projects whose inputs are float. Save the outputs of this one, and give the file."
        )
    arguments = [(bool(each[1]), each[2], each[3]) for each in parsed if each]
    sizes = {key: int(size) for key, size in re.findall(rf"#define {name.upper()}_(\w+)_SIZE (\d+)", header)}
    return name, arguments, sizes


def _runner(
    function: Any, arguments: list[tuple[bool, str, str]], sizes: dict[str, int], folder: str
) -> Callable[[Arguments], list[Array]]:
    def run(call: Arguments) -> list[Array]:
        tensors = [leaf for leaf in tree_leaves(call) if isinstance(leaf, Tensor)]
        names = [name for is_input, _, name in arguments if is_input]
        if len(tensors) != len(names):
            raise ExportError(f"{folder} takes {len(names)} inputs ({', '.join(names)}), and the model {len(tensors)}.")
        count = len(tensors[0])
        given = {}
        for name, tensor in zip(names, tensors, strict=True):
            rows = np.ascontiguousarray(tensor.detach().cpu().numpy().reshape(count, -1), dtype=np.float32)
            if rows.shape[1] != sizes[name.upper()]:
                raise ExportError(
                    f"{folder} takes {sizes[name.upper()]} numbers as {name}, and an example of the model has {rows.shape[1]}."
                )
            given[name] = rows
        outputs = {
            name: np.empty((count, sizes[name.upper()]), dtype=KINDS[kind])
            for is_input, kind, name in arguments
            if not is_input
        }
        arrays = given | outputs
        for row in range(count):
            function(*(arrays[name][row].ctypes.data_as(ctypes.c_void_p) for _, _, name in arguments))
        return list(outputs.values())

    return run
