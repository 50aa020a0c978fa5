"""Bit loops: LLVM code that carries vector arithmetic over numbers in memory, beside streams of one bit for each number.

Lighter than :mod:`actlab.codegen.cpu.row_body`: no rows, no parameters, no sums. What does not fill a vector at
the end goes through the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.dtypes import BYTES, STORED, Storage, precision_of
from actlab.codegen.cpu.ir_builder import IRBuilder, Value
from actlab.codegen.cpu.row_body import Loop

__all__ = ["BitLoop", "Body"]

Body: TypeAlias = Callable[[IRBuilder, dict[str, Value]], dict[str, Value]]
STEP = 128  # bytes computed with at once, as in the other kernels


@dataclass(frozen=True, kw_only=True)
class BitLoop:
    """A pass over numbers in a row, without parameters.

    Attributes:
        storage: of the numbers in memory.
        reads: names of the streams that are read; "bits" is one of single bits.
        writes: names of the streams that are written, likewise.
        keyed: whether the body hashes places, with the two words of a key.
    """

    storage: Storage
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    keyed: bool

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the pointers, those that are read first."""
        return (*(f"%r_{name}" for name in self.reads), *(f"%w_{name}" for name in self.writes))

    @property
    def lanes(self) -> int:
        """Numbers per step."""
        return STEP // BYTES[precision_of(self.storage)]

    def text(self, body: Body) -> str:
        """Return the LLVM code of ``kernel``: it takes a pointer for each stream, first and last place, and the two words of the key."""
        builder = IRBuilder(lanes=self.lanes, fused=jit.fuses())
        pointers = ", ".join(f"ptr {name}" for name in self.streams)
        step = self._step(builder, body)
        at = [line for name in self.streams for line in self._address(name, "%i")]
        tail = [line for name in self.streams for line in self._address(name, "%i", "t")]
        buffers = [f"%b{name[1:]} = alloca [{self._bytes(name)} x i8], align 64" for name in self.streams]
        here = ", ".join(f"ptr %at{name[1:]}" for name in self.streams)
        aside = ", ".join(f"ptr %b{name[1:]}" for name in self.streams)
        return "\n".join(
            [
                f"define internal void @step({pointers}, i64 %at, i32 %k0, i32 %k1) alwaysinline {{",
                *step,
                "ret void",
                "}",
                f"define void @kernel({pointers}, i64 %first, i64 %last, i32 %k0, i32 %k1) {{",
                "entry:",
                *buffers,
                "br label %head",
                "head:",
                "%i = phi i64 [ %first, %entry ], [ %j, %whole ]",
                f"%j = add i64 %i, {self.lanes}",
                "%fits = icmp sle i64 %j, %last",
                "br i1 %fits, label %whole, label %rest",
                "whole:",
                *at,
                f"call void @step({here}, i64 %i, i32 %k0, i32 %k1)",
                "br label %head",
                "rest:",
                "%left = sub i64 %last, %i",
                "%some = icmp sgt i64 %left, 0",
                "br i1 %some, label %part, label %done",
                "part:",
                *tail,
                *self._moved("r", into=True),
                f"call void @step({aside}, i64 %i, i32 %k0, i32 %k1)",
                *self._moved("w", into=False),
                "br label %done",
                "done:",
                "ret void",
                "}",
                *sorted(builder.declared),
                "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
                '!1 = !{!"branch_weights", i32 1, i32 1000000}',
            ]
        )

    def _bytes(self, name: str) -> int:
        return self.lanes // 8 if name.endswith("_bits") else self.lanes * BYTES[self.storage]

    def _address(self, name: str, place: str, prefix: str = "") -> list[str]:
        key = name[1:]
        if name.endswith("_bits"):
            return [
                f"%o{prefix}{key} = lshr i64 {place}, 3",
                f"%{prefix}at{key} = getelementptr i8, ptr {name}, i64 %o{prefix}{key}",
            ]
        return [f"%{prefix}at{key} = getelementptr {STORED[self.storage]}, ptr {name}, i64 {place}"]

    def _moved(self, side: str, *, into: bool) -> list[str]:
        """Return the code that carries what is left through the stack; bits are as many bytes as there are, the last one whole."""
        lines = []
        for name in self.streams:
            if name[1] != side:
                continue
            key = name[1:]
            if name.endswith("_bits"):
                lines += [f"%up{key} = add i64 %left, 7", f"%z{key} = lshr i64 %up{key}, 3"]
            else:
                lines.append(f"%z{key} = mul i64 %left, {BYTES[self.storage]}")
            to, from_ = (f"%b{key}", f"%tat{key}") if into else (f"%tat{key}", f"%b{key}")
            if into:
                lines.append(f"store [{self._bytes(name)} x i8] zeroinitializer, ptr %b{key}")
            lines.append(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {from_}, i64 %z{key}, i1 false)")
        return lines

    def _step(self, builder: IRBuilder, body: Body) -> list[str]:
        """Return the code of one step, which reads, computes and writes one vector of every stream."""
        numbers = Loop(storage=self.storage, reads=(1,), writes=(1,), lanes=self.lanes, fused=jit.fuses())
        stored, lanes = STORED[self.storage], self.lanes
        given: dict[str, Value] = {}
        for name in self.reads:
            if name == "bits":
                builder.lines += [
                    f"%word = load i{lanes}, ptr %r_bits, align 1",
                    f"%truths = bitcast i{lanes} %word to <{lanes} x i1>",
                ]
                given[name] = builder.value(precision_of(self.storage), "%truths", "truth")
            else:
                builder.lines.append(
                    f"%v_{name} = load <{lanes} x {stored}>, ptr %r_{name}, align {BYTES[self.storage]}"
                )
                given[name] = numbers._raised(builder, f"%v_{name}")
        if self.keyed:
            builder.lines += self._places()
        for name, value in body(builder, given).items():
            if name == "bits":
                builder.lines += [
                    f"%made = bitcast <{lanes} x i1> {value} to i{lanes}",
                    f"store i{lanes} %made, ptr %w_bits, align 1",
                ]
            else:
                lowered = numbers._lowered(builder, value)
                builder.lines.append(
                    f"store <{lanes} x {stored}> {lowered}, ptr %w_{name}, align {BYTES[self.storage]}"
                )
        return builder.lines

    def _places(self) -> list[str]:
        """Return the code of the vectors of places, modulo 2^32, and of the key's words."""
        of = f"<{self.lanes} x i32>"
        steps = ", ".join(f"i32 {lane}" for lane in range(self.lanes))
        lines = ["%at32 = trunc i64 %at to i32"]
        for name, scalar in (("start", "%at32"), ("key0", "%k0"), ("key1", "%k1")):
            lines += [
                f"%i_{name} = insertelement {of} poison, i32 {scalar}, i64 0",
                f"%{name} = shufflevector {of} %i_{name}, {of} poison, {of} zeroinitializer",
            ]
        return [*lines, f"%place = add {of} %start, <{steps}>"]
