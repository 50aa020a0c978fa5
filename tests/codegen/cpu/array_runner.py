"""Runs vector functions of the CPU code generator on NumPy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.row_body import RowLoop
from actlab.codegen.cpu.row_loop import kernel_text

_NUMBERS = count()


def run(function: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """Compile a function of one vector value and return its result on a contiguous array of float32 or float64."""
    lanes = 128 // x.dtype.itemsize
    loop = RowLoop(storage=x.dtype.name, reads=(1,), writes=(1,), lanes=lanes, fused=jit.fuses())
    key = f"test {next(_NUMBERS)} {np.random.default_rng().integers(2**60)}"
    address = jit.address(key, lambda: kernel_text(loop, lambda values, _: ([function(values[0])], [])))
    y = np.empty_like(x)
    kinds = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 6
    ctypes.CFUNCTYPE(None, *kinds)(address)(x.ctypes.data, y.ctypes.data, 0, 0, 0, 0, 0, 1, x.size, 1, 1, 0)
    return y
