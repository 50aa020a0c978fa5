"""LLVM code of the loop over one row of numbers, with accumulated parameter gradients.

A kernel reads streams of numbers (the input; gradient and input; gate and value), writes others, and adds up the gradients of learned
parameters, all in one pass. Half precision is computed in float32 and rounded once, to nearest even. The numbers of a step are added in
their own precision, and these sums in float64, in the same order in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from actlab.codegen.cpu.dtypes import BYTES, STORED, Reach, Storage, precision_of
from actlab.codegen.cpu.ir_builder import ELEMENT, IRBuilder, Precision, Value

__all__ = ["RowBody", "RowLoop"]

RowBody: TypeAlias = Callable[[list[Value], list[Value]], tuple[list[Value], list[Value]]]
# Lines of code up to which stores may bypass the cache, if none of them divides or calls. With more work between the two halves of a cache
# line and a busy second core, the processor writes the halves one by one: silu on two threads took 38 ms, not 10. Light bodies are faster:
# relu 7.8 ms, not 9.7. With an instruction that writes a whole line (AVX-512) all are faster: silu 5.8 ms, not 7.6, swiglu's backward
# 14.1, not 18.4; except half precision, which is bound by arithmetic and not by memory.
LIGHT = 48
FOLDED = 8  # lanes of an accumulator


@dataclass(frozen=True, kw_only=True)
class RowLoop:
    """Layout and target features of a kernel that applies a body to rows of numbers.

    Attributes:
        storage: dtype of the numbers in memory.
        reads: one entry per stream that is read; 2 for a stream whose even and odd elements are two inputs, else 1.
        writes: the same for the streams that are written.
        parameters: number of parameters of the body.
        sums: number of sums that the body adds to: one per learned parameter, or none.
        columns: whether parameters vary along a row instead of from row to row.
        reach: where the data is. "memory" and "past" prefetch; with "past", stores bypass the cache and start at multiples of 64 bytes.
        lanes: numbers per step.
        fused: whether the target has fused multiply-add.
        whole_lines: whether the target writes a cache line, 64 bytes, in one instruction.
        rounds: whether the target has an instruction that rounds float32 to bfloat16. It flushes subnormal numbers to zero, so only bodies
            with much arithmetic use it (a fifth of silu's time); light bodies are bound by memory and keep every number.
        flushes: whether to flush subnormal results to zero (x86 only).
    """

    storage: Storage
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    parameters: int = 0
    sums: int = 0
    columns: bool = False
    reach: Reach = "cache"
    lanes: int = 32
    fused: bool = True
    whole_lines: bool = False
    rounds: bool = False
    flushes: bool = False

    @property
    def precision(self) -> Precision:
        """Precision of the computation."""
        return precision_of(self.storage)

    @property
    def element(self) -> str:
        """LLVM type of a number in the computation."""
        return ELEMENT["number", self.precision]

    @property
    def pointers(self) -> list[str]:
        """Names of the stream pointers: those that are read, then those that are written."""
        return [f"%r{i}" for i in range(len(self.reads))] + [f"%w{i}" for i in range(len(self.writes))]

    @property
    def widths(self) -> list[int]:
        """Number of inputs or outputs interleaved in each stream."""
        return [*self.reads, *self.writes]

    def row(self, builder: IRBuilder, body: RowBody) -> list[str]:
        """Return the LLVM text of the function that processes one row."""
        pointers = ", ".join([f"ptr {p}" for p in self.pointers] + [f"i64 %ahead{i}" for i in range(len(self.reads))])
        start = [
            f"define internal void @row({pointers}, ptr %parameters, ptr %sums, i64 %n, i64 %valid, i64 %pitch) noinline {{",
            "entry:",
        ]
        if not self.columns:
            for k in range(self.parameters):
                start += self._broadcast_parameter(k)
        start += ["br label %loop", "loop:", "%i = phi i64 [ 0, %entry ], [ %j, %next ]"]
        if not self.columns:
            start += [
                f"%a{k} = phi <{FOLDED} x double> [ zeroinitializer, %entry ], [ %b{k}, %next ]"
                for k in range(self.sums)
            ]
        inputs = [value for i, width in enumerate(self.reads) for value in self._load(builder, i, width)]
        outputs, contributions = body(inputs, self._parameters(builder))
        for i, width in enumerate(self.writes):
            self._store(builder, i, outputs[:width], width)
            outputs = outputs[width:]
        for k, contribution in enumerate(contributions):
            self._accumulate(builder, k, contribution)
        end = [
            "br label %next",
            "next:",
            f"%j = add i64 %i, {self.lanes}",
            "%more = icmp ult i64 %j, %n",
            "br i1 %more, label %loop, label %done",
            "done:",
        ]
        if not self.columns:
            for k in range(self.sums):
                end += self._store_sum(k)
        return [*start, *builder.lines, *end, "ret void", "}"]

    def _broadcast_parameter(self, k: int) -> list[str]:
        """Return the code that broadcasts parameter ``k`` of a row to a vector."""
        of = f"<{self.lanes} x {self.element}>"
        return [
            f"%pp{k} = getelementptr {self.element}, ptr %parameters, i64 {k}",
            f"%ps{k} = load {self.element}, ptr %pp{k}",
            f"%pi{k} = insertelement {of} poison, {self.element} %ps{k}, i64 0",
            f"%p{k} = shufflevector {of} %pi{k}, {of} poison, <{self.lanes} x i32> zeroinitializer",
        ]

    def _parameters(self, builder: IRBuilder) -> list[Value]:
        if self.columns:
            of, size = f"<{self.lanes} x {self.element}>", BYTES[self.precision]
            for k in range(self.parameters):
                builder.lines += [
                    *self._column_address(f"pp{k}", "%parameters", self.element, k),
                    f"%p{k} = load {of}, ptr %pp{k}, align {size}",
                ]
        return [builder.value(self.precision, f"%p{k}") for k in range(self.parameters)]

    def _column_address(self, name: str, base: str, element: str, k: int) -> list[str]:
        """Return the code of the address of element ``i`` of column array ``k``."""
        return [
            f"%{name}k = mul i64 %pitch, {k}",
            f"%{name}i = add i64 %{name}k, %i",
            f"%{name} = getelementptr {element}, ptr {base}, i64 %{name}i",
        ]

    def _load(self, builder: IRBuilder, i: int, width: int) -> list[Value]:
        """Return the values of one step of a stream."""
        stored, count = STORED[self.storage], self.lanes * width
        builder.lines += self._prefetch(builder, i, count * BYTES[self.storage]) if self.reach != "cache" else []
        builder.lines += [
            f"%rp{i} = getelementptr [{width} x {stored}], ptr %r{i}, i64 %i",
            f"%rv{i} = load <{count} x {stored}>, ptr %rp{i}, align {BYTES[self.storage]}",
        ]
        names = [f"%rv{i}"]
        if width == 2:
            names = [f"%re{i}", f"%ro{i}"]
            for first, name in enumerate(names):
                places = ", ".join(f"i32 {k}" for k in range(first, count, 2))
                of = f"<{count} x {stored}>"
                builder.lines.append(
                    f"{name} = shufflevector {of} %rv{i}, {of} poison, <{self.lanes} x i32> <{places}>"
                )
        return [self.upcast(builder, name) for name in names]

    def _prefetch(self, builder: IRBuilder, i: int, size: int) -> list[str]:
        """Return the code that prefetches the next row; the processor's own prefetcher stops at page boundaries."""
        builder.declared.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        lines = [f"%fi{i} = mul i64 %i, {size // self.lanes}", f"%fa{i} = add i64 %fi{i}, %ahead{i}"]
        for line in range(0, size, 64):
            lines += [
                f"%fl{i}l{line} = add i64 %fa{i}, {line}",
                f"%fp{i}l{line} = getelementptr i8, ptr %r{i}, i64 %fl{i}l{line}",
                f"call void @llvm.prefetch.p0(ptr %fp{i}l{line}, i32 0, i32 3, i32 1)",
            ]
        return lines

    def upcast(self, builder: IRBuilder, name: str) -> Value:
        """Return stored numbers in the precision of the computation."""
        if self.storage == "bfloat16":
            wide = builder.write("bits", "float32", f"zext <{self.lanes} x i16> {name} to <{self.lanes} x i32>")
            return wide.with_bits("shl", 16).number()
        if self.storage == "float16":
            return builder.write("number", "float32", f"fpext <{self.lanes} x half> {name} to <{self.lanes} x float>")
        return builder.value(self.precision, name)

    def _store(self, builder: IRBuilder, i: int, values: Sequence[Value], width: int) -> None:
        stored, count = STORED[self.storage], self.lanes * width
        light = _is_light(builder.lines)
        past = self.reach == "past" and (light or (self.whole_lines and self.storage in {"float32", "float64"}))
        names = [self.downcast(builder, value, exact=light) for value in values]
        of = f"<{self.lanes} x {stored}>"
        if width == 2:
            places = ", ".join(f"i32 {k // 2 + (k % 2) * self.lanes}" for k in range(count))
            builder.lines.append(f"%wx{i} = shufflevector {of} {names[0]}, {of} {names[1]}, <{count} x i32> <{places}>")
            names = [f"%wx{i}"]
        how = "align 64, !nontemporal !0" if past else f"align {BYTES[self.storage]}"
        builder.lines += [
            f"%wp{i} = getelementptr [{width} x {stored}], ptr %w{i}, i64 %i",
            f"store <{count} x {stored}> {names[0]}, ptr %wp{i}, {how}",
        ]

    def downcast(self, builder: IRBuilder, value: Value, *, exact: bool = True) -> str:
        """Return the name of the values rounded to the storage dtype; unless ``exact``, subnormal ones may become zero."""
        if self.storage == "bfloat16" and self.rounds and not exact:
            wide, half = f"<{self.lanes} x float>", f"<{self.lanes} x bfloat>"
            near = builder.write("number", "float32", f"fptrunc {wide} {value} to {half}")
            return str(builder.write("bits", "float32", f"bitcast {half} {near} to <{self.lanes} x i16>"))
        if self.storage == "bfloat16":
            bits = value.bits()
            odd = bits.with_bits("lshr", 16).with_bits("and", 1)
            near = bits.with_bits("add", odd).with_bits("add", 0x7FFF)
            quiet = bits.with_bits("or", 0x400000)
            of = builder.type("number", "float32")
            is_nan = builder.write("truth", "float32", f"fcmp uno {of} {value}, {value}")
            high = is_nan.select(quiet, near).with_bits("lshr", 16)
            return str(builder.write("bits", "float32", f"trunc <{self.lanes} x i32> {high} to <{self.lanes} x i16>"))
        if self.storage == "float16":
            return str(
                builder.write("number", "float32", f"fptrunc <{self.lanes} x float> {value} to <{self.lanes} x half>")
            )
        return str(value)

    def _accumulate(self, builder: IRBuilder, k: int, contribution: Value) -> None:
        """Write the code that adds a contribution to sum ``k`` of this row, or of each column."""
        if self.columns:
            wide, widened = f"<{self.lanes} x double>", contribution.widened()
            builder.lines += [
                *self._column_address(f"sp{k}", "%sums", "double", k),
                f"%a{k} = load {wide}, ptr %sp{k}, align 8",
                f"%b{k} = fadd {wide} %a{k}, {widened}",
                f"store {wide} %b{k}, ptr %sp{k}, align 8",
            ]
            return
        if k == 0:
            lanes = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
            of = f"<{self.lanes} x i64>"
            builder.lines += [
                "%left = sub i64 %valid, %i",
                f"%lefti = insertelement {of} poison, i64 %left, i64 0",
                f"%lefts = shufflevector {of} %lefti, {of} poison, <{self.lanes} x i32> zeroinitializer",
                f"%there = icmp sgt {of} %lefts, <{lanes}>",
            ]
        of = f"<{self.lanes} x {self.element}>"
        builder.lines.append(f"%c{k} = select <{self.lanes} x i1> %there, {of} {contribution}, {of} zeroinitializer")
        name, lines = self._fold(f"%c{k}", k)
        wide = f"<{FOLDED} x double>"
        if self.element != "double":
            lines.append(f"%d{k} = fpext <{FOLDED} x {self.element}> {name} to {wide}")
            name = f"%d{k}"
        builder.lines += [*lines, f"%b{k} = fadd {wide} %a{k}, {name}"]

    def _fold(self, name: str, k: int) -> tuple[str, list[str]]:
        """Return the name of the result, and the code that adds the halves of a vector until :data:`FOLDED` lanes are left."""
        lines, lanes = [], self.lanes
        while lanes > FOLDED:
            of, lanes = f"<{lanes} x {self.element}>", lanes // 2
            half = f"<{lanes} x {self.element}>"
            places = [", ".join(f"i32 {i}" for i in range(start, start + lanes)) for start in (0, lanes)]
            lines += [
                f"%l{k}n{lanes} = shufflevector {of} {name}, {of} poison, <{lanes} x i32> <{places[0]}>",
                f"%u{k}n{lanes} = shufflevector {of} {name}, {of} poison, <{lanes} x i32> <{places[1]}>",
                f"%f{k}n{lanes} = fadd {half} %l{k}n{lanes}, %u{k}n{lanes}",
            ]
            name = f"%f{k}n{lanes}"
        return name, lines

    def _store_sum(self, k: int) -> list[str]:
        """Return the code that adds the lanes of an accumulator to sum ``k`` in memory."""
        return [
            f"%s{k} = call double @llvm.vector.reduce.fadd.v{FOLDED}f64(double 0.0, <{FOLDED} x double> %b{k})",
            f"%sp{k} = getelementptr double, ptr %sums, i64 {k}",
            f"%so{k} = load double, ptr %sp{k}",
            f"%sn{k} = fadd double %so{k}, %s{k}",
            f"store double %sn{k}, ptr %sp{k}",
        ]


def _is_light(lines: Sequence[str]) -> bool:
    """Whether the body is short enough that the stores of a cache line follow each other directly."""
    return len(lines) < LIGHT and not any("fdiv" in line or "= call" in line for line in lines)
