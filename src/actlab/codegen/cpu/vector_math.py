"""Elementary functions as vector code without branches: what the primitives are called in the CPU reading.

Each is Python on :class:`~actlab.codegen.cpu.ir_builder.Value`. Polynomials are our own minimax fits (:mod:`actlab.codegen.minimax`); the
reductions are the textbook's (Muller, Elementary Functions, 2016). NaN passes through, infinities give the limit. Results that would be
subnormal are flushed to zero. Bounds on the error, over all of float32, are asserted by ``tests/codegen/cpu/test_vector_math.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from actlab.codegen.cpu.ir_builder import Number, Value
from actlab.codegen.minimax import (
    ARCTANGENT,
    COSINE,
    ERROR_FUNCTION,
    EXPONENTIAL,
    LOGARITHM,
    LOGARITHM_OF_UP_TO_TWO,
    NORMAL_TAIL,
    SHIFT,
    SINE,
)
from actlab.functions.formula import CAPS

__all__ = ["NAMES"]

LOG_2 = math.log(2)
MANTISSA = {"float32": 23, "float64": 52}
BIAS = {"float32": 127, "float64": 1023}
LOG_2_HIGH = {"float32": 355 / 512, "float64": round(LOG_2 * 2**32) / 2**32}  # k times it is exact
LOG_2_LOW = {key: LOG_2 - high + 2.3190468138462996e-17 for key, high in LOG_2_HIGH.items()}
PI_HALVES = {  # pi/2 in three parts, each rounded to the precision
    "float32": (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    "float64": (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
FAR = {"float32": 2.0**20, "float64": 2.0**30}  # beyond it sine and cosine ask the C library
# Coefficients up to which Horner's rule is not split. Its chain is long, but the next numbers' chain is computed beside it, and a split one
# has more operations: at 5, GELU takes a sixth longer on a Xeon (AVX-512 and AVX2 alike). float64's tables are longer.
SHORT = 9
LARGEST = {"float32": 3.4028234663852886e38**0.5, "float64": 1.7976931348623157e308**0.5}
ZERO_BELOW = {"float32": -88.0, "float64": -709.0}  # an exponent at which the power of two is exactly 0
HALF_ZERO_BELOW = {"float32": -87.5, "float64": -708.5}  # one at which half of it is
HALF_INFINITE_ABOVE = {"float32": 89.5, "float64": 710.5}  # one at which half of it is infinite
LOST_OF_LOG_2 = {"float32": 1.925963033500997e-08, "float64": 2.0355273740931033e-17}  # 1/log 2 less its rounding
INFINITE = {"float32": 89.0, "float64": 710.0}  # an exponent whose power of two is infinite


def fma(a: Number, b: Number, c: Number) -> Value:
    """Return ``a b + c`` in one rounding where the target can."""
    one = next(v for v in (a, b, c) if isinstance(v, Value))
    x, y, z = (v if isinstance(v, Value) else one.builder.constant(v, one.precision) for v in (a, b, c))
    if not one.builder.fused:
        return x * y + z
    return one.builder.call("fma", *sorted((x, y), key=str), z)


def polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """Return the polynomial with these coefficients, constant first: Horner's rule, on branches that are computed at once."""
    if len(coefficients) <= SHORT:
        total: Number = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            total = fma(total, x, coefficient)
        assert isinstance(total, Value)  # noqa: S101 every table has two coefficients
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
    """Return the nearest whole number, halves to even."""
    return x.builder.call("rint", x)


def signed(magnitude: Value, sign_of: Value) -> Value:
    """Return the magnitude with the sign of another number."""
    return magnitude.builder.call("copysign", magnitude, sign_of)


def where(condition: Value, a: Number, b: Number) -> Value:
    """Return ``a`` where the condition holds, else ``b``."""
    return condition.chosen(a, b)


def maximum(a: Value, b: Number) -> Value:
    """Return the larger; NaN in ``a`` passes through."""
    value = (a < b).chosen(b, a)
    low = b.low if isinstance(b, Value) else b
    value.low, value.high = max(a.low, low), max(a.high, b.high if isinstance(b, Value) else b)
    return value


def minimum(a: Value, b: Number) -> Value:
    """Return the smaller; NaN in ``a`` passes through."""
    value = (a > b).chosen(b, a)
    high = b.high if isinstance(b, Value) else b
    value.low, value.high = min(a.low, b.low if isinstance(b, Value) else b), min(a.high, high)
    return value


