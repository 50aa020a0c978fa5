"""The team: torch's own threads, for machine code that torch does not know.

Torch divides an operation among the threads of OpenMP, which wait for the next one for a moment before they sleep. Code of ours runs in the
same threads: no second set of them waits beside the first, and a start costs what it costs torch, a few microseconds. Where torch
brings no OpenMP that can be called, and in the forked child of a process, where OpenMP's threads are gone, Python's threads do the work.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from actlab.codegen.cpu import jit

__all__ = ["Calls", "run"]

Calls: TypeAlias = NDArray[
    np.int64
]  # a row each: the address of a function, and its arguments, addresses or whole numbers
HOME = os.getpid()


def run(calls: Calls, threads: int) -> None:
    """Make all calls, in no order, and return when the last one has returned; the interpreter's lock is released meanwhile.

    Args:
        calls: contiguous; the functions return nothing.
        threads: at most so many at a time.

    Raises:
        NoCompilerError: LLVM is missing.
    """
    if not len(calls):
        return
    caller, members = _caller(calls.shape[1] - 1), min(threads, len(calls))
    table: int = calls.__array_interface__["data"][0]  # a tenth of the time that calls.ctypes takes
    if members <= 1:
        caller.calls(table, 0, 1, len(calls))
        return
    openmp = _openmp() if os.getpid() == HOME else None
    if openmp is None:
        waiting = [_pool(os.getpid()).submit(caller.calls, table, k, members, len(calls)) for k in range(1, members)]
        caller.calls(table, 0, members, len(calls))
        wait(waiting)
        return
    data = array("q", (openmp.number, openmp.count, table, len(calls)))
    openmp.parallel(caller.member, data.buffer_info()[0], members, 0)


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """Machine code that makes calls of as many arguments as it was made for.

    Attributes:
        calls: makes those of a table that a thread makes: (table, first, step, count).
        member: address of what a thread of OpenMP runs: it finds out its number, and makes its calls.
    """

    calls: Callable[[int, int, int, int], None]
    member: int


@cache
def _caller(arguments: int) -> _Caller:
    text = _text(arguments)
    prototype: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    return _Caller(
        calls=prototype(jit.address(text, lambda: text, "calls")),
        member=jit.address(text, lambda: text, "member"),
    )


def _text(arguments: int) -> str:
    """Return the LLVM code of :class:`_Caller`."""
    places = range(1, arguments + 1)
    return "\n".join(
        [
            "define void @calls(ptr %table, i64 %first, i64 %step, i64 %count) {",
            "entry:",
            "%any = icmp ult i64 %first, %count",
            "br i1 %any, label %loop, label %done",
            "loop:",
            "%i = phi i64 [ %first, %entry ], [ %next, %loop ]",
            f"%start = mul i64 %i, {arguments + 1}",
            "%call = getelementptr i64, ptr %table, i64 %start",
            "%function = load ptr, ptr %call",
            *(f"%p{k} = getelementptr i64, ptr %call, i64 {k}" for k in places),
            *(f"%a{k} = load i64, ptr %p{k}" for k in places),
            f"call void %function({', '.join(f'i64 %a{k}' for k in places)})",
            "%next = add i64 %i, %step",
            "%more = icmp ult i64 %next, %count",
            "br i1 %more, label %loop, label %done",
            "done:",
            "ret void",
            "}",
            "define void @member(ptr %data) {",
            *(f"%d{k} = getelementptr i64, ptr %data, i64 {k}" for k in range(4)),
            "%number = load ptr, ptr %d0",
            "%members = load ptr, ptr %d1",
            "%table = load ptr, ptr %d2",
            "%count = load i64, ptr %d3",
            "%n32 = call i32 %number()",
            "%m32 = call i32 %members()",
            "%n = sext i32 %n32 to i64",
            "%m = sext i32 %m32 to i64",
            "call void @calls(ptr %table, i64 %n, i64 %m, i64 %count)",
            "ret void",
            "}",
        ]
    )


@dataclass(frozen=True, kw_only=True)
class _OpenMP:
    """What is called of OpenMP: addresses of what tells a thread its number and their count, and the function that starts them."""

    number: int
    count: int
    parallel: Callable[[int, int, int, int], None]


@cache
def _openmp() -> _OpenMP | None:
    """Return the OpenMP that torch itself uses: found among what its library depends on, of which other packages may have copies."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        number, count, parallel = (
            ctypes.cast(library[name], ctypes.c_void_p).value
            for name in ("omp_get_thread_num", "omp_get_num_threads", "GOMP_parallel")
        )
    except (OSError, AttributeError):
        return None
    prototype: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    return _OpenMP(number=number or 0, count=count or 0, parallel=prototype(parallel))


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 a forked child has none of its parent's threads: it gets its own
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="actlab-kernel")
