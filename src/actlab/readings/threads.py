"""Threads: a pass over memory shared out over as many threads as torch has, which sleep when there is nothing to do.

OpenMP's threads spin while they wait, which on a shared machine costs far more than the work (measured 65 times); these wait for a lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["SHARE", "shared_out"]

SHARE = 2**16  # numbers for which waking a thread (30 us) is worth it
STEP = 64  # numbers at whose multiples a row is cut, so that vectors and lines of the cache stay whole
Place = tuple[int, int, int]


class Shape(Protocol):
    """What is known of a pass: see the CPU reading."""

    @property
    def rows(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def repeat(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def columns(self) -> bool: ...


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 a forked child has no threads of its parent's: it gets its own pool
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="actlab-kernel")


def shared_out(
    function: Callable[..., None], places: Sequence[Place], numbers: Tensor | None, sums: Tensor | None, shape: Shape
) -> None:
    """Run a kernel over all rows, and add its sums to ``sums`` in a fixed order.

    Args:
        function: the compiled kernel; it releases the interpreter's lock.
        places: address, bytes from row to row and bytes from number to number of each stream.
        numbers: the parameters.
        sums: what learned parameters' gradients are added to.
        shape: rows, numbers per row, channels.
    """
    if not shape.rows or not shape.size:
        return
    count = min(torch.get_num_threads(), shape.rows * shape.size // SHARE) if shape.rows * shape.size > SHARE else 1
    if count <= 1:
        _call(function, places, numbers, sums, shape, (0, shape.rows), (0, shape.size))
        return
    along = shape.rows < count and not shape.columns
    cuts = _cuts(shape.size, count, STEP) if along else _cuts(shape.rows, count, 1)
    own = [sums if sums is None or not i else torch.zeros_like(sums) for i in range(len(cuts))]
    parts = [((0, shape.rows), cut) if along else (cut, (0, shape.size)) for cut in cuts]
    waiting = [
        _pool(os.getpid()).submit(_call, function, places, numbers, own[i], shape, *part)
        for i, part in enumerate(parts)
        if i
    ]
    _call(function, places, numbers, own[0], shape, *parts[0])
    for i, future in enumerate(waiting, start=1):
        future.result()
        if sums is not None:
            sums += own[i]


def _cuts(size: int, count: int, step: int) -> list[tuple[int, int]]:
    """Return ``count`` ranges or fewer that cover ``size`` and begin at multiples of ``step``."""
    length = -(-size // (count * step)) * step
    return [(start, min(size, start + length)) for start in range(0, size, length)]


def _call(
    function: Callable[..., None],
    places: Sequence[Place],
    numbers: Tensor | None,
    sums: Tensor | None,
    shape: Shape,
    rows: tuple[int, int],
    along: tuple[int, int],
) -> None:
    starts = [start + along[0] * size for start, _, size in places] if along[0] else [place[0] for place in places]
    function(
        *starts,
        *(row for _, row, _ in places),
        numbers.data_ptr() if numbers is not None else 0,
        sums.data_ptr() if sums is not None else 0,
        *rows,
        along[1] - along[0],
        shape.repeat,
        shape.channels,
        numbers.shape[1] if numbers is not None else 0,
    )
