"""Rows: LLVM code that goes from row to row of numbers in memory, and carries what does not fill a vector through one on the stack."""

from __future__ import annotations

from actlab.codegen.cpu.dtypes import BYTES, STORED
from actlab.codegen.cpu.row_body import Loop

__all__ = ["framed", "kernel"]

FLUSH = 1 << 15  # of the control word MXCSR: results that underflow are zero
AHEAD = 1024  # bytes ahead of which a single row is fetched


def kernel(loop: Loop) -> list[str]:
    """Return the code that goes from row to row."""
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
        *_flushing(loop),
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
    lines += _of_row(loop)
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
        *_end(loop, names),
        "br label %next",
        "next:",
        "%rownext = add i64 %row, 1",
        "%more = icmp slt i64 %rownext, %last",
        "br i1 %more, label %loop, label %done",
        "done:",
    ]
    end = ["call void @llvm.x86.sse.ldmxcsr(ptr %before)"] if loop.flushes else []
    return [*lines, *end, *(["fence seq_cst"] if loop.reach == "past" else []), "ret void", "}", *_declared(loop)]


def _flushing(loop: Loop) -> list[str]:
    """Return the code after which results that would be subnormal are zero, until the control word is put back.

    They are of no use to an activation, and an x86 processor takes 150 cycles for each: softplus takes 18 times as long on numbers of
    deviation 30, silu's two passes 3 times (``benchmarks/subnormal.py``). The arithmetic is in a function of its own, so that none of it
    is moved across.
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


def _declared(loop: Loop) -> list[str]:
    names = ("stmxcsr", "ldmxcsr") if loop.flushes else ()
    return [f"declare void @llvm.x86.sse.{name}(ptr)" for name in names]


def framed(loop: Loop) -> list[str]:
    """Return the code that calls ``kernel`` with numbers from an array: twelve arguments cost Python 1 us more than five."""
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


def _of_row(loop: Loop) -> list[str]:
    """Return the code that finds a row's parameters and sums."""
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


def _end(loop: Loop, names: list[str]) -> list[str]:
    """Return the code that carries the end of a row through the stack."""
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
