"""Launch of a compiled CPU kernel on tensors, with packed parameters and one range per thread."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from actlab.codegen.cpu import threads
from actlab.codegen.cpu.dtypes import Reach
from actlab.codegen.cpu.ir_builder import Precision

__all__ = ["SHARE", "Launch", "NativeFunction", "Shape", "Stream", "packed_parameters", "pitch"]

Frame: TypeAlias = "array[int]"  # the integers that a kernel takes
SHARE = 2**15  # numbers per thread from which another thread is worth waking; torch's grain size is the same
PARAMETERS, SUMS = -3, -2  # columns of the addresses of parameters and sums in a table of calls
STEP = 64  # rows are divided at multiples of as many numbers, so that vectors and cache lines are not split


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rows of numbers, and how parameters vary over them.

    Attributes:
        rows: number of rows.
        size: numbers of the output per row.
        repeat: consecutive rows that share parameters.
        channels: number of different sets of parameters.
        columns: whether parameters vary along a row instead of from row to row.
        spread: if so, consecutive numbers of a row that share parameters.
    """

    rows: int
    size: int
    repeat: int = 1
    channels: int = 1
    columns: bool = False
    spread: int = 1


def pitch(shape: Shape) -> int:
    """Return the elements from parameter to parameter where they vary along a row: a multiple of the vector size."""
    return -(-shape.size // 64) * 64


def packed_parameters(shape: Shape, parameters: Sequence[Tensor], precision: str) -> Tensor:
    """Return the parameters as the kernel reads them: one row per channel, or one row per parameter if they vary along a row."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    if shape.channels == 1 and not shape.columns:  # one number each: item() costs half of torch.stack
        return torch.tensor([[p.item() for p in parameters]], dtype=dtype)
    width = shape.size // max(1, shape.spread) if shape.columns else shape.channels
    rows = torch.stack([p.detach().to(dtype).reshape(-1).expand(width) for p in parameters])
    if not shape.columns:
        return rows.T.contiguous()
    padded = torch.ones(len(parameters), pitch(shape), dtype=dtype)
    padded[:, : shape.size] = rows.repeat_interleave(shape.spread, dim=1)
    return padded


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Strided numbers in memory that are read or written in order.

    Attributes:
        tensor: index of the tensor.
        offset: bytes before the first number.
        row: bytes from row to row.
        number: bytes from number to number.
    """

    tensor: int = 0
    offset: int = 0
    row: int
    number: int


@dataclass(frozen=True, kw_only=True)
class NativeFunction:
    """A compiled kernel.

    Attributes:
        address: address of the function, for calls from compiled code.
        call: the function for Python: takes pointers to the streams, parameters, sums and the frame.
    """

    address: int
    call: Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A pass of a kernel over tensors of one shape and dtype.

    Attributes:
        shape: rows and parameters.
        output: shape of the output.
        precision: precision of the parameters.
        streams: streams that are read, then streams that are written.
        written: number of streams that are written.
        reach: how memory is accessed; "past" is used if all written rows start at cache lines, else "memory".
        function: returns the compiled kernel for a reach.
    """

    shape: Shape
    output: torch.Size
    precision: Precision
    streams: tuple[Stream, ...]
    written: int
    reach: Reach
    function: Callable[[Reach], NativeFunction]

    @cached_property
    def _regular(self) -> NativeFunction:
        return self.function("cache" if self.reach == "cache" else "memory")

    @cached_property
    def _streaming(self) -> NativeFunction:
        return self.function("past")

    @cached_property
    def _one_stream_each(self) -> bool:
        """Whether each tensor is one stream, without an offset."""
        return all(stream.offset == 0 and stream.tensor == i for i, stream in enumerate(self.streams))

    @cached_property
    def _row_strides(self) -> tuple[int, ...]:
        return tuple(stream.row for stream in self.streams)

    @cached_property
    def _count(self) -> int:
        return self.shape.rows * self.shape.size

    @cached_property
    def _full_frame(self) -> Frame:
        return self._frame(0, self.shape.rows, self.shape.size)

    def _frame(self, first: int, last: int, size: int) -> Frame:
        """Return the integer arguments for the rows from ``first`` to ``last``, of ``size`` numbers each."""
        shape = self.shape
        parameter_pitch = pitch(shape) if shape.columns else 0
        return array("q", [*self._row_strides, first, last, size, shape.repeat, shape.channels, parameter_pitch])

    def run(self, tensors: Sequence[Tensor], parameters: Tensor | None, sums: Tensor | None) -> None:
        """Run the kernel, and add its sums to ``sums`` in a fixed order.

        Args:
            tensors: tensors that are read, then tensors that are written.
            parameters: the result of :func:`packed_parameters`; None without parameters.
            sums: float64 tensor to which the gradients of learned parameters are added; None without them.
        """
        count = self._count
        if not count:
            return
        starts = [tensor.data_ptr() for tensor in tensors]
        if not self._one_stream_each:
            starts = [starts[stream.tensor] + stream.offset for stream in self.streams]
        function = self._streaming if self.reach == "past" and self._is_aligned(starts) else self._regular
        team_size = min(torch.get_num_threads(), count // SHARE) if count >= 2 * SHARE else 1
        if team_size > 1:
            self._run_in_threads(function, starts, parameters, sums, team_size)
        else:
            _call(function, starts, parameters, sums, self._full_frame)

    def _is_aligned(self, starts: Sequence[int]) -> bool:
        """Whether every row that is written starts at a multiple of 64 bytes."""
        first = len(starts) - self.written
        return all(start % 64 == 0 for start in starts[first:]) and (
            self.shape.rows == 1 or all(row % 64 == 0 for row in self._row_strides[first:])
        )

    def _run_in_threads(
        self,
        function: NativeFunction,
        starts: list[int],
        parameters: Tensor | None,
        sums: Tensor | None,
        team_size: int,
    ) -> None:
        if team_size not in self._call_tables:
            self._call_tables[team_size] = self._call_table(team_size)
        calls = self._call_tables[team_size].copy()
        calls[:, 0] = function.address
        calls[:, 1 : 1 + len(starts)] += starts
        if parameters is not None:
            calls[:, PARAMETERS] = parameters.data_ptr()
        if sums is None:
            threads.run(calls, team_size)
            return
        partial_sums = [torch.zeros_like(sums) for _ in calls]
        calls[:, SUMS] = [partial.data_ptr() for partial in partial_sums]
        threads.run(calls, team_size)
        for partial in partial_sums:
            sums += partial

    @cached_property
    def _call_tables(self) -> dict[int, threads.Calls]:
        return {}

    @cached_property
    def _frames(self) -> list[Frame]:
        return []  # keeps the frames alive that tables of calls point to

    def _call_table(self, team_size: int) -> threads.Calls:
        """Return one call per thread, with offsets in the columns to which the addresses of tensors are added."""
        shape = self.shape
        divides_rows = shape.rows < team_size and not shape.columns
        ranges = _ranges(shape.size, team_size, STEP) if divides_rows else _ranges(shape.rows, team_size, 1)
        frames = [
            self._frame(0, shape.rows, b - a) if divides_rows else self._frame(a, b, shape.size) for a, b in ranges
        ]
        self._frames.extend(frames)
        calls = np.zeros((len(ranges), len(self.streams) + 4), dtype=np.int64)
        if divides_rows:
            strides = [stream.number for stream in self.streams]
            calls[:, 1:PARAMETERS] = np.outer([first for first, _ in ranges], strides)
        calls[:, -1] = [frame.buffer_info()[0] for frame in frames]
        return calls


def _call(
    function: NativeFunction,
    starts: Sequence[int],
    parameters: Tensor | None,
    sums: Tensor | None,
    frame: Frame,
) -> None:
    """Call the kernel; ctypes releases the global interpreter lock meanwhile."""
    parameters_at = 0 if parameters is None else parameters.data_ptr()
    sums_at = 0 if sums is None else sums.data_ptr()
    function.call(*starts, parameters_at, sums_at, frame.buffer_info()[0])


def _ranges(size: int, count: int, step: int) -> list[tuple[int, int]]:
    """Return at most ``count`` ranges that cover ``size`` and start at multiples of ``step``."""
    length = -(-size // (count * step)) * step
    return [(start, min(size, start + length)) for start in range(0, size, length)]
