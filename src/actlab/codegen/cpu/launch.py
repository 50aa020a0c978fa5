"""Plans: how a kernel goes over tensors in memory, and in how many threads: as many as torch has, and its own."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from actlab.codegen.cpu import threads as team
from actlab.codegen.cpu.dtypes import Reach
from actlab.codegen.cpu.ir_builder import Precision

__all__ = ["SHARE", "Launch", "Native", "Shape", "Stream", "packed_parameters", "pitch"]

Frame: TypeAlias = "array[int]"  # the whole numbers that a kernel takes
SHARE = 2**15  # numbers per thread for which waking one is worth it; torch takes as many
AT, INTO = -3, -2  # places in a call of the parameters' address and of the sums'
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
    if (
        shape.channels == 1 and not shape.columns
    ):  # a number each: read one by one they cost half of what a stack of them costs
        return torch.tensor([[p.item() for p in parameters]], dtype=dtype)
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
class Native:
    """A compiled kernel.

    Attributes:
        address: in memory, for callers that are machine code themselves.
        call: the same for Python: pointers to tensors, parameters, sums and the frame.
    """

    address: int
    call: Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A pass over tensors of one shape and dtype.

    Attributes:
        shape: rows and parameters.
        output: shape of the function's value.
        precision: of the parameters.
        streams: what is read, then what is written.
        written: how many of the streams are written.
        reach: where the numbers are; "past" is taken where what is written begins at whole lines of memory, else "memory".
        function: gives the compiled kernel of a reach.
    """

    shape: Shape
    output: torch.Size
    precision: Precision
    streams: tuple[Stream, ...]
    written: int
    reach: Reach
    function: Callable[[Reach], Native]

    @cached_property
    def _usual(self) -> Native:
        return self.function("cache" if self.reach == "cache" else "memory")

    @cached_property
    def _past(self) -> Native:
        return self.function("past")

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
        function = self._past if self.reach == "past" and self._aligned(starts) else self._usual
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
        function: Native,
        starts: list[int],
        numbers: Tensor | None,
        sums: Tensor | None,
        threads: int,
    ) -> None:
        if threads not in self._shares:
            self._shares[threads] = self._divided(threads)
        calls = self._shares[threads].copy()
        calls[:, 0] = function.address
        calls[:, 1 : 1 + len(starts)] += starts
        if numbers is not None:
            calls[:, AT] = numbers.data_ptr()
        if sums is None:
            team.run(calls, threads)
            return
        own = [torch.zeros_like(sums) for _ in calls]
        calls[:, INTO] = [part.data_ptr() for part in own]
        team.run(calls, threads)
        for part in own:
            sums += part

    @cached_property
    def _shares(self) -> dict[int, team.Calls]:
        return {}

    @cached_property
    def _frames(self) -> list[Frame]:
        return []  # which calls point to

    def _divided(self, threads: int) -> team.Calls:
        """Return the calls of so many threads, with offsets where the addresses of tensors will be."""
        shape = self.shape
        along = shape.rows < threads and not shape.columns
        cuts = _cuts(shape.size, threads, STEP) if along else _cuts(shape.rows, threads, 1)
        frames = [self._frame(0, shape.rows, b - a) if along else self._frame(a, b, shape.size) for a, b in cuts]
        self._frames.extend(frames)
        calls = np.zeros((len(cuts), len(self.streams) + 4), dtype=np.int64)
        if along:
            calls[:, 1:AT] = np.outer([first for first, _ in cuts], [stream.number for stream in self.streams])
        calls[:, -1] = [frame.buffer_info()[0] for frame in frames]
        return calls


def _call(
    function: Native,
    starts: Sequence[int],
    numbers: Tensor | None,
    sums: Tensor | None,
    frame: Frame,
) -> None:
    """Call the kernel; it releases the interpreter's lock."""
    at = 0 if numbers is None else numbers.data_ptr()
    into = 0 if sums is None else sums.data_ptr()
    function.call(*starts, at, into, frame.buffer_info()[0])


def _cuts(size: int, count: int, step: int) -> list[tuple[int, int]]:
    """Return ``count`` ranges or fewer that cover ``size`` and begin at multiples of ``step``."""
    length = -(-size // (count * step)) * step
    return [(start, min(size, start + length)) for start in range(0, size, length)]
