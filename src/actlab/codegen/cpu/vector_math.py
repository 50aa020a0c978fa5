"""Vectorized exponentials, logarithms, error function and trigonometry of CPU kernels.

Each function is Python on :class:`~actlab.codegen.cpu.ir_builder.Value` and emits code without branches. Polynomials are minimax fits
(:mod:`actlab.codegen.minimax`); argument reductions follow Muller, Elementary Functions, 2016. NaN propagates, infinite arguments give the
limit, and subnormal results are flushed to zero. ``tests/codegen/cpu/test_vector_math.py`` asserts error bounds over all of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from actlab.codegen.cpu.ir_builder import Number, Value
from actlab.codegen.cpu.vector_arithmetic import (
    absolute,
    capped,
    clamp,
    clamped,
    fma,
    hypot,
    maximum,
    minimum,
    polynomial,
    rounded,
    sign,
    signed,
    sqrt,
    square,
    tamed,
    where,
)
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
LOG_2_HIGH = {"float32": 355 / 512, "float64": round(LOG_2 * 2**32) / 2**32}  # its product with an integer k is exact
LOG_2_LOW = {key: LOG_2 - high + 2.3190468138462996e-17 for key, high in LOG_2_HIGH.items()}
PI_HALVES = {  # pi/2 in three parts, each rounded to the precision
    "float32": (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    "float64": (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
FAR = {"float32": 2.0**20, "float64": 2.0**30}  # sine and cosine of larger arguments call the C library
ZERO_BELOW = {"float32": -88.0, "float64": -709.0}  # exponent at which the power of two is exactly 0
HALF_ZERO_BELOW = {"float32": -87.5, "float64": -708.5}  # exponent at which half the power is exactly 0
HALF_INFINITE_ABOVE = {"float32": 89.5, "float64": 710.5}  # exponent at which half the power is infinite
LOST_OF_LOG_2 = {"float32": 1.925963033500997e-08, "float64": 2.0355273740931033e-17}  # rounding error of 1/log 2
INFINITE = {"float32": 89.0, "float64": 710.0}  # exponent at which the power of two is infinite


def _reduce(x: Value, *, half: bool = False) -> tuple[Value, Value]:
    """Return ``2^n``, or half of it, and ``2^r - 1`` for ``x = (n + r) log 2``; x is clamped to where the power is 0 or infinite.

    With ``half``, the rounding error of ``1/log 2`` is compensated, as its effect grows with x.
    """
    p = x.precision
    bounds = (HALF_ZERO_BELOW[p], HALF_INFINITE_ABOVE[p]) if half else (ZERO_BELOW[p], math.inf)
    bounded = clamp(x, *bounds)
    y, factor = bounded.origin if bounded.origin and not half else (bounded, 1.0)
    shift = 1.5 * 2.0 ** MANTISSA[p] + BIAS[p] - half  # adding it puts the exponent of the power in the lowest bits
    shifted = fma(y, factor / LOG_2, shift)
    r = fma(y, factor / LOG_2, -(shifted - shift))
    if half:
        r = fma(y, LOST_OF_LOG_2[p], r)
    power = shifted.bits().with_bits("shl", MANTISSA[p]).number()
    return power, r * polynomial(EXPONENTIAL[p], r)


def exp(x: Value) -> Value:
    """Return ``e^x``; 0 where it would be subnormal, infinity where it overflows."""
    p = x.precision
    if x.high <= INFINITE[p]:
        power, rest = _reduce(x)
        value = power * (rest + 1.0) if x.high > CAPS[p][1] else fma(power, rest, power)
    else:  # twice half the power: the largest numbers need an exponent above the largest one
        power, rest = _reduce(x, half=True)
        value = power * fma(rest, 2.0, 2.0)
    value.low = 0.0
    value.high = 1.0 if x.high <= 0 else math.inf
    return value


def expm1(x: Value) -> Value:
    """Return ``e^x - 1`` without cancellation near zero."""
    p = x.precision
    if x.high <= CAPS[p][1]:
        power, rest = _reduce(x)
        value = fma(power, rest, power - 1.0)
        value.low = -1.0
        return value
    power, rest = _reduce(x, half=True)
    half = fma(power, rest, power - 0.5)
    return (x > CAPS[p][1]).select(exp(x), half + half)  # above, the power is infinite and its remainder negative


def sigmoid(x: Value) -> Value:
    """Return ``1 / (1 + e^-x)``."""
    return 1.0 / (exp(clamp(-x, -math.inf, INFINITE[x.precision])) + 1.0)


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent as ``m / (m + 2)``, m = e^(2x) - 1, without cancellation."""
    m = expm1(capped(x * 2.0, 1))
    return m / (m + 2.0)


