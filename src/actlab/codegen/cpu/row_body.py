"""Loops: LLVM code that carries a straight line of vector arithmetic over rows of numbers in memory, in one pass.

A kernel reads streams of numbers (the input; gradient and input; gate and value), writes others, and adds up what parameters learn from.
Half precision is computed in float32 and rounded once, to nearest, halves to even. What does not fill a vector at a row's end is carried
through a vector on the stack. A step's few numbers are added in their precision, and these sums in float64, in the same order in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from actlab.codegen.cpu.dtypes import BYTES, STORED, Reach, Storage, precision_of
from actlab.codegen.cpu.ir_builder import ELEMENT, IRBuilder, Precision, Value

__all__ = ["Body", "Loop"]

Body: TypeAlias = Callable[[list[Value], list[Value]], tuple[list[Value], list[Value]]]
# Lines of code up to which writes may go past the cache, if none of them divides or calls. Where more happens between two halves of a
# line of memory and the other core is busy, the processor writes them half by half: silu on two threads took 38 ms, not 10. Light
# bodies gain: relu 7.8 ms, not 9.7. Where a line is written in one instruction (AVX-512) all gain: silu 5.8 ms, not 7.6, swiglu's backward
# 14.1, not 18.4; but for half precision, which arithmetic holds up and not memory.
LIGHT = 48
FOLDED = 8  # lanes in which sums are kept


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A kernel around a body.

    Attributes:
        storage: of the numbers in memory.
        reads: streams that are read; 2 for one whose even and odd places are two inputs, else 1.
        writes: streams that are written, likewise.
        parameters: how many parameters the body takes.
        sums: how many sums the body adds to; one for each parameter that learns, or none.
        columns: whether parameters vary along a row instead of from row to row.
        reach: where the numbers are. From "memory" on what comes next is fetched in time; with "past" writes, which start at multiples of
            64 bytes, go past the cache.
        lanes: numbers per step.
        fused: whether the target multiplies and adds in one rounding.
        whole_lines: whether the target writes a line of memory, 64 bytes, in one instruction.
        rounds: whether the target rounds float32 to bfloat16 by itself. It makes subnormal numbers zero, so only what computes much has it
            do so: a fifth of silu's time. What little is computed of waits for memory, and passes every number on.
        flushes: whether to have the target, an x86 processor, make zero of results that would be subnormal.
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
        """What is computed in."""
        return precision_of(self.storage)

    @property
    def element(self) -> str:
        """The type of a number while it is computed with."""
        return ELEMENT["number", self.precision]

    @property
    def pointers(self) -> list[str]:
        """The names of the streams: those that are read, then those that are written."""
        return [f"%r{i}" for i in range(len(self.reads))] + [f"%w{i}" for i in range(len(self.writes))]

    @property
    def widths(self) -> list[int]:
        """The inputs or outputs that each stream carries."""
        return [*self.reads, *self.writes]

    def row(self, builder: IRBuilder, body: Body) -> list[str]:
        """Return the LLVM text of the function that goes over one row."""
        pointers = ", ".join([f"ptr {p}" for p in self.pointers] + [f"i64 %ahead{i}" for i in range(len(self.reads))])
        start = [
            f"define internal void @row({pointers}, ptr %parameters, ptr %sums, i64 %n, i64 %valid, i64 %pitch) noinline {{",
            "entry:",
        ]
        if not self.columns:
            for k in range(self.parameters):
                start += self._spread(k)
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
            self._add(builder, k, contribution)
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
                end += self._sum(k)
        return [*start, *builder.lines, *end, "ret void", "}"]

    def _spread(self, k: int) -> list[str]:
        """Return the code that spreads parameter ``k`` of a row over a vector."""
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
                    *self._column(f"pp{k}", "%parameters", self.element, k),
                    f"%p{k} = load {of}, ptr %pp{k}, align {size}",
                ]
        return [builder.value(self.precision, f"%p{k}") for k in range(self.parameters)]

    def _column(self, name: str, base: str, element: str, k: int) -> list[str]:
        """Return the code of the address of place ``i`` of column array ``k``."""
        return [
            f"%{name}k = mul i64 %pitch, {k}",
            f"%{name}i = add i64 %{name}k, %i",
            f"%{name} = getelementptr {element}, ptr {base}, i64 %{name}i",
        ]

    def _load(self, builder: IRBuilder, i: int, width: int) -> list[Value]:
        """Return the values of one step of a stream."""
        stored, count = STORED[self.storage], self.lanes * width
        builder.lines += self._fetch(builder, i, count * BYTES[self.storage]) if self.reach != "cache" else []
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
        return [self._raised(builder, name) for name in names]

    def _fetch(self, builder: IRBuilder, i: int, size: int) -> list[str]:
        """Return the code that fetches what the next row reads here; the processor itself does not look beyond a page."""
        builder.declared.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        lines = [f"%fi{i} = mul i64 %i, {size // self.lanes}", f"%fa{i} = add i64 %fi{i}, %ahead{i}"]
        for line in range(0, size, 64):
            lines += [
                f"%fl{i}l{line} = add i64 %fa{i}, {line}",
                f"%fp{i}l{line} = getelementptr i8, ptr %r{i}, i64 %fl{i}l{line}",
                f"call void @llvm.prefetch.p0(ptr %fp{i}l{line}, i32 0, i32 3, i32 1)",
            ]
        return lines

    def _raised(self, builder: IRBuilder, name: str) -> Value:
        """Return numbers as stored in the precision of the computation."""
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
        names = [self._lowered(builder, value, exact=light) for value in values]
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

    def _lowered(self, builder: IRBuilder, value: Value, *, exact: bool = True) -> str:
        """Return the name of the values rounded to the storage; subnormal ones may become zero unless it is to be exact."""
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
            kept = is_nan.chosen(quiet, near).with_bits("lshr", 16)
            return str(builder.write("bits", "float32", f"trunc <{self.lanes} x i32> {kept} to <{self.lanes} x i16>"))
        if self.storage == "float16":
            return str(
                builder.write("number", "float32", f"fptrunc <{self.lanes} x float> {value} to <{self.lanes} x half>")
            )
        return str(value)

    def _add(self, builder: IRBuilder, k: int, contribution: Value) -> None:
        """Write the code that adds a contribution to sum ``k``, of this row or of every column."""
        if self.columns:
            wide, widened = f"<{self.lanes} x double>", contribution.widened()
            builder.lines += [
                *self._column(f"sp{k}", "%sums", "double", k),
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
        name, lines = self._folded(f"%c{k}", k)
        wide = f"<{FOLDED} x double>"
        if self.element != "double":
            lines.append(f"%d{k} = fpext <{FOLDED} x {self.element}> {name} to {wide}")
            name = f"%d{k}"
        builder.lines += [*lines, f"%b{k} = fadd {wide} %a{k}, {name}"]

    def _folded(self, name: str, k: int) -> tuple[str, list[str]]:
        """Return the code that adds the halves of a vector until few lanes are left, and where the result is."""
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

    def _sum(self, k: int) -> list[str]:
        """Return the code that adds the lanes of a sum to memory."""
        return [
            f"%s{k} = call double @llvm.vector.reduce.fadd.v{FOLDED}f64(double 0.0, <{FOLDED} x double> %b{k})",
            f"%sp{k} = getelementptr double, ptr %sums, i64 {k}",
            f"%so{k} = load double, ptr %sp{k}",
            f"%sn{k} = fadd double %so{k}, %s{k}",
            f"store double %sn{k}, ptr %sp{k}",
        ]


def _is_light(lines: Sequence[str]) -> bool:
    """Tell whether so little is computed that whole lines of memory are written in one go."""
    return len(lines) < LIGHT and not any("fdiv" in line or "= call" in line for line in lines)
