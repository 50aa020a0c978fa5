"""Compile printed C functions into one shared library, and run them on arrays of float32."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from actlab.codegen.c99 import CFunction, c_function, elementary_source
from actlab.functions.activation import names

COMPILER = shutil.which("gcc")
FLAGS = ["-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror"]
STOCHASTIC = tuple(name for name in names("stochastic") if name != "gumbel_softmax")
PRINTED = (*names("elementwise"), *names("gated"), *STOCHASTIC)

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs gcc")


@cache
def printed(name: str) -> CFunction:
    """Return the printed function of an entry of the catalogue."""
    return c_function(name, f"act_{name}")


def loop(name: str, arguments: list[str]) -> str:
    """Return a C function that calls another one for every number of its arrays."""
    arrays = ", ".join(f"const float *{argument}" for argument in arguments)
    numbers = ", ".join(f"{argument}[i]" for argument in arguments)
    return (
        f"void run_{name}({arrays}, float *result, long count);\n"
        f"void run_{name}({arrays}, float *result, long count)\n"
        f"{{\n    for (long i = 0; i < count; i++) {{\n        result[i] = {name}({numbers});\n    }}\n}}\n"
    )


def library(functions: list[CFunction], folder: Path, *flags: str) -> ctypes.CDLL:
    """Return the library of some functions."""
    needs = set().union(*(function.needs for function in functions))
    loops = [loop(function.name, [*function.inputs, *function.parameters]) for function in functions]
    return compiled("\n".join([elementary_source(needs), *(f.source for f in functions), *loops]), folder, *flags)


def compiled(text: str, folder: Path, *flags: str) -> ctypes.CDLL:
    """Return a C file as a library."""
    source, target = folder / "functions.c", folder / f"functions{len(list(folder.iterdir()))}.so"
    source.write_text(text)
    command = [COMPILER, *FLAGS, *(flags or ["-O1"]), "-shared", "-fPIC", "-o", str(target), str(source)]
    subprocess.run(command, check=True, timeout=120)
    return ctypes.CDLL(str(target))


def run(code: ctypes.CDLL, name: str, *arrays: np.ndarray) -> np.ndarray:
    """Return the results of a function for arrays of equal size."""
    held = [np.ascontiguousarray(array, dtype=np.float32) for array in arrays]
    result = np.empty_like(held[0])
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*held, result)]
    getattr(code, f"run_{name}")(*pointers, ctypes.c_long(result.size))
    return result
