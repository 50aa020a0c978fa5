"""Sequence of compiled calls that is made for one model of a stack after the other.

What the calls for one model read and write stays in the processor's second cache; that of calls for all models at once does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from actlab.codegen.cpu import jit, threads

__all__ = ["ModelSweep", "NativeCall", "Pointer"]

_ARGUMENTS = 14  # of a call; functions do not look at more than they take
_ROW = _ARGUMENTS + 1
_SHARE = 2**20  # multiplications from which a thread of its own is worth while
_Table: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Address in a tensor.

    Attributes:
        tensor: its number among those of the sweep.
        offset: bytes from its first number to what is meant for the first model.
        step: bytes from model to model.
        of_thread: bytes from what is meant for a thread to that for the next one.
    """

    tensor: int
    offset: int = 0
    step: int = 0
    of_thread: int = 0


@dataclass(frozen=True, kw_only=True)
class NativeCall:
    """Call of a compiled function, which returns nothing.

    Attributes:
        addresses: of the function, for each group of adjacent models.
        arguments: addresses and integers.
    """

    addresses: Sequence[int]
    arguments: Sequence[Pointer | int]


class _Tables(NamedTuple):
    """What compiled code reads, with a row for each call of a group, but for the addresses of tensors.

    Attributes:
        values: function and arguments for the first model.
        tensors: number of the tensor whose address is added, from 1 up; 0 for none.
        steps: what is added to the arguments from model to model, a row for each call.
        parts: first model, the one after the last, and first row, of each part of a thread.
        rows: arguments of each thread; the addresses of the tables are missing.
    """

    values: _Table
    tensors: _Table
    steps: _Table
    parts: _Table
    rows: _Table


class ModelSweep:
    """Calls in the order in which they are made for each model.

    Args:
        calls: for a model.
        sizes: numbers of models in the groups.
        work: multiplications for all models.
    """

    def __init__(self, calls: Sequence[NativeCall], sizes: Sequence[int], work: int) -> None:
        self._calls, self._sizes, self._work = list(calls), list(sizes), work
        self._tables: dict[int, _Tables] = {}

    @property
    def threads(self) -> int:
        """Number of threads that :meth:`run` uses now."""
        return max(1, min(torch.get_num_threads(), sum(self._sizes), self._work // _SHARE))

    def run(self, tensors: Iterable[torch.Tensor]) -> None:
        """Make the calls for all models.

        Args:
            tensors: those that the pointers name.

        Raises:
            NoCompilerError: LLVM is missing.
        """
        team = self.threads
        tables = self._tables.get(team)
        if tables is None:
            tables = self._tables[team] = self._new_tables(team)
        addresses = np.array([0, *[tensor.data_ptr() for tensor in tensors]], dtype=np.int64)
        values, rows = tables.values + addresses[tables.tensors], tables.rows.copy()
        rows[:, 4] = values.__array_interface__["data"][0]
        threads.run(rows, team)

    def _new_tables(self, team: int) -> _Tables:
        bounds = _sums(self._sizes)
        shares = [bounds[-1] * thread // team for thread in range(team + 1)]
        values: list[list[int]] = []
        tensors: list[list[int]] = []
        parts: list[list[int]] = []
        rows: list[list[int]] = []
        for thread, (first, end) in enumerate(pairwise(shares)):
            rows.append([_sweeper(), 0, len(parts), 0, 0, 0, len(self._calls)])
            for group, (start, stop) in enumerate(pairwise(bounds)):
                if max(first, start) < min(end, stop):
                    parts.append([max(first, start), min(end, stop), len(values)])
                    for call in self._calls:
                        values.append(_row(call.addresses[group], [_value(it, thread) for it in call.arguments]))
                        tensors.append(
                            _row(0, [it.tensor + 1 if isinstance(it, Pointer) else 0 for it in call.arguments])
                        )
            rows[-1][3] = len(parts)
        steps = [_row(0, [it.step if isinstance(it, Pointer) else 0 for it in call.arguments]) for call in self._calls]
        tables = _Tables(*(np.array(table, dtype=np.int64) for table in (values, tensors, steps, parts, rows)))
        tables.rows[:, 1] = tables.parts.__array_interface__["data"][0]
        tables.rows[:, 5] = tables.steps.__array_interface__["data"][0]
        return tables


def _sums(sizes: Iterable[int]) -> list[int]:
    sums = [0]
    for size in sizes:
        sums.append(sums[-1] + size)
    return sums


def _value(argument: Pointer | int, thread: int) -> int:
    return argument.offset + thread * argument.of_thread if isinstance(argument, Pointer) else argument


def _row(address: int, arguments: Sequence[int]) -> list[int]:
    return [address, *arguments, *[0] * (_ARGUMENTS - len(arguments))]


@cache
def _sweeper() -> int:
    text = _text()
    return jit.address(text, lambda: text, "sweep")


def _text() -> str:
    """Return the LLVM code of the function that makes the calls of parts ``first`` to ``last``, for one model after the other."""
    names = range(1, _ROW)
    return "\n".join([
        "define void @sweep(ptr %parts, i64 %first, i64 %last, ptr %table, ptr %steps, i64 %calls) {",
        "entry:", "%any = icmp slt i64 %first, %last", "br i1 %any, label %part, label %done",
        "part:", "%p = phi i64 [ %first, %entry ], [ %pnext, %partend ]", "%p3 = mul i64 %p, 3",
        "%startp = getelementptr i64, ptr %parts, i64 %p3", "%start = load i64, ptr %startp",
        "%endp = getelementptr i64, ptr %startp, i64 1", "%end = load i64, ptr %endp",
        "%rowp = getelementptr i64, ptr %startp, i64 2", "%row = load i64, ptr %rowp",
        f"%rown = mul i64 %row, {_ROW}", "%rows = getelementptr i64, ptr %table, i64 %rown", "br label %model",
        "model:", "%m = phi i64 [ %start, %part ], [ %mnext, %modelend ]", "br label %call",
        "call:", "%c = phi i64 [ 0, %model ], [ %cnext, %call ]", f"%cn = mul i64 %c, {_ROW}",
        "%r = getelementptr i64, ptr %rows, i64 %cn", "%s = getelementptr i64, ptr %steps, i64 %cn", "%function = load ptr, ptr %r",
        *(f"%r{i} = getelementptr i64, ptr %r, i64 {i}" for i in names),
        *(f"%s{i} = getelementptr i64, ptr %s, i64 {i}" for i in names),
        *(f"%v{i} = load i64, ptr %r{i}" for i in names), *(f"%d{i} = load i64, ptr %s{i}" for i in names),
        *(f"%o{i} = mul i64 %m, %d{i}" for i in names), *(f"%a{i} = add i64 %v{i}, %o{i}" for i in names),
        f"call void %function({', '.join(f'i64 %a{i}' for i in names)})",
        "%cnext = add i64 %c, 1", "%cmore = icmp slt i64 %cnext, %calls", "br i1 %cmore, label %call, label %modelend",
        "modelend:", "%mnext = add i64 %m, 1", "%mmore = icmp slt i64 %mnext, %end", "br i1 %mmore, label %model, label %partend",
        "partend:", "%pnext = add i64 %p, 1", "%pmore = icmp slt i64 %pnext, %last", "br i1 %pmore, label %part, label %done",
        "done:", "ret void", "}",
    ])  # fmt: skip
