"""LLVM module of a CPU kernel, with the outer loop over rows and their remainders."""

from __future__ import annotations

from actlab.codegen.cpu.dtypes import BYTES, STORED
from actlab.codegen.cpu.ir_builder import IRBuilder
from actlab.codegen.cpu.row_body import FOLDED, RowBody, RowLoop

__all__ = ["kernel_text"]

FLUSH = 1 << 15  # flush-to-zero bit of the control register MXCSR
AHEAD = 1024  # prefetch distance within a single row, in bytes
DECLARATIONS = (
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
    f"declare double @llvm.vector.reduce.fadd.v{FOLDED}f64(double, <{FOLDED} x double>)",
    "!0 = !{i32 1}",
    '!1 = !{!"branch_weights", i32 1, i32 1000000}',
)


def kernel_text(loop: RowLoop, body: RowBody) -> str:
    """Return the LLVM code of the module: the functions ``kernel`` and ``framed``, and ``row``, which they call.

    ``kernel`` takes a pointer for each stream, the bytes from row to row of each, pointers to parameters and sums (float64), and then
    the first row and the one after the last, the numbers per row, how many consecutive rows share parameters, the number of channels, and
    the elements from parameter to parameter. ``framed`` takes these integers in an array instead, after the pointers.
    """
    builder = IRBuilder(lanes=loop.lanes, fused=loop.fused)
    row = loop.row(builder, body)
    return "\n".join([*row, "", *_kernel(loop), "", *_framed(loop), "", *sorted(builder.declared), *DECLARATIONS])


def _kernel(loop: RowLoop) -> list[str]:
    """Return the code of the loop over rows."""
    names = loop.pointers
    strides = [f"%d{name[1:]}" for name in names]
    arguments = ", ".join([f"ptr {n}" for n in names] + [f"i64 {d}" for d in strides])
    counts = ", ".join(f"i64 %{name}" for name in ("first", "last", "n", "repeat", "channels", "pitch"))
    step = loop.lanes
    lines = [
        f"define void @kernel({arguments}, ptr %parameters, ptr %sums, {counts}) noinline {{",
        "entry:",
        *(
            f"%t{name[1:]} = alloca [{step * w} x {STORED[loop.storage]}], align 64"
            for name, w in zip(names, loop.widths, strict=True)
        ),
        *_flush_subnormals(loop),
        f"%main = and i64 %n, {-step}",
        "%rest = sub i64 %n, %main",
        "%hasmain = icmp ne i64 %main, 0",
        "%hasrest = icmp ne i64 %rest, 0",
        "%count = sub i64 %last, %first",
        "%alone = icmp sle i64 %count, 1",
        *(f"%h{i} = select i1 %alone, i64 {AHEAD}, i64 %dr{i}" for i in range(len(loop.reads))),
        "%any = icmp slt i64 %first, %last",
        "br i1 %any, label %loop, label %done",
        "loop:",
        "%row = phi i64 [ %first, %entry ], [ %rownext, %next ]",
    ]
    for name, stride in zip(names, strides, strict=True):
        lines += [
            f"%o{name[1:]} = mul i64 %row, {stride}",
            f"%q{name[1:]} = getelementptr i8, ptr {name}, i64 %o{name[1:]}",
        ]
    lines += _row_parameters(loop)
    ahead = ", ".join(f"i64 %h{i}" for i in range(len(loop.reads)))
    rows = ", ".join(f"ptr %q{name[1:]}" for name in names) + f", {ahead}"
    lines += [
        "br i1 %hasmain, label %whole, label %afterwhole",
        "whole:",
        f"call void @row({rows}, ptr %prow, ptr %srow, i64 %main, i64 %main, i64 %pitch)",
        "br label %afterwhole",
        "afterwhole:",
        "br i1 %hasrest, label %part, label %next",
        "part:",
        *_remainder(loop, names),
        "br label %next",
        "next:",
        "%rownext = add i64 %row, 1",
        "%more = icmp slt i64 %rownext, %last",
        "br i1 %more, label %loop, label %done",
        "done:",
    ]
    end = ["call void @llvm.x86.sse.ldmxcsr(ptr %before)"] if loop.flushes else []
    return [*lines, *end, *(["fence seq_cst"] if loop.reach == "past" else []), "ret void", "}", *_declared(loop)]