def sign(x: Value) -> Value:
    """Return -1, 0 or 1; 0 for NaN, as torch has it."""
    return (x > 0.0).chosen(1.0, (x < 0.0).chosen(-1.0, 0.0))


def clamped(x: Value, side: float) -> Value:
    """Hold ``x`` far inside the finite numbers, from below (-1), above (1) or on both sides (0)."""
    held = maximum(x, -LARGEST[x.precision]) if side <= 0 else x
    return minimum(held, LARGEST[x.precision]) if side >= 0 else held


def tamed(x: Value) -> Value:
    """Hold an exponent where its exponential reaches the bound of :func:`clamped`."""
    return minimum(x, math.log(LARGEST[x.precision]))


def capped(x: Value, times: float) -> Value:
    """Hold an exponent from above where its exponential to the power ``times`` is still finite."""
    return _within(x, -math.inf, CAPS[x.precision][int(times)])


def _within(x: Value, low: float, high: float) -> Value:
    """Return ``x`` held between two numbers; of a product the one factor is held, so that the other may go into the next one."""
    y, factor = x.origin or (x, 1.0)
    ends = sorted((low / factor, high / factor))
    held = maximum(y, ends[0]) if y.low < ends[0] else y
    held = minimum(held, ends[1]) if y.high > ends[1] else held
    value = held * factor
    value.low, value.high = max(x.low, low), min(x.high, high)
    return value


def _reduced(x: Value, *, half: bool = False) -> tuple[Value, Value]:
    """Return ``2^n``, or half of it, and ``2^r - 1`` for ``x = (n + r) log 2``; x is held where the power is 0 or infinite.

    Where the exponential grows without bound, what ``1/log 2`` loses to rounding is added: it counts by x.
    """
    p = x.precision
    bounds = (HALF_ZERO_BELOW[p], HALF_INFINITE_ABOVE[p]) if half else (ZERO_BELOW[p], math.inf)
    held = _within(x, *bounds)
    y, factor = held.origin if held.origin and not half else (held, 1.0)
    shift = 1.5 * 2.0 ** MANTISSA[p] + BIAS[p] - half  # adding it leaves the power's exponent in the lowest bits
    moved = fma(y, factor / LOG_2, shift)
    r = fma(y, factor / LOG_2, -(moved - shift))
    if half:
        r = fma(y, LOST_OF_LOG_2[p], r)
    power = moved.bits().with_bits("shl", MANTISSA[p]).number()
    return power, r * polynomial(EXPONENTIAL[p], r)


def exp(x: Value) -> Value:
    """Return ``e^x``; 0 where it would be subnormal, infinity where it overflows."""
    p = x.precision
    if x.high <= INFINITE[p]:
        power, rest = _reduced(x)
        value = power * (rest + 1.0) if x.high > CAPS[p][1] else fma(power, rest, power)
    else:  # half the power twice: the largest numbers need an exponent one above the largest
        power, rest = _reduced(x, half=True)
        value = power * fma(rest, 2.0, 2.0)
    value.low = 0.0
    value.high = 1.0 if x.high <= 0 else math.inf
    return value


def expm1(x: Value) -> Value:
    """Return ``e^x - 1`` without cancellation near zero."""
    p = x.precision
    if x.high <= CAPS[p][1]:
        power, rest = _reduced(x)
        value = fma(power, rest, power - 1.0)
        value.low = -1.0
        return value
    power, rest = _reduced(x, half=True)
    half = fma(power, rest, power - 0.5)
    return (x > CAPS[p][1]).chosen(exp(x), half + half)  # further up the power is infinite and its rest negative


