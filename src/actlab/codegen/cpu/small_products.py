"""LLVM code of products of many small matrices.

A tile of the result, of up to eight rows and two vectors, is kept in registers while the sum over ``k`` runs. Rows that are left over are
computed as the last tile of eight, some of them again; columns that are left over by masks. Strides are in bytes.
"""

from __future__ import annotations

from typing import Final

import torch

__all__ = ["BYTES", "VECTOR", "module_text"]

#: Bytes of a number, of the dtypes that there is code for.
BYTES: Final = {torch.float32: 4, torch.float64: 8}

#: Bytes of a vector.
VECTOR: Final = 64
_ROWS: Final = 8
_VECTORS: Final = 2
_TILE: Final = "ptr %a, i64 %arow, i64 %acol, ptr %b, i64 %brow, ptr %c, i64 %crow, ptr %bias, i64 %k, i64 %left"


def module_text(dtype: torch.dtype) -> str:
    """Return the LLVM code of the function ``multiply`` for a dtype.

    Its arguments are: first factor, bytes from row to row and from column to column; second factor, bytes from row to row; result; bias;
    rows, columns, and terms of each sum; memory for a second factor, in whole vectors; 1 if the second factor is given as its transpose.
    """
    code = _Code(dtype)
    tiles = [code.tile(rows, vectors) for rows in (_ROWS, 1) for vectors in range(1, _VECTORS + 1)]
    return "\n".join(
        ["\n".join(lines) for lines in (*tiles, code.transpose(), code.product(), code.multiply())] + code.declared
    )


