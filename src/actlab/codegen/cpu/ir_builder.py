"""LLVM IR builder with vector values whose operators emit instructions.

Elementary functions and printed formulas are ordinary Python on :class:`Value`; running them once with a builder gives the code of a loop
body. An instruction is emitted only once, so subexpressions that two formulas share are computed once. Vectors are explicit, so nothing
depends on LLVM's auto-vectorizer.

Example:
    >>> builder = IRBuilder(lanes=4)
    >>> x = builder.value("float32", "%x")
    >>> y = x * x + x * x
    >>> builder.lines
    ['%v0 = fmul contract <4 x float> %x, %x', '%v1 = fadd contract <4 x float> %v0, %v0']
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["IRBuilder", "Number", "Precision", "Value"]

Precision: TypeAlias = Literal["float32", "float64"]
Kind: TypeAlias = Literal["number", "bits", "truth"]
ELEMENT = {
    ("number", "float32"): "float",
    ("number", "float64"): "double",
    ("bits", "float32"): "i32",
    ("bits", "float64"): "i64",
    ("truth", "float32"): "i1",
    ("truth", "float64"): "i1",
}
SUFFIX = {"float": "f32", "double": "f64", "i32": "i32", "i64": "i64"}


@dataclass(kw_only=True)
class IRBuilder:
    """Emits straight-line vector code.

    Attributes:
        lanes: numbers per vector.
        fused: whether the target has fused multiply-add.
        lines: the instructions emitted so far.
        declared: declarations of the intrinsics that were called.
    """

    lanes: int
    fused: bool = True
    lines: list[str] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    _known: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def type(self, kind: Kind, precision: Precision) -> str:
        """Return the vector type of a kind of value."""
        return f"<{self.lanes} x {ELEMENT[kind, precision]}>"

    def value(self, precision: Precision, name: str, kind: Kind = "number") -> Value:
        """Return the value called ``name`` in the code."""
        return Value(self, kind, precision, name)

    def name(self) -> str:
        """Return an unused name."""
        self._count += 1
        return f"%v{self._count - 1}"

    def write(self, kind: Kind, precision: Precision, code: str) -> Value:
        """Emit ``code`` under a new name, unless it has been emitted before, and return its value."""
        if code not in self._known:
            self._known[code] = self.name()
            self.lines.append(f"{self._known[code]} = {code}")
        return self.value(precision, self._known[code], kind)

    def constant(self, number: float, precision: Precision) -> Value:
        """Return the number in every lane."""
        element = ELEMENT["number", precision]
        value = self.value(precision, self.splat(f"{element} {_literal(number, precision)}"))
        value.low = value.high = number
        return value

    def splat(self, scalar: str) -> str:
        """Return the text of the constant vector of a typed scalar."""
        return "<" + ", ".join([scalar] * self.lanes) + ">"

    def call(self, intrinsic: str, *arguments: Value) -> Value:
        """Emit the call of an LLVM intrinsic on numbers."""
        first = arguments[0]
        of = self.type("number", first.precision)
        name = f"@llvm.{intrinsic}.v{self.lanes}{SUFFIX[ELEMENT['number', first.precision]]}"
        self.declared.add(f"declare {of} {name}({', '.join([of] * len(arguments))})")
        return self.write("number", first.precision, f"call {of} {name}({', '.join(f'{of} {a}' for a in arguments)})")

    def unless(self, rare: Value, usual: Value, otherwise: Callable[[], Value]) -> Value:
        """Return ``usual`` if no lane is ``rare``, else the result of ``otherwise``, computed in a separate branch."""
        before, slow, after, any_lane = (self.name()[1:] for _ in range(4))
        of, truth = self.type("number", usual.precision), self.type("truth", usual.precision)
        reduce = f"@llvm.vector.reduce.or.v{self.lanes}i1"
        self.declared.add(f"declare i1 {reduce}({truth})")
        self.lines += [
            f"br label %{before}",
            f"{before}:",
            f"%{any_lane} = call i1 {reduce}({truth} {rare})",
            f"br i1 %{any_lane}, label %{slow}, label %{after}, !prof !1",
            f"{slow}:",
        ]
        known = dict(self._known)
        other = otherwise()
        self._known = known  # values of the branch are not defined after it
        result = self.name()
        self.lines += [
            f"br label %{after}",
            f"{after}:",
            f"{result} = phi {of} [ {usual}, %{before} ], [ {other}, %{slow} ]",
        ]
        return self.value(usual.precision, result)


def _literal(number: float, precision: Precision) -> str:
    """Return a number as an LLVM literal: the hexadecimal digits of the double, rounded to the precision."""
    if precision == "float32" and math.isfinite(number):
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            number = math.copysign(math.inf, number)
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


@dataclass(eq=False)
class Value:
    """A vector of numbers, of their bits, or of truth values. Operators emit code; comparisons with NaN are false.

    Attributes:
        builder: the builder that emits the code.
        kind: kind of the elements.
        precision: precision of the numbers, or of the numbers whose bits or comparison these are.
        text: name or constant in the code.
        low: known lower bound, for functions that are cheaper on a part of the line; elements may still be NaN.
        high: known upper bound.
        origin: if this is a vector times a number, these two; lets a further multiplication by a number be folded.
    """

    builder: IRBuilder
    kind: Kind
    precision: Precision
    text: str
    low: float = -math.inf
    high: float = math.inf
    origin: tuple[Value, float] | None = None

    def __str__(self) -> str:
        return self.text

    def _as_value(self, other: Number) -> Value:
        return other if isinstance(other, Value) else self.builder.constant(float(other), self.precision)

    def _infix(self, operation: str, left: Number, right: Number) -> Value:
        a, b = self._as_value(left), self._as_value(right)
        if operation in {"fadd", "fmul"} and b.text < a.text:
            a, b = b, a
        of = self.builder.type("number", self.precision)
        return self.builder.write("number", self.precision, f"{operation} contract {of} {a}, {b}")

    def __add__(self, other: Number) -> Value:
        return self._infix("fadd", self, other)

    def __sub__(self, other: Number) -> Value:
        return self._infix("fsub", self, other)

    def __rsub__(self, other: Number) -> Value:
        return self._infix("fsub", other, self)

    def __mul__(self, other: Number) -> Value:
        if isinstance(other, float | int):
            if other == 1.0:
                return self
            if other == -1.0:
                return -self
        product = self._infix("fmul", self, other)
        if isinstance(other, float | int) and other:
            product.low, product.high = _scaled(self.low, self.high, float(other))
            product.origin = (self.origin[0], self.origin[1] * other) if self.origin else (self, float(other))
        return product

    def __truediv__(self, other: Number) -> Value:
        return self._infix("fdiv", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return self._infix("fdiv", other, self)

    def __neg__(self) -> Value:
        of = self.builder.type("number", self.precision)
        value = self.builder.write("number", self.precision, f"fneg {of} {self}")
        value.low, value.high = -self.high, -self.low
        value.origin = (self.origin[0], -self.origin[1]) if self.origin else (self, -1.0)
        return value

    __radd__ = __add__
    __rmul__ = __mul__

    def _compare(self, predicate: str, other: Number) -> Value:
        of = self.builder.type("number", self.precision)
        return self.builder.write("truth", self.precision, f"fcmp {predicate} {of} {self}, {self._as_value(other)}")

    def __lt__(self, other: Number) -> Value:
        return self._compare("olt", other)

    def __le__(self, other: Number) -> Value:
        return self._compare("ole", other)

    def __gt__(self, other: Number) -> Value:
        return self._compare("ogt", other)

    def __ge__(self, other: Number) -> Value:
        return self._compare("oge", other)

    def equal(self, other: Number) -> Value:
        """Return the truth values of equality."""
        return self._compare("oeq", other)

    def select(self, a: Number, b: Number) -> Value:
        """Return ``a`` where this truth value holds, else ``b``; numbers become vectors of ``self.precision``."""
        left, right = self._as_value(a), self._as_value(b)
        of, truth = self.builder.type(left.kind, left.precision), self.builder.type("truth", self.precision)
        value = self.builder.write(left.kind, left.precision, f"select {truth} {self}, {of} {left}, {of} {right}")
        value.low, value.high = min(left.low, right.low), max(left.high, right.high)
        return value

    def bits(self) -> Value:
        """Return the bits of the numbers."""
        return self._cast("bitcast", "bits", self.precision)

    def number(self) -> Value:
        """Return the numbers with these bits."""
        return self._cast("bitcast", "number", self.precision)

    def int_to_number(self) -> Value:
        """Return bits, read as signed integers, converted to numbers."""
        return self._cast("sitofp", "number", self.precision)

    def widened(self) -> Value:
        """Return float32 numbers as float64."""
        return self if self.precision == "float64" else self._cast("fpext", "number", "float64")

    def narrowed(self, precision: Precision) -> Value:
        """Return float64 numbers converted to the precision."""
        return self if self.precision == precision else self._cast("fptrunc", "number", precision)

    def _cast(self, how: str, kind: Kind, precision: Precision) -> Value:
        source, to = self.builder.type(self.kind, self.precision), self.builder.type(kind, precision)
        return self.builder.write(kind, precision, f"{how} {source} {self} to {to}")

    def with_bits(self, operation: str, other: int | Value) -> Value:
        """Return ``and``, ``or``, ``xor``, ``add``, ``sub``, ``mul``, ``shl`` or ``lshr`` of bits with an integer or with bits."""
        of = self.builder.type("bits", self.precision)
        right = other if isinstance(other, Value) else self.builder.splat(f"{ELEMENT['bits', self.precision]} {other}")
        return self.builder.write("bits", self.precision, f"{operation} {of} {self}, {right}")

    def some_bits(self, mask: int) -> Value:
        """Return the truth values of "any bit of the mask is set"."""
        of = self.builder.type("bits", self.precision)
        return self.builder.write(
            "truth", self.precision, f"icmp ne {of} {self.with_bits('and', mask)}, zeroinitializer"
        )


Number: TypeAlias = Value | float


def _scaled(low: float, high: float, factor: float) -> tuple[float, float]:
    ends = (low * factor, high * factor)
    return min(ends), max(ends)
