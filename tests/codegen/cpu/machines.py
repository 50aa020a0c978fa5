"""Vector functions run on arrays, as the tests of the CPU reading need it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from actlab.codegen.cpu import jit, kernel_text
from actlab.codegen.cpu.row_body import Loop

_NUMBERS = count()


def run(function: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """Return a function of one vector value, compiled and applied to a contiguous array of float32 or float64."""
    lanes = 128 // x.dtype.itemsize
    loop = Loop(storage=x.dtype.name, reads=(1,), writes=(1,), lanes=lanes, fused=jit.fuses())
    key = f"test {next(_NUMBERS)} {np.random.default_rng().integers(2**60)}"
    address = jit.address(key, lambda: kernel_text.text(loop, lambda values, _: ([function(values[0])], [])))
    y = np.empty_like(x)
    kinds = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 6
    ctypes.CFUNCTYPE(None, *kinds)(address)(x.ctypes.data, y.ctypes.data, 0, 0, 0, 0, 0, 1, x.size, 1, 1, 0)
    return y