def sigmoid(x: Value) -> Value:
    """Return ``1 / (1 + e^-x)``."""
    return 1.0 / (exp(_within(-x, -math.inf, INFINITE[x.precision])) + 1.0)


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent as ``m / (m + 2)``, m = e^(2x) - 1, which cancels nowhere."""
    m = expm1(capped(x * 2.0, 1))
    return m / (m + 2.0)


def _mantissa(x: Value) -> tuple[Value, Value, Value]:
    """Return m in [sqrt(1/2), sqrt(2)), k and the bits of ``k + BIAS`` with ``x = m 2^k``, for positive normal x."""
    p, low = x.precision, {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}[x.precision]
    one = BIAS[p] << MANTISSA[p]
    moved = x.bits().with_bits("add", one - low)
    exponent = moved.with_bits("lshr", MANTISSA[p])
    m = moved.with_bits("and", (1 << MANTISSA[p]) - 1).with_bits("add", low).number()
    return m, _count(exponent) - float(BIAS[p]), exponent


def _count(bits: Value) -> Value:
    """Return small whole numbers in bits as numbers; AVX2 converts no 64-bit ones, so they become the lowest bits of 2^52."""
    if bits.precision == "float32":
        return bits.whole()
    return bits.with_bits("or", 0x4330000000000000).number() - 2.0**52


def _log_of_quotient(s: Value, coefficients: Sequence[float]) -> tuple[Value, Value]:
    """Return ``log((1 + s)/(1 - s))`` in two terms, the larger one ``2 s``."""
    z = s * s
    return s + s, s * z * polynomial(coefficients, z)


def _with_exponent(k: Value, terms: tuple[Value, Value]) -> Value:
    """Return ``k log 2`` plus the terms, the small ones first."""
    p = k.precision
    return fma(k, LOG_2_HIGH[p], terms[0] + fma(k, LOG_2_LOW[p], terms[1]))


def log(x: Value) -> Value:
    """Return the natural logarithm; minus infinity at zero, NaN below."""
    p = x.precision
    smallest = {"float32": 2.0**-126, "float64": 2.0**-1022}[p]
    tiny = x < smallest
    lift = MANTISSA[p] + 1
    m, k, _ = _mantissa(tiny.chosen(x * 2.0**lift, x))
    value = _with_exponent(tiny.chosen(k - float(lift), k), _log_of_quotient((m - 1.0) / (m + 1.0), LOGARITHM[p]))
    value = (x > 0.0).chosen(value, x.equal(0.0).chosen(-math.inf, math.nan))
    return (x < math.inf).chosen(value, x * x)  # infinity, NaN, and their like


def log1p(x: Value) -> Value:
    """Return ``log(1 + x)`` without cancellation near zero; minus infinity at -1, NaN below."""
    p = x.precision
    if x.low >= 0 and x.high <= 1:
        large, small = _log_of_quotient(x / (x + 2.0), LOGARITHM_OF_UP_TO_TWO[p])
        return large + small
    u = x + 1.0
    lost = x - (u - 1.0)
    m, k, exponent = _mantissa(u)
    back = (
        x.builder.value(p, x.builder.splat(f"{'i32' if p == 'float32' else 'i64'} {2 * BIAS[p]}"), "bits")
        .with_bits("sub", exponent)
        .with_bits("shl", MANTISSA[p])
        .number()
    )
    f = m - 1.0 + (x < 2.0**60).chosen(lost * back, 0.0)  # of larger ones the power has no exponent
    value = _with_exponent(k, _log_of_quotient(f / (f + 2.0), LOGARITHM[p]))
    value = (x > -1.0).chosen(value, x.equal(-1.0).chosen(-math.inf, math.nan))
    return (x < math.inf).chosen(value, x * x)


def softplus(x: Value) -> Value:
    """Return ``log(1 + e^x)`` as ``max(x, 0) + log1p(e^-|x|)``."""
    value = maximum(x, 0.0) + log1p(exp(-absolute(x)))
    value.low = 0.0
    return value


def logsigmoid(x: Value) -> Value:
    """Return ``log sigmoid(x)``."""
    return -softplus(-x)


def asinh(x: Value) -> Value:
    """Return the inverse hyperbolic sine by log1p of the magnitude; of large ones by ``log(2 |x|)``, whose square would overflow."""
    a = absolute(x)
    big = a > {"float32": 2.0**40, "float64": 2.0**400}[x.precision]
    s = a * a
    argument = big.chosen(a, a + s / (sqrt(s + 1.0) + 1.0))
    return signed(log1p(argument) + big.chosen(LOG_2, 0.0), x)


def atan(x: Value) -> Value:
    """Return the inverse tangent; beyond 1 as a right angle less that of the reciprocal."""
    a = absolute(x)
    beyond = a > 1.0
    t = beyond.chosen(1.0 / a, a)
    z = t * t
    value = fma(t * z, polynomial(ARCTANGENT[x.precision], z), t)
    return signed(beyond.chosen(math.pi / 2 - value, value), x)


def _normal_tail(z: Value, density: Value) -> Value:
    """Return ``1 - Phi(z)`` for z >= 0, given ``e^(-z^2/2)``."""
    shift = SHIFT[z.precision]
    w = 1.0 / (z + shift)
    return density * (polynomial(NORMAL_TAIL[z.precision], fma(w, -2 * shift, 1.0)) * w)


def normal_cdf(x: Value) -> Value:
    """Return the distribution function of N(0, 1); in the left tail relative to itself, up to the rounding of ``x^2``."""
    s = square(x)
    tail = _normal_tail(absolute(x), exp(s * -0.5))
    return (x > 0.0).chosen(1.0 - tail, tail)


def erf(x: Value) -> Value:
    """Return the error function: an odd polynomial up to 1, beyond it by the normal tail."""
    a = absolute(x)
    s = square(x)
    near = x * polynomial(ERROR_FUNCTION[x.precision], s)
    tail = _normal_tail(a * math.sqrt(2), exp(-s))
    return (a < 1.0).chosen(near, signed(fma(tail, -2.0, 1.0), x))


def _circular(x: Value, quarter: int) -> Value:
    """Return ``sin(x + quarter pi/2)`` for ``|x|`` up to ``FAR``."""
    p = x.precision
    shift = 1.5 * 2.0 ** MANTISSA[p]
    moved = fma(x, 2 / math.pi, shift)
    k = moved - shift
    r = x
    for part in PI_HALVES[p]:
        r = fma(k, -part, r)
    z = r * r
    sine = fma(r * z, polynomial(SINE[p], z), r)
    cosine = fma(z * z, polynomial(COSINE[p], z), fma(z, -0.5, 1.0))
    turn = moved.bits().with_bits("add", quarter) if quarter else moved.bits()
    value = turn.some_bits(1).chosen(cosine, sine)
    flip = turn.with_bits("and", 2).with_bits("shl", {"float32": 30, "float64": 62}[p])
    return value.bits().with_bits("xor", flip).number()


def sin(x: Value) -> Value:
    """Return the sine; of arguments beyond ``FAR`` the C library's."""
    rare = absolute(x) > FAR[x.precision]
    return x.builder.unless(rare, _circular(x, 0), partial(x.builder.call, "sin", x))


