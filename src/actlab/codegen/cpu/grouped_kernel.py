"""The mixture: many functions over slices of one tensor, in one call of machine code.

Sixteen calls of torch on sixteen slices, and the stack of their results, cost six times what one function costs on the whole tensor; most
of that is the way from Python to the kernel and back. Here a table of calls is written, and machine code works it off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from actlab.codegen.cpu import threads
from actlab.codegen.cpu.dtypes import BYTES, precision_of
from actlab.codegen.cpu.kernel import STORAGES, kernel
from actlab.codegen.cpu.launch import SHARE
from actlab.codegen.cpu.source import Pass
from actlab.functions.activation import Learned
from actlab.functions.spec import Spec

__all__ = ["GroupedKernel"]

SHORT = 64  # numbers of a piece below which pieces are put together
DOUBLE = 8  # bytes
STREAMS: dict[Pass, int] = {"forward": 2, "backward": 3}  # x, y; dy, x, dx


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How the numbers lie: rows of a piece for each function; where the pieces are short, each function's own are put together.

    Attributes:
        rows: how many rows.
        functions: how many pieces in a row.
        width: numbers of a piece.
    """

    rows: int
    functions: int
    width: int

    @property
    def together(self) -> bool:
        """Whether each function's numbers are put in one piece: a call for every short row costs more than two copies."""
        return self.rows > 1 and self.width < SHORT

    @property
    def step(self) -> int:
        """Numbers from a function's first one to the next function's."""
        return self.rows * self.width if self.together else self.width

    @property
    def pitch(self) -> int:
        """Numbers from row to row of a function."""
        return 0 if self.together else self.functions * self.width

    @property
    def calls(self) -> int:
        """Rows that a function goes over."""
        return 1 if self.together else self.rows

    @property
    def length(self) -> int:
        """Numbers in each of them."""
        return self.rows * self.width if self.together else self.width

    def gathered(self, x: Tensor) -> Tensor:
        """Return the numbers in this layout."""
        return x.view(self.rows, self.functions, self.width).transpose(0, 1).contiguous() if self.together else x

    def scattered(self, own: Tensor) -> Tensor:
        """Return numbers of this layout as they lay before, contiguous."""
        return own.transpose(0, 1).contiguous() if self.together else own


class GroupedKernel:
    """The passes of several elementwise functions over neighbouring slices of a dimension.

    Args:
        specs: one for each slice; parameters are numbers, or learned ones of one number each.
        dim: the dimension that is sliced, into equal parts.
    """

    def __init__(self, specs: Sequence[Spec], dim: int) -> None:
        self.specs, self.dim = tuple(specs), dim
        self._kernels = [kernel(spec) for spec in specs]
        self._counts = [sum(isinstance(value, Learned) for _, value in spec.assigned) for spec in specs]
        self._tables: dict[tuple[Pass, _Layout, torch.dtype], threads.Calls] = {}

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the values: a tensor like ``x``, which is contiguous.

        Args:
            x: tensor whose dimension ``dim`` the number of functions divides.
            parameters: the learned ones of all functions, in order, each of one number.
        """
        layout = self._layout(x)
        own = layout.gathered(x)
        y = torch.empty_like(own)
        self._run("forward", layout, (own, y), parameters, None)
        return layout.scattered(y).view(x.shape)

    def backward(self, grad: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of the input and of every learned parameter; ``grad`` is contiguous and like ``x``."""
        layout = self._layout(x)
        own = layout.gathered(x)
        dx = torch.empty_like(own)
        sums = torch.zeros(sum(self._counts), dtype=torch.float64) if parameters else None
        self._run("backward", layout, (layout.gathered(grad), own, dx), parameters, sums)
        found = [] if sums is None else [t.to(p.dtype).reshape(p.shape) for t, p in zip(sums, parameters, strict=True)]
        return (layout.scattered(dx).view(x.shape), *found)

    def keeps_output(self, dtype: torch.dtype) -> bool:  # noqa: ARG002 a single function's depends on it
        """Whether the backward pass could be made from the output: not of a mixture."""
        return False

    def _layout(self, x: Tensor) -> _Layout:
        rows, count = prod(x.shape[: self.dim % x.dim()]), len(self.specs)
        return _Layout(rows=rows, functions=count, width=x.numel() // max(1, rows * count))

    def _run(
        self,
        which: Pass,
        layout: _Layout,
        tensors: Sequence[Tensor],
        parameters: Sequence[Tensor],
        sums: Tensor | None,
    ) -> None:
        dtype = tensors[0].dtype
        if not tensors[0].numel():
            return
        key = (which, layout, dtype)
        if key not in self._tables:
            self._tables[key] = self._planned(*key)
        table, streams = self._tables[key].copy(), STREAMS[which]
        table[:, 1 : 1 + streams] += [tensor.data_ptr() for tensor in tensors]
        numbers = _numbers(parameters, dtype) if parameters else None
        if numbers is not None:
            table[:, 1 + 2 * streams] += numbers.data_ptr()
        if sums is not None:
            table[:, 2 + 2 * streams] += sums.data_ptr()
        _work_off(table, tensors[0].numel())

    def _planned(self, which: Pass, layout: _Layout, dtype: torch.dtype) -> threads.Calls:
        """Return the calls, one a row: the function, offsets of its pointers, bytes from row to row, and its numbers."""
        size, streams = BYTES[STORAGES[dtype]], STREAMS[which]
        number = BYTES[precision_of(STORAGES[dtype])]
        before = np.cumsum([0, *self._counts])
        calls = [
            [
                made.address(which, dtype),
                *[i * layout.step * size] * streams,
                *[layout.pitch * size] * streams,
                int(before[i]) * number,
                int(before[i]) * DOUBLE,
                *(0, layout.calls, layout.length, layout.calls, 1, 0),
            ]
            for i, made in enumerate(self._kernels)
        ]
        return np.array(calls, dtype=np.int64)


def _numbers(parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    precision = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.cat([p.detach().reshape(1).to(precision) for p in parameters])


def _work_off(table: threads.Calls, numbers: int) -> None:
    """Make all calls of a table, in as many threads as torch has; each thread takes whole functions, so sums have one writer."""
    threads.run(table, min(torch.get_num_threads(), numbers // SHARE))
