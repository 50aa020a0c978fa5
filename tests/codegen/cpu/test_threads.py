"""Calls of compiled functions in torch's OpenMP threads or in a Python thread pool."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from actlab.codegen.cpu import threads as pool

KIND = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)


@pytest.fixture(params=["openmp", "python"])
def threads_of(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(pool, "_openmp", lambda: None)
    elif pool._openmp() is None:
        pytest.skip("this torch brings no OpenMP that can be called")
    return request.param


def table(function, rows):
    address = ctypes.cast(function, ctypes.c_void_p).value
    return np.array([[address, a, b] for a, b in rows], dtype=np.int64)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_call_is_made_once_with_its_own_arguments(threads_of, threads, count):
    seen = []
    function = KIND(lambda a, b: seen.append((a, b)))
    rows = [(k, -k * 2**40) for k in range(count)]

    pool.run(table(function, rows), threads)

    assert sorted(seen) == sorted(rows)


def test_nothing_to_do_is_done():
    pool.run(np.empty((0, 3), dtype=np.int64), 2)


def test_calls_run_side_by_side_in_as_many_threads_as_are_asked_for(threads_of):
    both, met = threading.Barrier(2, timeout=10), []

    @KIND
    def meet(_, __):
        both.wait()
        met.append(threading.get_ident())

    pool.run(table(meet, [(0, 0), (1, 1)]), 2)

    assert len(set(met)) == 2
    assert threading.get_ident() in met


def test_with_one_thread_all_calls_are_the_callers_own(threads_of):
    met = []
    function = KIND(lambda *_: met.append(threading.get_ident()))

    pool.run(table(function, [(k, k) for k in range(5)]), 1)

    assert set(met) == {threading.get_ident()}


def test_the_lock_is_released(threads_of):
    """Compiled code that sleeps for half a second does not block other Python threads."""
    sleep = ctypes.CDLL(None).usleep
    beats = []
    beating = threading.Thread(target=lambda: [beats.append(time.sleep(0.01)) for _ in range(20)])
    beating.start()
    pool.run(table(sleep, [(400_000, 0), (400_000, 0)]), 2)

    assert len(beats) >= 15
    beating.join()


def test_a_forked_child_has_threads_of_its_own():
    code = (
        "import os, sys, torch\n"
        "from actlab.functions.grammar import parse\n"
        "from actlab.codegen.cpu.kernel import kernel\n"
        "torch.set_num_threads(2)\n"
        "x = torch.randn(2**18)\n"
        "want = kernel(parse('mish')).forward(x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    result = kernel(parse('mish')).forward(x)\n"
        "    os._exit(0 if (result.numpy() == want.numpy()).all() else 1)  # torch's own threads hang here\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
