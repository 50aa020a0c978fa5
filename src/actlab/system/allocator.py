"""Tune glibc's memory allocator to keep the memory of freed tensors.

By default glibc maps every block above 32 MB anew and unmaps it when it is freed. Each operation on a large tensor then pays for new pages,
four to five times the arithmetic of an elementwise training step. Nothing here runs at import.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["tune_allocator"]

# Parameters of mallopt(3), from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
# The largest size_t. With 2^31 - 1 a heap whose top exceeds 2 GB would still be trimmed, and every large tensor mapped anew.
_NEVER_TRIM = -1
_TOP_PAD_BYTES = 64 * 2**20


def tune_allocator() -> bool:
    """Keep freed memory in this process: no block gets a mapping of its own, and the heap is not trimmed.

    The cost is memory: the peak of a trial stays with the process (measured +25 to +75 %). Meant for worker processes; it cannot be undone.

    Returns:
        Whether anything was changed: False off Linux, and with C libraries other than glibc.

    Example:
        >>> tune_allocator() in (True, False)  # doctest: +SKIP
        True
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, _NEVER_TRIM), mallopt(_TOP_PAD, _TOP_PAD_BYTES)])
