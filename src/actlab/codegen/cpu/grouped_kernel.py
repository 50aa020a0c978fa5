"""CPU kernel that applies a different activation to each slice of a dimension, in one compiled call.

Sixteen torch calls on sixteen slices, and stacking their results, cost six times as much as one function on the whole tensor, mostly for
calls from Python. Here Python writes a table of calls, and compiled code makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np
import torch
from torch import Tensor

from actlab.codegen.cpu import threads
from actlab.codegen.cpu.dtypes import BYTES, STORAGES, precision_of
from actlab.codegen.cpu.kernel import kernel
from actlab.codegen.cpu.launch import SHARE
from actlab.codegen.cpu.source import Pass
from actlab.functions.activation import Learned
from actlab.functions.spec import Spec

__all__ = ["GroupedKernel"]

SHORT = 32  # width of a slice below which the rows of each function are gathered
DOUBLE = 8  # bytes
STREAMS: dict[Pass, int] = {"forward": 2, "backward": 3}  # x, y; dy, x, dx


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Memory layout: each row holds one slice per function; short slices are gathered, so that each function has one contiguous block.

    Attributes:
        rows: number of rows.
        sizes: units in the slice of each function.
        width: numbers per unit.
    """

    rows: int
    sizes: tuple[int, ...]
    width: int

    @property
    def is_gathered(self) -> bool:
        """Whether each function has one contiguous block: a call for every short row would cost more than two copies."""
        return self.rows > 1 and self.width < SHORT and max(self.sizes) == 1

    @property
    def starts(self) -> list[int]:
        """Numbers from the start of the data to that of each function."""
        step = self.rows * self.width if self.is_gathered else self.width
        return [step * before for before in accumulate((0, *self.sizes[:-1]))]

    @property
    def pitch(self) -> int:
        """Numbers from row to row of a function."""
        return 0 if self.is_gathered else sum(self.sizes) * self.width

    @property
    def kernel_rows(self) -> int:
        """Rows in a function's call."""
        return 1 if self.is_gathered else self.rows

    def kernel_width(self, function: int) -> int:
        """Return the numbers in each of these rows."""
        return self.rows * self.width if self.is_gathered else self.sizes[function] * self.width

    def gather(self, x: Tensor) -> Tensor:
        """Return the tensor in this layout."""
        return x.view(self.rows, len(self.sizes), self.width).transpose(0, 1).contiguous() if self.is_gathered else x

    def scatter(self, blocks: Tensor) -> Tensor:
        """Return a tensor of this layout in the original one, contiguous."""
        return blocks.transpose(0, 1).contiguous() if self.is_gathered else blocks


class GroupedKernel:
    """Forward and backward pass of several elementwise functions, each on a slice of a dimension.

    Args:
        specs: one per slice; parameters are numbers, or learned ones of one number each.
        dim: the dimension that is sliced.
        sizes: of the slices in proportion; by default they are equal.
    """

    def __init__(self, specs: Sequence[Spec], dim: int, sizes: Sequence[int] = ()) -> None:
        self.specs, self.dim = tuple(specs), dim
        self._sizes = tuple(sizes) if len(set(sizes)) > 1 else (1,) * len(self.specs)
        self._kernels = [kernel(spec) for spec in specs]
        self._counts = [sum(isinstance(value, Learned) for _, value in spec.assigned) for spec in specs]
        self._layouts: dict[torch.Size, _Layout] = {}
        self._tables: dict[tuple[Pass, int, int, torch.dtype], threads.Calls] = {}

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the values, in the shape and dtype of ``x``.

        Args:
            x: contiguous tensor whose dimension ``dim`` is divisible by the number of functions, or the sum of the sizes.
            parameters: the learned ones of all functions, in order, each of one number.
        """
        layout = self._layout(x)
        blocks = layout.gather(x)
        y = torch.empty_like(blocks)
        self._run("forward", layout, (blocks, y), parameters, None)
        return layout.scatter(y).view(x.shape)

    def backward(self, grad: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of the input and of every learned parameter; ``grad`` is contiguous, of the shape and dtype of ``x``."""
        layout = self._layout(x)
        blocks = layout.gather(x)
        dx = torch.empty_like(blocks)
        sums = torch.zeros(sum(self._counts), dtype=torch.float64) if parameters else None
        self._run("backward", layout, (layout.gather(grad), blocks, dx), parameters, sums)
        if sums is None:
            return (layout.scatter(dx).view(x.shape),)
        gradients = [total.to(p.dtype).reshape(p.shape) for total, p in zip(sums, parameters, strict=True)]
        return (layout.scatter(dx).view(x.shape), *gradients)

    def keeps_output(self, dtype: torch.dtype) -> bool:  # noqa: ARG002 part of the protocol of kernels
        """Whether the backward pass uses the output instead of the input: never."""
        return False

    def _layout(self, x: Tensor) -> _Layout:
        layout = self._layouts.get(x.shape)
        if layout is None:
            rows = prod(x.shape[: self.dim % x.dim()])
            width = x.numel() // max(1, rows * sum(self._sizes))
            layout = self._layouts[x.shape] = _Layout(rows=rows, sizes=self._sizes, width=width)
        return layout

    def _run(
        self,
        which: Pass,
        layout: _Layout,
        tensors: Sequence[Tensor],
        parameters: Sequence[Tensor],
        sums: Tensor | None,
    ) -> None:
        dtype, count = tensors[0].dtype, tensors[0].numel()
        if not count:
            return
        key = (which, layout.rows, layout.width, dtype)
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = self._call_table(which, layout, dtype)
        calls, streams = table.copy(), STREAMS[which]
        calls[:, 1 : 1 + streams] += [tensor.data_ptr() for tensor in tensors]
        packed = _pack(parameters, dtype) if parameters else None
        if packed is not None:
            calls[:, 1 + 2 * streams] += packed.data_ptr()
        if sums is not None:
            calls[:, 2 + 2 * streams] += sums.data_ptr()
        # A thread runs whole functions, so each sum has one writer.
        threads.run(calls, min(torch.get_num_threads(), count // SHARE))

    def _call_table(self, which: Pass, layout: _Layout, dtype: torch.dtype) -> threads.Calls:
        """Return one row per call: the function, offsets of its pointers, bytes from row to row, and its integers."""
        size, streams = BYTES[STORAGES[dtype]], STREAMS[which]
        parameter_size = BYTES[precision_of(STORAGES[dtype])]
        first_parameter = np.cumsum([0, *self._counts])
        calls = [
            [
                kernel_.address(which, dtype),
                *[layout.starts[i] * size] * streams,
                *[layout.pitch * size] * streams,
                int(first_parameter[i]) * parameter_size,
                int(first_parameter[i]) * DOUBLE,
                *(0, layout.kernel_rows, layout.kernel_width(i), layout.kernel_rows, 1, 0),
            ]
            for i, kernel_ in enumerate(self._kernels)
        ]
        return np.array(calls, dtype=np.int64)


def _pack(parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the parameters in one tensor, in the precision of the computation."""
    precision = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.cat([p.detach().reshape(1).to(precision) for p in parameters])