def _mantissa(x: Value) -> tuple[Value, Value, Value]:
    """Return m in [sqrt(1/2), sqrt(2)), k and the bits of ``k + BIAS`` with ``x = m 2^k``, for positive normal x."""
    p, low = x.precision, {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}[x.precision]
    one = BIAS[p] << MANTISSA[p]
    shifted = x.bits().with_bits("add", one - low)
    exponent = shifted.with_bits("lshr", MANTISSA[p])
    m = shifted.with_bits("and", (1 << MANTISSA[p]) - 1).with_bits("add", low).number()
    return m, _small_int_to_number(exponent) - float(BIAS[p]), exponent


def _small_int_to_number(bits: Value) -> Value:
    """Return small integers in bits as numbers; AVX2 cannot convert 64-bit integers, so they become the lowest bits of 2^52."""
    if bits.precision == "float32":
        return bits.int_to_number()
    return bits.with_bits("or", 0x4330000000000000).number() - 2.0**52


def _log_of_quotient(s: Value, coefficients: Sequence[float]) -> tuple[Value, Value]:
    """Return ``log((1 + s)/(1 - s))`` in two terms, the larger one ``2 s``."""
    z = s * s
    return s + s, s * z * polynomial(coefficients, z)


def _with_exponent(k: Value, terms: tuple[Value, Value]) -> Value:
    """Return ``k log 2`` plus the terms, added in order of increasing size."""
    p = k.precision
    return fma(k, LOG_2_HIGH[p], terms[0] + fma(k, LOG_2_LOW[p], terms[1]))


def log(x: Value) -> Value:
    """Return the natural logarithm; minus infinity at zero, NaN below."""
    p = x.precision
    smallest = {"float32": 2.0**-126, "float64": 2.0**-1022}[p]
    tiny = x < smallest
    lift = MANTISSA[p] + 1
    m, k, _ = _mantissa(tiny.select(x * 2.0**lift, x))
    value = _with_exponent(tiny.select(k - float(lift), k), _log_of_quotient((m - 1.0) / (m + 1.0), LOGARITHM[p]))
    value = (x > 0.0).select(value, x.equal(0.0).select(-math.inf, math.nan))
    return (x < math.inf).select(value, x * x)  # infinity and NaN


def log1p(x: Value) -> Value:
    """Return ``log(1 + x)`` without cancellation near zero; minus infinity at -1, NaN below."""
    p = x.precision
    if x.low >= 0 and x.high <= 1:
        large, small = _log_of_quotient(x / (x + 2.0), LOGARITHM_OF_UP_TO_TWO[p])
        return large + small
    u = x + 1.0
    lost = x - (u - 1.0)
    m, k, exponent = _mantissa(u)
    scale = (
        x.builder.value(p, x.builder.splat(f"{'i32' if p == 'float32' else 'i64'} {2 * BIAS[p]}"), "bits")
        .with_bits("sub", exponent)
        .with_bits("shl", MANTISSA[p])
        .number()
    )
    f = m - 1.0 + (x < 2.0**60).select(lost * scale, 0.0)  # beyond, the scale has no valid exponent
    value = _with_exponent(k, _log_of_quotient(f / (f + 2.0), LOGARITHM[p]))
    value = (x > -1.0).select(value, x.equal(-1.0).select(-math.inf, math.nan))
    return (x < math.inf).select(value, x * x)


def softplus(x: Value) -> Value:
    """Return ``log(1 + e^x)`` as ``max(x, 0) + log1p(e^-|x|)``."""
    value = maximum(x, 0.0) + log1p(exp(-absolute(x)))
    value.low = 0.0
    return value


def logsigmoid(x: Value) -> Value:
    """Return ``log sigmoid(x)``."""
    return -softplus(-x)


def asinh(x: Value) -> Value:
    """Return the inverse hyperbolic sine by log1p of the magnitude; of large numbers, whose square overflows, by ``log(2 |x|)``."""
    a = absolute(x)
    big = a > {"float32": 2.0**40, "float64": 2.0**400}[x.precision]
    s = a * a
    argument = big.select(a, a + s / (sqrt(s + 1.0) + 1.0))
    return signed(log1p(argument) + big.select(LOG_2, 0.0), x)


def atan(x: Value) -> Value:
    """Return the inverse tangent; above 1 as pi/2 minus that of the reciprocal."""
    a = absolute(x)
    beyond = a > 1.0
    t = beyond.select(1.0 / a, a)
    z = t * t
    value = fma(t * z, polynomial(ARCTANGENT[x.precision], z), t)
    return signed(beyond.select(math.pi / 2 - value, value), x)


