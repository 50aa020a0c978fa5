"""Run compiled kernels on torch's intra-op threads (OpenMP).

Torch divides an operation among OpenMP's threads, which wait actively for a moment before they sleep. Kernels run in the same threads, so
no second pool competes with them, and starting a parallel region costs a few microseconds, as in torch. Where torch's OpenMP cannot be
called, and in forked child processes, which have no OpenMP threads, a Python thread pool is used.
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

# One row per call: the address of a function, then its arguments, which are addresses or integers.
Calls: TypeAlias = NDArray[np.int64]
IMPORTING_PROCESS = os.getpid()


def run(calls: Calls, threads: int) -> None:
    """Make all calls, in any order, and return when all have returned; releases the global interpreter lock meanwhile.

    Args:
        calls: contiguous array; the functions return nothing.
        threads: number of threads to use at most.

    Raises:
        NoCompilerError: LLVM is missing.
    """
    if not len(calls):
        return
    caller, team_size = _caller(calls.shape[1] - 1), min(threads, len(calls))
    table: int = calls.__array_interface__["data"][0]  # ten times faster than calls.ctypes
    if team_size <= 1:
        caller.calls(table, 0, 1, len(calls))
        return
    openmp = _openmp() if os.getpid() == IMPORTING_PROCESS else None
    if openmp is None:
        pool = _pool(os.getpid())
        futures = [pool.submit(caller.calls, table, k, team_size, len(calls)) for k in range(1, team_size)]
        caller.calls(table, 0, team_size, len(calls))
        wait(futures)
        return
    data = array("q", (openmp.thread_num, openmp.num_threads, table, len(calls)))
    openmp.parallel(caller.parallel_region, data.buffer_info()[0], team_size, 0)


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """Machine code that calls functions of a fixed number of arguments.

    Attributes:
        calls: makes the calls of one thread: (table, first call, step, number of calls in the table).
        parallel_region: address of the function that each thread of an OpenMP team runs: it makes the calls of its thread number.
    """

    calls: Callable[[int, int, int, int], None]
    parallel_region: int


@cache
def _caller(arguments: int) -> _Caller:
    text = _text(arguments)
    prototype: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    return _Caller(
        calls=prototype(jit.address(text, lambda: text, "calls")),
        parallel_region=jit.address(text, lambda: text, "member"),
    )


def _text(arguments: int) -> str:
    """Return the LLVM code of :class:`_Caller`."""
    indices = range(1, arguments + 1)
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
            *(f"%p{k} = getelementptr i64, ptr %call, i64 {k}" for k in indices),
            *(f"%a{k} = load i64, ptr %p{k}" for k in indices),
            f"call void %function({', '.join(f'i64 %a{k}' for k in indices)})",
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
    """Functions of the OpenMP runtime.

    Attributes:
        thread_num: address of ``omp_get_thread_num``.
        num_threads: address of ``omp_get_num_threads``.
        parallel: ``GOMP_parallel``, which runs a function in each thread of a team.
    """

    thread_num: int
    num_threads: int
    parallel: Callable[[int, int, int, int], None]


@cache
def _openmp() -> _OpenMP | None:
    """Return the OpenMP runtime that torch itself uses, looked up through torch's library: other packages may bring their own."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        thread_num, num_threads, parallel = (
            ctypes.cast(library[name], ctypes.c_void_p).value
            for name in ("omp_get_thread_num", "omp_get_num_threads", "GOMP_parallel")
        )
    except (OSError, AttributeError):
        return None
    prototype: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    return _OpenMP(thread_num=thread_num or 0, num_threads=num_threads or 0, parallel=prototype(parallel))


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 part of the cache key: a forked child needs its own threads
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="actlab-kernel")