def _flush_subnormals(loop: RowLoop) -> list[str]:
    """Return the code that flushes subnormal results to zero until the control register is restored.

    Activations do not need them, and an x86 processor takes 150 cycles for each: softplus takes 18 times as long on inputs of standard
    deviation 30, the two passes of silu 3 times (``benchmarks/subnormal.py``). The arithmetic is in a separate function, so that the
    compiler moves none of it across these instructions.
    """
    if not loop.flushes:
        return []
    return [
        "%before = alloca i32",
        "%during = alloca i32",
        "call void @llvm.x86.sse.stmxcsr(ptr %before)",
        "%word = load i32, ptr %before",
        f"%flushing = or i32 %word, {FLUSH}",
        "store i32 %flushing, ptr %during",
        "call void @llvm.x86.sse.ldmxcsr(ptr %during)",
    ]


def _declared(loop: RowLoop) -> list[str]:
    names = ("stmxcsr", "ldmxcsr") if loop.flushes else ()
    return [f"declare void @llvm.x86.sse.{name}(ptr)" for name in names]


def _framed(loop: RowLoop) -> list[str]:
    """Return the code that calls ``kernel`` with integers from an array: twelve arguments cost 1 us more than five in Python."""
    names = [f"ptr {name}" for name in loop.pointers]
    numbers = [f"i64 %n{k}" for k in range(len(names) + 6)]
    arguments = ", ".join([*names, *numbers[: len(names)], "ptr %parameters, ptr %sums", *numbers[len(names) :]])
    return [
        f"define void @framed({', '.join(names)}, ptr %parameters, ptr %sums, ptr %frame) {{",
        *(f"%f{k} = getelementptr i64, ptr %frame, i64 {k}" for k in range(len(numbers))),
        *(f"%n{k} = load i64, ptr %f{k}" for k in range(len(numbers))),
        f"call void @kernel({arguments})",
        "ret void",
        "}",
    ]


def _row_parameters(loop: RowLoop) -> list[str]:
    """Return the code of the addresses of a row's parameters and sums."""
    if loop.columns or not loop.parameters:
        return [
            "%prow = getelementptr i8, ptr %parameters, i64 0",
            "%srow = getelementptr i8, ptr %sums, i64 0",
        ]
    return [
        "%group = udiv i64 %row, %repeat",
        "%channel = urem i64 %group, %channels",
        f"%prow = getelementptr [{loop.parameters} x {loop.element}], ptr %parameters, i64 %channel",
        f"%srow = getelementptr [{max(1, loop.sums)} x double], ptr %sums, i64 %channel",
    ]


def _remainder(loop: RowLoop, names: list[str]) -> list[str]:
    """Return the code that processes the end of a row, which does not fill a vector, in buffers on the stack."""
    lines: list[str] = []
    size = BYTES[loop.storage]
    for name, width in zip(names, loop.widths, strict=True):
        key, stored = name[1:], STORED[loop.storage]
        lines += [
            f"%e{key} = getelementptr [{width} x {stored}], ptr %q{key}, i64 %main",
            f"%z{key} = mul i64 %rest, {size * width}",
        ]
        if name.startswith("%r"):
            whole = f"[{loop.lanes * width} x {stored}]"
            lines += [
                f"store {whole} zeroinitializer, ptr %t{key}",
                f"call void @llvm.memcpy.p0.p0.i64(ptr %t{key}, ptr %e{key}, i64 %z{key}, i1 false)",
            ]
    offset = "%main" if loop.columns else "0"
    buffers = ", ".join([f"ptr %t{name[1:]}" for name in names] + ["i64 0"] * len(loop.reads))
    lines += [
        f"%pend = getelementptr {loop.element}, ptr %prow, i64 {offset}",
        f"%send = getelementptr double, ptr %srow, i64 {offset}",
        f"call void @row({buffers}, ptr %pend, ptr %send, i64 {loop.lanes}, i64 %rest, i64 %pitch)",
    ]
    lines += [
        f"call void @llvm.memcpy.p0.p0.i64(ptr %e{name[1:]}, ptr %t{name[1:]}, i64 %z{name[1:]}, i1 false)"
        for name in names
        if name.startswith("%w")
    ]
    return lines
