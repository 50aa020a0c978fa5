"""LLVM code of a loop over a flat array, with optional streams of one bit per number.

Simpler than :mod:`actlab.codegen.cpu.row_body`: no rows, no parameters, no sums. The remainder that does not fill a vector is processed
in buffers on the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.dtypes import BYTES, STORED, Storage, precision_of
from actlab.codegen.cpu.ir_builder import IRBuilder, Value
from actlab.codegen.cpu.row_body import RowLoop

__all__ = ["BitLoop", "Body"]

Body: TypeAlias = Callable[[IRBuilder, dict[str, Value]], dict[str, Value]]
STEP = 128  # bytes per step, as in the other kernels


@dataclass(frozen=True, kw_only=True)
class BitLoop:
    """Layout of a pass over a flat array, without parameters.

    Attributes:
        storage: dtype of the numbers in memory.
        reads: names of the streams that are read; "bits" is a stream of single bits.
        writes: names of the streams that are written; "bits" as above.
        keyed: whether the body hashes element indices with the two words of a key.
    """

    storage: Storage
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    keyed: bool

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the stream pointers: those that are read, then those that are written."""
        return (*(f"%r_{name}" for name in self.reads), *(f"%w_{name}" for name in self.writes))

    @property
    def lanes(self) -> int:
        """Numbers per step."""
        return STEP // BYTES[precision_of(self.storage)]

    def text(self, body: Body) -> str:
        """Return the LLVM code of ``kernel(stream pointers, first index, last index, two words of the key)``."""
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
                *self._copy_remainder("r", into=True),
                f"call void @step({aside}, i64 %i, i32 %k0, i32 %k1)",
                *self._copy_remainder("w", into=False),
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

    def _address(self, name: str, index: str, prefix: str = "") -> list[str]:
        key = name[1:]
        if name.endswith("_bits"):
            return [
                f"%o{prefix}{key} = lshr i64 {index}, 3",
                f"%{prefix}at{key} = getelementptr i8, ptr {name}, i64 %o{prefix}{key}",
            ]
        return [f"%{prefix}at{key} = getelementptr {STORED[self.storage]}, ptr {name}, i64 {index}"]

    def _copy_remainder(self, side: str, *, into: bool) -> list[str]:
        """Return the code that copies the remainder to or from the stack buffers; of bits, all bytes that hold one."""
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
        layout = RowLoop(storage=self.storage, reads=(1,), writes=(1,), lanes=self.lanes, fused=jit.fuses())
        stored, lanes = STORED[self.storage], self.lanes
        inputs: dict[str, Value] = {}
        for name in self.reads:
            if name == "bits":
                builder.lines += [
                    f"%word = load i{lanes}, ptr %r_bits, align 1",
                    f"%truths = bitcast i{lanes} %word to <{lanes} x i1>",
                ]
                inputs[name] = builder.value(precision_of(self.storage), "%truths", "truth")
            else:
                builder.lines.append(
                    f"%v_{name} = load <{lanes} x {stored}>, ptr %r_{name}, align {BYTES[self.storage]}"
                )
                inputs[name] = layout.upcast(builder, f"%v_{name}")
        if self.keyed:
            builder.lines += self._indices()
        for name, value in body(builder, inputs).items():
            if name == "bits":
                builder.lines += [
                    f"%made = bitcast <{lanes} x i1> {value} to i{lanes}",
                    f"store i{lanes} %made, ptr %w_bits, align 1",
                ]
            else:
                stored_value = layout.downcast(builder, value)
                builder.lines.append(
                    f"store <{lanes} x {stored}> {stored_value}, ptr %w_{name}, align {BYTES[self.storage]}"
                )
        return builder.lines

    def _indices(self) -> list[str]:
        """Return the code of the vectors of element indices, modulo 2^32, and of the words of the key."""
        of = f"<{self.lanes} x i32>"
        steps = ", ".join(f"i32 {lane}" for lane in range(self.lanes))
        lines = ["%at32 = trunc i64 %at to i32"]
        for name, scalar in (("start", "%at32"), ("key0", "%k0"), ("key1", "%k1")):
            lines += [
                f"%i_{name} = insertelement {of} poison, i32 {scalar}, i64 0",
                f"%{name} = shufflevector {of} %i_{name}, {of} poison, {of} zeroinitializer",
            ]
        return [*lines, f"%place = add {of} %start, <{steps}>"]