class _Code:
    """Code for a dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.size = BYTES[dtype]
        self.lanes = VECTOR // self.size
        self.number = {4: "float", 8: "double"}[self.size]
        self.vector = f"<{self.lanes} x {self.number}>"
        self.truth = f"<{self.lanes} x i1>"
        suffix = f"v{self.lanes}f{8 * self.size}"
        self.load, self.store = f"@llvm.masked.load.{suffix}.p0", f"@llvm.masked.store.{suffix}.p0"
        self.fma = f"@llvm.fma.{suffix}"
        self.declared = [
            f"declare {self.vector} {self.load}(ptr, i32, {self.truth}, {self.vector})",
            f"declare void {self.store}({self.vector}, ptr, i32, {self.truth})",
            f"declare {self.vector} {self.fma}({self.vector}, {self.vector}, {self.vector})",
        ]

    def _splat(self, name: str, number: str, of: str) -> list[str]:
        whole = f"<{self.lanes} x {of}>"
        return [
            f"{name}.one = insertelement {whole} poison, {of} {number}, i64 0",
            f"{name} = shufflevector {whole} {name}.one, {whole} poison, <{self.lanes} x i32> zeroinitializer",
        ]

    def _mask(self, name: str, left: str) -> list[str]:
        """Return code of a mask of the first lanes; ``left`` may be more than there are, or negative."""
        places = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
        return [
            *self._splat(f"{name}.left", left, "i64"),
            f"{name} = icmp slt <{self.lanes} x i64> <{places}>, {name}.left",
        ]

    def _masked_load(self, name: str, pointer: str, mask: str) -> str:
        given = f"ptr {pointer}, i32 {self.size}, {self.truth} {mask}, {self.vector} zeroinitializer"
        return f"{name} = call {self.vector} {self.load}({given})"

    def tile(self, rows: int, vectors: int) -> list[str]:
        """Return a function that computes a tile, of whose last vector ``left`` columns exist."""
        places = [(row, vector) for row in range(rows) for vector in range(vectors)]
        every, of = range(vectors), self.vector
        lines = [f"define internal void @tile{rows}x{vectors}({_TILE}) noinline {{", "entry:"]
        lines += self._mask("%mask", "%left")
        lines += self._vectors("shift", "%bias", vectors)
        lines += [f"%o{row} = mul i64 %arow, {row}" for row in range(rows)]
        lines += ["br label %loop", "loop:", "%i = phi i64 [ 0, %entry ], [ %inext, %loop ]"]
        lines += [
            "%pa = phi ptr [ %a, %entry ], [ %panext, %loop ]",
            "%pb = phi ptr [ %b, %entry ], [ %pbnext, %loop ]",
        ]
        lines += [
            f"%s{row}.{vector} = phi {self.vector} [ %shift{vector}, %entry ], [ %n{row}.{vector}, %loop ]"
            for row, vector in places
        ]
        lines += self._vectors("w", "%pb", vectors)
        for row in range(rows):
            lines += [
                f"%pa{row} = getelementptr i8, ptr %pa, i64 %o{row}",
                f"%x{row} = load {self.number}, ptr %pa{row}",
            ]
            lines += self._splat(f"%y{row}", f"%x{row}", self.number)
            lines += [
                f"%n{row}.{vector} = call {of} {self.fma}({of} %y{row}, {of} %w{vector}, {of} %s{row}.{vector})"
                for vector in every
            ]
        lines += ["%panext = getelementptr i8, ptr %pa, i64 %acol", "%pbnext = getelementptr i8, ptr %pb, i64 %brow"]
        lines += [
            "%inext = add i64 %i, 1",
            "%more = icmp slt i64 %inext, %k",
            "br i1 %more, label %loop, label %done",
            "done:",
        ]
        for row in range(rows):
            lines += [f"%r{row} = mul i64 %crow, {row}", f"%pc{row}.0 = getelementptr i8, ptr %c, i64 %r{row}"]
            for vector in every:
                if vector:
                    lines.append(f"%pc{row}.{vector} = getelementptr i8, ptr %pc{row}.0, i64 {VECTOR * vector}")
                lines.append(self._stored(f"%n{row}.{vector}", f"%pc{row}.{vector}", is_last=vector == vectors - 1))
        return [*lines, "ret void", "}"]

    def _vectors(self, name: str, pointer: str, vectors: int) -> list[str]:
        """Load the vectors of a row, the last one by the mask."""
        lines = [
            f"%{name}.p{vector} = getelementptr i8, ptr {pointer}, i64 {VECTOR * vector}" for vector in range(vectors)
        ]
        lines += [
            f"%{name}{vector} = load {self.vector}, ptr %{name}.p{vector}, align {self.size}"
            for vector in range(vectors - 1)
        ]
        return [*lines, self._masked_load(f"%{name}{vectors - 1}", f"%{name}.p{vectors - 1}", "%mask")]

    def _stored(self, value: str, pointer: str, *, is_last: bool) -> str:
        if not is_last:
            return f"store {self.vector} {value}, ptr {pointer}, align {self.size}"
        return f"call void {self.store}({self.vector} {value}, ptr {pointer}, i32 {self.size}, {self.truth} %mask)"

    def transpose(self) -> list[str]:
        """Return a function that transposes a matrix of ``n`` rows of ``k`` numbers, in blocks that are filled up with zeros."""
        lines = [
            "define internal void @transpose(ptr %from, i64 %row, i64 %n, i64 %k, ptr %to, i64 %torow) noinline {",
            "entry:",
        ]
        lines += [
            "br label %outer",
            "outer:",
            "%i = phi i64 [ 0, %entry ], [ %inext, %outerend ]",
            "br label %loop",
            "loop:",
        ]
        lines += [
            "%j = phi i64 [ 0, %outer ], [ %jnext, %loop ]",
            "%rows = sub i64 %n, %i",
            "%columns = sub i64 %k, %j",
        ]
        lines += [
            f"%jb = mul i64 %j, {self.size}",
            "%ib = mul i64 %i, %row",
            "%f0 = getelementptr i8, ptr %from, i64 %ib",
        ]
        for row in range(self.lanes):
            lines += [f"%is{row} = icmp sgt i64 %rows, {row}", f"%l{row} = select i1 %is{row}, i64 %columns, i64 0"]
            lines += self._mask(f"%m{row}", f"%l{row}")
            lines += [f"%fo{row} = mul i64 %row, {row}", f"%fb{row} = add i64 %fo{row}, %jb"]
            lines += [
                f"%fp{row} = getelementptr i8, ptr %f0, i64 %fb{row}",
                self._masked_load(f"%x0.{row}", f"%fp{row}", f"%m{row}"),
            ]
        lines += self._exchanges()
        lines += [f"%io = mul i64 %i, {self.size}", "%t0 = getelementptr i8, ptr %to, i64 %io"]
        for row in range(self.lanes):
            lines += [f"%tj{row} = add i64 %j, {row}", f"%tb{row} = mul i64 %tj{row}, %torow"]
            lines += [f"%tp{row} = getelementptr i8, ptr %t0, i64 %tb{row}"]
            lines += [f"store {self.vector} %x{self.lanes.bit_length() - 1}.{row}, ptr %tp{row}, align {self.size}"]
        lines += [
            f"%jnext = add i64 %j, {self.lanes}",
            "%jmore = icmp slt i64 %jnext, %k",
            "br i1 %jmore, label %loop, label %outerend",
        ]
        lines += [
            "outerend:",
            f"%inext = add i64 %i, {self.lanes}",
            "%imore = icmp slt i64 %inext, %n",
            "br i1 %imore, label %outer, label %done",
        ]
        return [*lines, "done:", "ret void", "}"]

    def _exchanges(self) -> list[str]:
        """Transpose a block in registers: at each stage blocks of half the size change places."""
        lines = []
        for stage in range(self.lanes.bit_length() - 1):
            half = 1 << stage
            for row in range(self.lanes):
                first, second = row & ~half, row | half
                # row of the first: its own even blocks, and the even ones of the second; row of the second: the odd ones
                shift = half if row & half else 0
                chosen = [(lane & ~half | shift) + (self.lanes if lane & half else 0) for lane in range(self.lanes)]
                mask = ", ".join(f"i32 {place}" for place in chosen)
                lines.append(
                    f"%x{stage + 1}.{row} = shufflevector {self.vector} %x{stage}.{first}, {self.vector} %x{stage}.{second}, "
                    f"<{self.lanes} x i32> <{mask}>"
                )
        return lines

    def product(self) -> list[str]:
        """Return a function that computes one product, tile by tile."""
        wide = _VECTORS * self.lanes
        lines = [
            (
                "define internal void @product(ptr %a, i64 %arow, i64 %acol, ptr %b, i64 %brow, ptr %c, ptr %bias, i64 %m, i64 %n, i64 %k) "
                "noinline {"
            )
        ]
        lines += [
            "entry:",
            f"%crow = mul i64 %n, {self.size}",
            f"%lastrow = sub i64 %m, {_ROWS}",
            "%few = icmp slt i64 %lastrow, 0",
        ]
        lines += [
            "br label %panel",
            "panel:",
            "%j = phi i64 [ 0, %entry ], [ %jnext, %panelend ]",
            f"%jb = mul i64 %j, {self.size}",
        ]
        lines += [f"%{name}p = getelementptr i8, ptr %{name}, i64 %jb" for name in ("b", "c", "bias")]
        lines += ["%columns = sub i64 %n, %j", f"%narrow = icmp sle i64 %columns, {self.lanes}"]
        lines += [f"%w = select i1 %narrow, i64 0, i64 {self.lanes}", "%left = sub i64 %columns, %w", "br label %rows"]
        lines += [
            "rows:",
            "%i = phi i64 [ 0, %panel ], [ %inext, %rowsend ]",
            "%ia = mul i64 %i, %arow",
            "%ap = getelementptr i8, ptr %a, i64 %ia",
        ]
        lines += ["%ic = mul i64 %i, %crow", "%cpp = getelementptr i8, ptr %cp, i64 %ic"]
        lines += ["br i1 %few, label %one, label %many", "many:", "br i1 %narrow, label %many1, label %many2"]
        lines += ["one:", "br i1 %narrow, label %one1, label %one2"]
        given = "ptr %ap, i64 %arow, i64 %acol, ptr %bp, i64 %brow, ptr %cpp, i64 %crow, ptr %biasp, i64 %k, i64 %left"
        for name, rows in (("many", _ROWS), ("one", 1)):
            for vectors in range(1, _VECTORS + 1):
                lines += [f"{name}{vectors}:", f"call void @tile{rows}x{vectors}({given})", f"br label %{name}end"]
        lines += ["oneend:", "%one.next = add i64 %i, 1", "br label %rowsend"]
        # the last tile ends with the last row
        lines += ["manyend:", f"%many.after = add i64 %i, {_ROWS}", "%over = icmp sgt i64 %many.after, %lastrow"]
        lines += ["%isend = icmp eq i64 %i, %lastrow", "%last = select i1 %isend, i64 %m, i64 %lastrow"]
        lines += ["%many.next = select i1 %over, i64 %last, i64 %many.after", "br label %rowsend"]
        lines += [
            "rowsend:",
            "%inext = phi i64 [ %one.next, %oneend ], [ %many.next, %manyend ]",
            "%imore = icmp slt i64 %inext, %m",
        ]
        lines += [
            "br i1 %imore, label %rows, label %panelend",
            "panelend:",
            f"%jnext = add i64 %j, {wide}",
            "%jmore = icmp slt i64 %jnext, %n",
        ]
        return [*lines, "br i1 %jmore, label %panel, label %done", "done:", "ret void", "}"]

    def multiply(self) -> list[str]:
        """Return the function that computes a product, of a second factor that is transposed first if it is given as its transpose."""
        arguments = "ptr %a, i64 %arow, i64 %acol, ptr %b, i64 %brow, ptr %c, ptr %bias, i64 %m, i64 %n, i64 %k, ptr %room, i64 %transposed"
        lines = [f"define void @multiply({arguments}) {{", "entry:", "%is = icmp ne i64 %transposed, 0"]
        lines += [
            f"%up = add i64 %n, {self.lanes - 1}",
            f"%full = and i64 %up, {-self.lanes}",
            f"%roomrow = mul i64 %full, {self.size}",
        ]
        lines += ["br i1 %is, label %turn, label %end", "turn:"]
        lines += [
            "call void @transpose(ptr %b, i64 %brow, i64 %n, i64 %k, ptr %room, i64 %roomrow)",
            "br label %end",
            "end:",
        ]
        lines += [
            "%second = phi ptr [ %b, %entry ], [ %room, %turn ]",
            "%row = phi i64 [ %brow, %entry ], [ %roomrow, %turn ]",
        ]
        given = "ptr %a, i64 %arow, i64 %acol, ptr %second, i64 %row, ptr %c, ptr %bias, i64 %m, i64 %n, i64 %k"
        return [*lines, f"call void @product({given})", "ret void", "}"]
