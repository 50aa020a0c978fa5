"""Threads of this process as the kernel counts them, and libraries for linear algebra that start none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["blas_on_one_thread", "count"]

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