def cos(x: Value) -> Value:
    """Return the cosine; of arguments beyond ``FAR`` the C library's."""
    rare = absolute(x) > FAR[x.precision]
    return x.builder.unless(rare, _circular(x, 1), partial(x.builder.call, "cos", x))


def sinc(x: Value) -> Value:
    """Return ``sin(x) / x``, and 1 at zero."""
    return x.equal(0.0).chosen(1.0, sin(x) / x)


def power(base: Number, exponent: Number) -> Value:
    """Return ``base ** exponent``: whole ones by multiplication, others by exp and log of float64, in float64 by the C library."""
    one = base if isinstance(base, Value) else exponent
    assert isinstance(one, Value)  # noqa: S101 two numbers are folded before they come here
    b, e = (v if isinstance(v, Value) else one.builder.constant(v, one.precision) for v in (base, exponent))
    if isinstance(exponent, int):
        return _whole_power(b, exponent)
    if one.precision == "float64":
        return one.builder.call("pow", b, e)
    wide = exp(e.widened() * log(absolute(b).widened())).narrowed("float32")
    value = (b < 0.0).chosen(_of_negative(wide, e), wide)
    return e.equal(0.0).chosen(1.0, value)


def _of_negative(magnitude: Value, exponent: Value) -> Value:
    """Return the power of a negative base: NaN unless the exponent is whole, negative where it is odd."""
    odd = rounded(exponent * 0.5).equal(exponent * 0.5).chosen(magnitude, -magnitude)
    return rounded(exponent).equal(exponent).chosen(odd, math.nan)


def _whole_power(base: Value, exponent: int) -> Value:
    if exponent < 0:
        return 1.0 / _whole_power(base, -exponent)
    if exponent == 1:
        return base
    half = _whole_power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


NAMES: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        absolute, asinh, atan, capped, clamped, cos, erf, exp, expm1, log, log1p, logsigmoid, maximum, minimum, normal_cdf, power,
        rounded, sigmoid, sign, sin, sinc, softplus, sqrt, square, tamed, tanh, where,
    )
}  # fmt: skip
