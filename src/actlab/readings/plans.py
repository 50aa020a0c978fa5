"""Plans: how a kernel goes over tensors in memory, and in how many threads.

The threads are as many as torch has, and sleep when there is nothing to do: OpenMP's spin while they wait, which on a shared machine
costs far more than the work (measured 65 times).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from actlab.readings.machine import Precision

__all__ = ["SHARE", "Plan", "Shape", "Stream", "packed_parameters", "pitch", "pool"]

Frame: TypeAlias = "array[int]"  # the whole numbers that a kernel takes
SHARE = 2**16  # numbers per thread for which waking one (30 us) is worth it
STEP = 64  # numbers at whose multiples a row is cut, so that vectors and lines of the cache stay whole


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rows of numbers, and which parameters belong to a row.

    Attributes:
        rows: how many.
        size: numbers of the output in a row.
        repeat: rows in a row that share parameters.
        channels: different sets of parameters.
        columns: parameters vary along the row instead.
        spread: numbers along the row that share parameters, where they vary.
    """

    rows: int
    size: int
    repeat: int = 1
    channels: int = 1
    columns: bool = False
    spread: int = 1


def pitch(shape: Shape) -> int:
    """Return the places from parameter to parameter where they vary along a row: a whole number of vectors."""
    return -(-shape.size // 64) * 64


def packed_parameters(shape: Shape, parameters: Sequence[Tensor], precision: str) -> Tensor:
    """Return the parameters as the kernel reads them: a set for each channel, or a row for each parameter."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    width = shape.size // max(1, shape.spread) if shape.columns else shape.channels
    rows = torch.stack([p.detach().to(dtype).reshape(-1).expand(width) for p in parameters])
    if not shape.columns:
        return rows.T.contiguous()
    room = torch.ones(len(parameters), pitch(shape), dtype=dtype)
    room[:, : shape.size] = rows.repeat_interleave(shape.spread, dim=1)
    return room


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Numbers in memory that are read or written in order.

    Attributes:
        tensor: which of the tensors they are in.
        offset: bytes before the first.
        row: bytes from row to row.
        number: bytes from number to number.
    """

    tensor: int = 0
    offset: int = 0
    row: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A pass over tensors of one shape and dtype.

    Attributes:
        shape: rows and parameters.
        output: shape of the function's value.
        precision: of the parameters.
        streams: what is read, then what is written.
        written: how many of the streams are written.
        large: whether the cache cannot hold the tensors.
        function: gives the compiled kernel, or the one that goes past the cache.
    """

    shape: Shape
    output: torch.Size
    precision: Precision
    streams: tuple[Stream, ...]
    written: int
    large: bool
    function: Callable[[bool], Callable[..., None]]

    @cached_property
    def _plain(self) -> Callable[..., None]:
        return self.function(False)

    @cached_property
    def _past_the_cache(self) -> Callable[..., None]:
        return self.function(True)

    @cached_property
    def _in_order(self) -> bool:
        """Whether each tensor is one stream from its beginning."""
        return all(stream.offset == 0 and stream.tensor == i for i, stream in enumerate(self.streams))

    @cached_property
    def _rows(self) -> tuple[int, ...]:
        return tuple(stream.row for stream in self.streams)

    @cached_property
    def _count(self) -> int:
        return self.shape.rows * self.shape.size

    @cached_property
    def _whole(self) -> Frame:
        return self._frame(0, self.shape.rows, self.shape.size)

    def _frame(self, first: int, last: int, size: int) -> Frame:
        """Return what the kernel is told of some rows, or of some numbers of them."""
        shape = self.shape
        place = pitch(shape) if shape.columns else 0
        return array("q", [*self._rows, first, last, size, shape.repeat, shape.channels, place])

    def run(self, tensors: Sequence[Tensor], numbers: Tensor | None, sums: Tensor | None) -> None:
        """Run the kernel, and add its sums to ``sums`` in a fixed order.

        Args:
            tensors: those that are read, then those that are written.
            numbers: the parameters.
            sums: what the gradients of learned parameters are added to.
        """
        count = self._count
        if not count:
            return
        starts = [tensor.data_ptr() for tensor in tensors]
        if not self._in_order:
            starts = [starts[stream.tensor] + stream.offset for stream in self.streams]
        function = self._past_the_cache if self.large and self._aligned(starts) else self._plain
        threads = min(torch.get_num_threads(), count // SHARE) if count >= 2 * SHARE else 1
        if threads > 1:
            self._share_out(function, starts, numbers, sums, threads)
        else:
            _call(function, starts, numbers, sums, self._whole)

    def _aligned(self, starts: Sequence[int]) -> bool:
        """Tell whether every row that is written starts at a multiple of 64 bytes."""
        first = len(starts) - self.written
        return all(start % 64 == 0 for start in starts[first:]) and (
            self.shape.rows == 1 or all(row % 64 == 0 for row in self._rows[first:])
        )

    def _share_out(
        self,
        function: Callable[..., None],
        starts: list[int],
        numbers: Tensor | None,
        sums: Tensor | None,
        threads: int,
    ) -> None:
        shape = self.shape
        along = shape.rows < threads and not shape.columns
        cuts = _cuts(shape.size, threads, STEP) if along else _cuts(shape.rows, threads, 1)
        waiting = []
        for first, last in cuts[1:]:
            own = None if sums is None else torch.zeros_like(sums)
            begin = [start + first * s.number for start, s in zip(starts, self.streams, strict=True)]
            part = (begin, numbers, own, self._frame(0, shape.rows, last - first))
            if not along:
                part = (starts, numbers, own, self._frame(first, last, shape.size))
            waiting.append((pool().submit(_call, function, *part), own))
        first, last = cuts[0]
        frame = self._frame(0, shape.rows, last) if along else self._frame(first, last, shape.size)
        _call(function, starts, numbers, sums, frame)
        for future, own in waiting:
            future.result()
            if sums is not None and own is not None:
                sums += own


def _call(
    function: Callable[..., None],
    starts: Sequence[int],
    numbers: Tensor | None,
    sums: Tensor | None,
    frame: Frame,
) -> None:
    """Call the kernel; it releases the interpreter's lock."""
    at = 0 if numbers is None else numbers.data_ptr()
    into = 0 if sums is None else sums.data_ptr()
    function(*starts, at, into, frame.buffer_info()[0])


@cache
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 a forked child has none of its parent's threads: it gets its own
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="actlab-kernel")


def pool() -> ThreadPoolExecutor:
    """Return this process's threads, which sleep until they are given something."""
    return _pool(os.getpid())


def _cuts(size: int, count: int, step: int) -> list[tuple[int, int]]:
    """Return ``count`` ranges or fewer that cover ``size`` and begin at multiples of ``step``."""
    length = -(-size // (count * step)) * step
    return [(start, min(size, start + length)) for start in range(0, size, length)]