def _normal_tail(z: Value, density: Value) -> Value:
    """Return ``1 - Phi(z)`` for z >= 0, given ``e^(-z^2/2)``."""
    shift = SHIFT[z.precision]
    w = 1.0 / (z + shift)
    return density * (polynomial(NORMAL_TAIL[z.precision], fma(w, -2 * shift, 1.0)) * w)


def normal_cdf(x: Value) -> Value:
    """Return the distribution function of N(0, 1); in the left tail relative to itself, up to the rounding of ``x^2``."""
    s = square(x)
    tail = _normal_tail(absolute(x), exp(s * -0.5))
    return (x > 0.0).select(1.0 - tail, tail)


def erf(x: Value) -> Value:
    """Return the error function: an odd polynomial up to 1, beyond it by the normal tail."""
    a = absolute(x)
    s = square(x)
    near = x * polynomial(ERROR_FUNCTION[x.precision], s)
    tail = _normal_tail(a * math.sqrt(2), exp(-s))
    return (a < 1.0).select(near, signed(fma(tail, -2.0, 1.0), x))


def _circular(x: Value, quarter: int) -> Value:
    """Return ``sin(x + quarter pi/2)`` for ``|x|`` up to ``FAR``."""
    p = x.precision
    shift = 1.5 * 2.0 ** MANTISSA[p]
    shifted = fma(x, 2 / math.pi, shift)
    k = shifted - shift
    r = x
    for part in PI_HALVES[p]:
        r = fma(k, -part, r)
    z = r * r
    sine = fma(r * z, polynomial(SINE[p], z), r)
    cosine = fma(z * z, polynomial(COSINE[p], z), fma(z, -0.5, 1.0))
    turn = shifted.bits().with_bits("add", quarter) if quarter else shifted.bits()
    value = turn.some_bits(1).select(cosine, sine)
    flip = turn.with_bits("and", 2).with_bits("shl", {"float32": 30, "float64": 62}[p])
    return value.bits().with_bits("xor", flip).number()


def sin(x: Value) -> Value:
    """Return the sine; beyond ``FAR`` by the C library."""
    rare = absolute(x) > FAR[x.precision]
    return x.builder.unless(rare, _circular(x, 0), partial(x.builder.call, "sin", x))


def cos(x: Value) -> Value:
    """Return the cosine; beyond ``FAR`` by the C library."""
    rare = absolute(x) > FAR[x.precision]
    return x.builder.unless(rare, _circular(x, 1), partial(x.builder.call, "cos", x))


def sinc(x: Value) -> Value:
    """Return ``sin(x) / x``, 1 at zero, and about 0 at infinity."""
    held = clamped(x, 0)
    return x.equal(0.0).select(1.0, sin(held) / held)


def power(base: Number, exponent: Number) -> Value:
    """Return ``base ** exponent``, one or both vectors: integer powers by multiplication, float32 by exp and log, float64 by pow."""
    vector = next(v for v in (base, exponent) if isinstance(v, Value))
    b, e = (v if isinstance(v, Value) else vector.builder.constant(v, vector.precision) for v in (base, exponent))
    if isinstance(exponent, int):
        return _integer_power(b, exponent)
    if vector.precision == "float64":
        return vector.builder.call("pow", b, e)
    wide = exp(e.widened() * log(absolute(b).widened())).narrowed("float32")
    value = (b < 0.0).select(_power_of_negative(wide, e), wide)
    return e.equal(0.0).select(1.0, value)


def _power_of_negative(magnitude: Value, exponent: Value) -> Value:
    """Return the power of a negative base: NaN unless the exponent is an integer, negative if that is odd."""
    odd = rounded(exponent * 0.5).equal(exponent * 0.5).select(magnitude, -magnitude)
    return rounded(exponent).equal(exponent).select(odd, math.nan)


def _integer_power(base: Value, exponent: int) -> Value:
    if exponent < 0:
        return 1.0 / _integer_power(base, -exponent)
    if exponent == 1:
        return base
    half = _integer_power(base, exponent // 2)
    return half * half * base if exponent % 2 else half * half


NAMES: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        absolute, asinh, atan, capped, clamped, cos, erf, exp, expm1, hypot, log, log1p, logsigmoid, maximum, minimum, normal_cdf, power,
        rounded, sigmoid, sign, sin, sinc, softplus, sqrt, square, tamed, tanh, where,
    )
}  # fmt: skip
