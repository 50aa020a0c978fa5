"""The allocator: keeps glibc from giving large tensors back to the kernel after every operation.

As shipped, glibc maps each block above 32 MB anew and unmaps it when it is freed; every operation on a large tensor then pays
for fresh pages, four to five times the arithmetic of an elementwise training step. Nothing here runs at import.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["tune_allocator"]

# Parameters of mallopt(3), from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = (
    -1
)  # the largest size_t; 2^31 - 1 would have a heap trimmed whose top is over 2 GB, and every large tensor mapped anew
_TOP_UP = 64 * 2**20


def tune_allocator() -> bool:
    """Keep freed memory in this process: no block is mapped on its own, and the heap is not trimmed.

    The price is memory: what a trial needed at its peak stays with the process (measured +25 to +75 %). It is meant for
    worker processes, and there is no way back.

    Returns:
        Whether anything was changed: False off Linux and on other C libraries than glibc.

    Example:
        >>> tune_allocator() in (True, False)  # doctest: +SKIP
        True
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, _NEVER), mallopt(_TOP_PAD, _TOP_UP)])
