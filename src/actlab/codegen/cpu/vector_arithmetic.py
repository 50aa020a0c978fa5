"""Vector arithmetic for the LLVM IR builder, such as polynomials, rounding and clamping.

Each function is Python on :class:`~actlab.codegen.cpu.ir_builder.Value` and emits code without branches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actlab.codegen.cpu.ir_builder import Number, Value
from actlab.functions.formula import CAPS

__all__ = [
    "absolute",
    "capped",
    "clamp",
    "clamped",
    "fma",
    "hypot",
    "maximum",
    "minimum",
    "polynomial",
    "rounded",
    "sign",
    "signed",
    "sqrt",
    "square",
    "tamed",
    "where",
]

# Number of coefficients up to which Horner's rule is not split. Its dependency chain is long but overlaps with the next numbers, and
# a split one has more operations: with 5, GELU takes a sixth longer on a Xeon (AVX-512 and AVX2 alike). float64's tables are longer.
SHORT = 9
LARGEST = {"float32": 3.4028234663852886e38**0.5, "float64": 1.7976931348623157e308**0.5}


def fma(a: Number, b: Number, c: Number) -> Value:
    """Return ``a b + c`` with one rounding if the target has fused multiply-add."""
    vector = next(v for v in (a, b, c) if isinstance(v, Value))
    x, y, z = (v if isinstance(v, Value) else vector.builder.constant(v, vector.precision) for v in (a, b, c))
    if not vector.builder.fused:
        return x * y + z
    return vector.builder.call("fma", *sorted((x, y), key=str), z)


def polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """Return the polynomial with these coefficients, two or more, constant first: Horner's rule, long ones split into halves."""
    if len(coefficients) <= SHORT:
        total = fma(coefficients[-1], x, coefficients[-2])
        for coefficient in reversed(coefficients[:-2]):
            total = fma(total, x, coefficient)
        return total
    half = 1 << ((len(coefficients) - 1).bit_length() - 1)
    power = x
    for _ in range(half.bit_length() - 1):
        power = power * power
    above = coefficients[half:]
    return fma(polynomial(above, x) if len(above) > 1 else above[0], power, polynomial(coefficients[:half], x))


def absolute(x: Value) -> Value:
    """Return the magnitude."""
    value = x.builder.call("fabs", x)
    value.low, value.high = 0.0, max(abs(x.low), abs(x.high))
    return value


def sqrt(x: Value) -> Value:
    """Return the square root; NaN below zero."""
    return x.builder.call("sqrt", x)


def square(x: Value) -> Value:
    """Return ``x^2``."""
    value = x * x
    value.low = 0.0
    return value


def rounded(x: Value) -> Value:
    """Return the nearest integer, halves to even."""
    return x.builder.call("rint", x)


def signed(magnitude: Value, sign_of: Value) -> Value:
    """Return the magnitude with the sign of another number."""
    return magnitude.builder.call("copysign", magnitude, sign_of)


def hypot(x: Value, r: Number) -> Value:
    """Return ``sqrt(x^2 + r^2)``, and the magnitude of x where its square overflows."""
    size = absolute(x)
    value: Value = (size > LARGEST[x.precision]).select(size, sqrt(fma(x, x, r * r)))
    return value


def where(condition: Value, a: Number, b: Number) -> Value:
    """Return ``a`` where the condition holds, else ``b``."""
    return condition.select(a, b)


def maximum(a: Value, b: Number) -> Value:
    """Return the larger value; NaN in ``a`` propagates."""
    value = (a < b).select(b, a)
    low = b.low if isinstance(b, Value) else b
    value.low, value.high = max(a.low, low), max(a.high, b.high if isinstance(b, Value) else b)
    return value


def minimum(a: Value, b: Number) -> Value:
    """Return the smaller value; NaN in ``a`` propagates."""
    value = (a > b).select(b, a)
    high = b.high if isinstance(b, Value) else b
    value.low, value.high = min(a.low, b.low if isinstance(b, Value) else b), min(a.high, high)
    return value


def sign(x: Value) -> Value:
    """Return -1, 0 or 1; 0 for NaN, as in torch."""
    return (x > 0.0).select(1.0, (x < 0.0).select(-1.0, 0.0))


def clamped(x: Value, side: float) -> Value:
    """Clamp ``x`` to at most the square root of the largest number, from below (-1), above (1) or on both sides (0)."""
    bounded = maximum(x, -LARGEST[x.precision]) if side <= 0 else x
    return minimum(bounded, LARGEST[x.precision]) if side >= 0 else bounded


def tamed(x: Value) -> Value:
    """Clamp an exponent from above so that its exponential stays within the bound of :func:`clamped`."""
    return minimum(x, math.log(LARGEST[x.precision]))


def capped(x: Value, times: float) -> Value:
    """Clamp an exponent from above so that its exponential to the power ``times`` is finite."""
    return clamp(x, -math.inf, CAPS[x.precision][int(times)])


def clamp(x: Value, low: float, high: float) -> Value:
    """Return ``x`` clamped to two bounds; of a vector times a number the vector is clamped, so that the number can still be folded."""
    y, factor = x.origin or (x, 1.0)
    ends = sorted((low / factor, high / factor))
    bounded = maximum(y, ends[0]) if y.low < ends[0] else y
    bounded = minimum(bounded, ends[1]) if y.high > ends[1] else bounded
    value = bounded * factor
    value.low, value.high = max(x.low, low), min(x.high, high)
    return value
