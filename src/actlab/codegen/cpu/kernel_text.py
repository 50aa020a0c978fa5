"""The LLVM text of a CPU kernel: the row body, and the loop over rows around it."""

from __future__ import annotations

from actlab.codegen.cpu import row_loop
from actlab.codegen.cpu.ir_builder import IRBuilder
from actlab.codegen.cpu.row_body import FOLDED, Body, Loop

__all__ = ["text"]


def text(loop: Loop, body: Body) -> str:
    """Return the LLVM code of the module: the function ``kernel``, and ``row`` that it calls.

    ``kernel`` takes a pointer for each stream, the bytes from row to row of each, pointers to parameters and sums (float64), and then
    the first row and the one after the last, the numbers per row, how many rows share parameters, the channels, and the places from
    parameter to parameter. ``framed`` takes these whole numbers in an array instead, behind the pointers.
    """
    builder = IRBuilder(lanes=loop.lanes, fused=loop.fused)
    row = loop.row(builder, body)
    return "\n".join(
        [*row, "", *row_loop.kernel(loop), "", *row_loop.framed(loop), "", *sorted(builder.declared), *_ALWAYS]
    )


_ALWAYS = (
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
    f"declare double @llvm.vector.reduce.fadd.v{FOLDED}f64(double, <{FOLDED} x double>)",
    "!0 = !{i32 1}",
    '!1 = !{!"branch_weights", i32 1, i32 1000000}',
)
