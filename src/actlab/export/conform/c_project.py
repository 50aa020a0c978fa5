"""C project of an export as an engine, compiled on this machine and called from Python."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from actlab.errors import ExportError
from actlab.export.c99.host import compiler
from actlab.export.c99.source import MARK
from actlab.nn.sites.dry_run import Arguments

__all__ = ["Project", "compiled_project"]

Array = np.ndarray[Any, np.dtype[Any]]
SIGNATURE = re.compile(r"^void (\w+)_run\(([^)]*)\);", re.MULTILINE)
ARGUMENT = re.compile(r"^(const )?(float|int32_t|int8_t) \*(\w+)$")
KINDS = {"float": np.float32, "int32_t": np.int32, "int8_t": np.int8}
SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class _Interface:
    """What the header of a project says: arguments (whether an input, kind, name), sizes, and scale and zero of int8 codes."""

    name: str
    arguments: tuple[tuple[bool, str, str], ...]
    sizes: Mapping[str, int]
    codes: Mapping[str, tuple[float, int]]

    def coded(self, name: str, numbers: Array) -> Array:
        """Return the numbers of an input, or their codes, as the header computes them."""
        if name.upper() not in self.codes:
            return numbers.astype(np.float32)
        scale, zero = self.codes[name.upper()]
        codes = np.nan_to_num(numbers.astype(np.float32) / np.float32(scale), nan=0.0) + np.float32(zero)
        coded: Array = np.clip(np.floor(codes + np.float32(0.5)), -128, 127)
        return coded

    def numbers(self, name: str, values: Array) -> Array:
        """Return the numbers that an output stands for."""
        if name.upper() not in self.codes:
            return values
        scale, zero = self.codes[name.upper()]
        return scale * (values.astype(np.float64) - zero)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A compiled project.

    Attributes:
        run: from the arguments of a call to the outputs, in order; codes of int8 stand for their numbers.
        compiler: its name.
        step: of the output codes of an int8 project, the largest; None for float.
    """

    run: Callable[[Arguments], list[Array]]
    compiler: str
    step: float | None


def compiled_project(folder: Path) -> Project:
    """Compile a project.

    Args:
        folder: as :func:`actlab.export.front.export` writes it.

    Raises:
        ExportError: the folder holds no project of an export, its interface is another one, or there is no compiler.
    """
    header = _header(folder)
    interface = _interface(header)
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
        function = getattr(ctypes.CDLL(str(library)), f"{interface.name}_run")
    except (OSError, AttributeError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{folder} cannot be built and loaded: {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)  # a loaded library stays in memory
    function.restype = None
    steps = [scale for argument, (scale, _) in interface.codes.items() if argument.startswith("OUTPUT")]
    return Project(
        run=_runner(function, interface, str(folder)),
        compiler=f"{command[0]}, C99",
        step=max(steps, default=None),
    )


def _header(folder: Path) -> str:
    for file in sorted(folder.glob("*.h")):
        text = file.read_text(encoding="utf-8", errors="replace")
        if MARK in text and SIGNATURE.search(text):
            return text
    raise ExportError(f"The folder {folder} holds no C project of actlab export: no header with a function NAME_run.")


def _interface(header: str) -> _Interface:
    found = SIGNATURE.search(header)
    assert found is not None  # noqa: S101 # see _header
    name, written = found[1], [each.strip() for each in found[2].split(",")]
    parsed = [ARGUMENT.match(each) for each in written]
    arguments = tuple((bool(each[1]), each[2], each[3]) for each in parsed if each)
    sizes = {key: int(size) for key, size in re.findall(rf"#define {name.upper()}_(\w+)_SIZE (\d+)", header)}
    scales = dict(re.findall(rf"#define {name.upper()}_(\w+)_SCALE ([\d.e+-]+)f", header))
    zeros = dict(re.findall(rf"#define {name.upper()}_(\w+)_ZERO \(?(-?\d+)\)?", header))
    codes = {key: (float(scale), int(zeros[key])) for key, scale in scales.items() if key in zeros}
    uncoded = [each for _, kind, each in arguments if kind == "int8_t" and each.upper() not in codes]
    if len(arguments) != len(written) or uncoded or any(each.upper() not in sizes for _, _, each in arguments):
        raise ExportError(
            f"{name}_run takes {found[2]}; conform runs projects of float and of int8 codes with a scale and a zero. Save the outputs of "
            "this one, and give the file."
        )
    return _Interface(name=name, arguments=arguments, sizes=sizes, codes=codes)


def _runner(function: Any, interface: _Interface, folder: str) -> Callable[[Arguments], list[Array]]:
    def run(call: Arguments) -> list[Array]:
        tensors = [leaf for leaf in tree_leaves(call) if isinstance(leaf, Tensor)]
        names = [name for is_input, _, name in interface.arguments if is_input]
        if len(tensors) != len(names):
            raise ExportError(f"{folder} takes {len(names)} inputs ({', '.join(names)}), and the model {len(tensors)}.")
        count = len(tensors[0])
        arrays: dict[str, Array] = {
            name: np.empty((count, interface.sizes[name.upper()]), dtype=KINDS[kind])
            for _, kind, name in interface.arguments
        }
        for name, tensor in zip(names, tensors, strict=True):
            rows = tensor.detach().cpu().numpy().reshape(count, -1)
            if rows.shape[1] != arrays[name].shape[1]:
                raise ExportError(
                    f"{folder} takes {arrays[name].shape[1]} numbers as {name}, and an example of the model has {rows.shape[1]}."
                )
            arrays[name][:] = interface.coded(name, rows)
        for row in range(count):
            function(*(arrays[name][row].ctypes.data_as(ctypes.c_void_p) for _, _, name in interface.arguments))
        return [interface.numbers(name, arrays[name]) for is_input, _, name in interface.arguments if not is_input]

    return run
