"""Threads of this process as the kernel counts them, their end before a fork, and BLAS without any."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["blas_on_one_thread", "count", "count_after_pools", "end_openmp_pools"]

_PAUSE_HARD = 2  # omp_pause_hard of OpenMP 5.0
_OPENBLAS = "OPENBLAS_NUM_THREADS"  # read when the library is loaded, of which NumPy and SciPy have one each


def count(folder: str = "/proc/self/task") -> int | None:
    """Return the number of threads of this process, also of those that Python does not know; None where it cannot be read.

    Args:
        folder: where the kernel lists them.

    Example:
        >>> count("/nowhere") is None
        True
    """
    try:
        return sum(1 for _ in Path(folder).iterdir())
    except OSError:
        return None


def end_openmp_pools(maps: str = "/proc/self/maps") -> None:
    """End the idle threads that GNU OpenMP keeps for this thread's parallel loops; the next loop starts them again.

    A fork has none of them, and would wait for them without end in its first loop. There may be several copies of the library: torch
    and scikit-learn have one each.

    Args:
        maps: where the kernel lists the libraries that are loaded.
    """
    try:
        lines = Path(maps).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for library in {line.split(maxsplit=5)[-1] for line in lines if "/libgomp" in line}:
        with suppress(OSError, AttributeError):  # deleted since; older than GCC 9
            ctypes.CDLL(library).omp_pause_resource_all(_PAUSE_HARD)


def count_after_pools() -> int | None:
    """Return the number of threads of this process after the pools of OpenMP and of libraries for linear algebra have ended theirs.

    Threads of OpenBLAS end in its handler of forks, so that a child is forked that does nothing; the next product starts them again.
    Threads that are left may hold locks, which no fork could ever take again: those of Python, and one that the first call of
    ``torch.set_num_threads`` with more than one starts for good.
    """
    number = count()
    if number is None or number == 1:
        return number
    end_openmp_pools()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about threads; the child uses no lock
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return count()


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Have NumPy and SciPy start no threads for linear algebra when they are first imported inside the block.

    A process without other threads can be forked safely. A number that the user has set is left alone, and programs that are started
    after the block do not see it.
    """
    is_chosen = _OPENBLAS in os.environ or "OMP_NUM_THREADS" in os.environ
    if not is_chosen:
        os.environ[_OPENBLAS] = "1"
    try:
        yield
    finally:
        if not is_chosen:
            os.environ.pop(_OPENBLAS, None)
