"""Elementary functions of float32 blocks in Triton, such as exp, log1p, tanh, erf and sin.

Every function takes and returns float32 (blocks, or single numbers loaded from memory) and uses only operations that are the same on a GPU
and in Triton's interpreter: sums, products, quotients, ``exp2``, ``sqrt`` and selection. Triton's own ``sin`` and ``erf`` are CUDA's, with
branches, and ``sin`` computes in float64 for large arguments; the interpreter does not have CUDA's library. Polynomials are minimax fits
(:mod:`actlab.codegen.minimax`). NaN propagates, infinite arguments give the limit, and subnormal results may be flushed to zero.

``EXACT`` is set if the result is stored in float32. Half precision keeps 8 or 11 bits of it; the exponential then takes two instructions
instead of eight, a reciprocal four instead of eight, and polynomials are shorter. Not those of sine and cosine: the slope of snake is one
plus a sine, and near -1 a shorter polynomial was 3e-6 off, which half precision can represent.

The cost is counted in instructions and in calls of the special function unit, of which a multiprocessor has an eighth as many lanes.
Functions of ``x`` and ``-x`` are therefore written in ``|x|``, so that the compiler shares their exponential and reciprocal.
"""

import math

import triton
import triton.language as tl

from actlab.codegen import minimax as coefficients
from actlab.functions.formula import CAPS as FORMULA_CAPS

__all__ = [
    "absolute",
    "asinh",
    "atan",
    "capped",
    "circular",
    "clamped",
    "cos",
    "either",
    "erf",
    "exp",
    "expm1",
    "hypot",
    "log",
    "log1p",
    "log_of_quotient",
    "logsigmoid",
    "maximum",
    "minimum",
    "normal_cdf",
    "normal_tail",
    "polynomial",
    "power",
    "quotient",
    "real_power",
    "rounded",
    "sigmoid",
    "sign",
    "signed",
    "sin",
    "sinc",
    "softplus",
    "sqrt",
    "square",
    "tamed",
    "tanh",
]

ARCTANGENT = tl.constexpr(coefficients.ARCTANGENT["float32"])
ARCTANGENT_HALF = tl.constexpr(coefficients.ARCTANGENT["half"])
COSINE = tl.constexpr(coefficients.COSINE["float32"])
ERROR_FUNCTION = tl.constexpr(coefficients.ERROR_FUNCTION["float32"])
ERROR_FUNCTION_HALF = tl.constexpr(coefficients.ERROR_FUNCTION["half"])
EXPONENTIAL = tl.constexpr(coefficients.EXPONENTIAL["float32"])
LOGARITHM = tl.constexpr(coefficients.LOGARITHM["float32"])
LOGARITHM_HALF = tl.constexpr(coefficients.LOGARITHM["half"])
LOGARITHM_OF_UP_TO_TWO = tl.constexpr(coefficients.LOGARITHM_OF_UP_TO_TWO["float32"])
LOGARITHM_OF_UP_TO_TWO_HALF = tl.constexpr(coefficients.LOGARITHM_OF_UP_TO_TWO["half"])
NORMAL_TAIL = tl.constexpr(coefficients.NORMAL_TAIL["float32"])
NORMAL_TAIL_HALF = tl.constexpr(coefficients.NORMAL_TAIL["half"])
SINE = tl.constexpr(coefficients.SINE["float32"])
SHIFT = tl.constexpr(coefficients.SHIFT["float32"])

# Bounds of `capped`, by the power of the exponential.
CAPS = tl.constexpr((0.0, FORMULA_CAPS["float32"][1], FORMULA_CAPS["float32"][2]))
LARGEST = tl.constexpr(3.4028234663852886e38**0.5)  # the bound of `clamped`
LOG_LARGEST = tl.constexpr(math.log(3.4028234663852886e38**0.5))
LOG2_E = tl.constexpr(1.44269502162933349609375)  # log2(e), rounded to float32 ...
LOG2_E_REST = tl.constexpr(1.925963033500011e-08)  # ... and the rounding error
LOG_2 = tl.constexpr(math.log(2))
LOG_2_HIGH = tl.constexpr(355 / 512)  # its product with an integer up to 2^15 is exact
LOG_2_LOW = tl.constexpr(math.log(2) - 355 / 512)
HALF_PI = tl.constexpr(math.pi / 2)
TWO_OVER_PI = tl.constexpr(2 / math.pi)
PI_HALVES = tl.constexpr(  # pi/2 in parts of 11 bits, so that their products with n up to 2^13 are exact, and the rest
    (1608 / 2**10, 2029 / 2**22, 1297 / 2**34, 2.563344151594519e-12)
)
ROUNDING = tl.constexpr(1.5 * 2.0**23)  # adding it rounds to an integer, in the lowest bits
ALL = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def polynomial(x, coefficients: tl.constexpr, degree: tl.constexpr):
    """Return the polynomial with these coefficients, constant first, by Horner's rule."""
    total = coefficients[degree] * x + coefficients[degree - 1]
    for k in tl.static_range(degree - 2, -1, -1):
        total = total * x + coefficients[k]
    return total


@triton.jit
def either(x, full: tl.constexpr, degree: tl.constexpr, half: tl.constexpr, lower: tl.constexpr, EXACT: tl.constexpr):
    """Return the polynomial for the precision of the result."""
    if EXACT:
        return polynomial(x, full, degree)
    return polynomial(x, half, lower)


@triton.jit
def signed(magnitude, sign_of):
    """Return a non-negative magnitude with the sign of another number; unchanged if that is zero."""
    return tl.where(sign_of < 0.0, -magnitude, magnitude)


@triton.jit
def absolute(x):
    """Return ``|x|``."""
    return tl.abs(x)


@triton.jit
def sign(x):
    """Return -1, 0 or 1; 0 for NaN, as in torch."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))


@triton.jit
def rounded(x):
    """Return the nearest integer, halves to even, by adding and subtracting 2^23; larger numbers are integers already."""
    magnitude = tl.abs(x)
    return tl.where(magnitude < 8388608.0, signed((magnitude + 8388608.0) - 8388608.0, x), x)


@triton.jit
def square(x):
    """Return ``x^2``."""
    return x * x


@triton.jit
def sqrt(x):
    """Return the square root; NaN below zero."""
    return tl.sqrt(x)


@triton.jit
def hypot(x, r):
    """Return ``sqrt(x^2 + r^2)``, and the magnitude of x where its square overflows."""
    size = tl.abs(x)
    return tl.where(size > LARGEST, size, tl.sqrt(x * x + r * r))


@triton.jit
def maximum(a, b):
    """Return the larger value; NaN in ``a`` propagates."""
    return tl.where(a <= b, b, a)


@triton.jit
def minimum(a, b):
    """Return the smaller value; NaN in ``a`` propagates."""
    return tl.where(a >= b, b, a)


@triton.jit
def clamped(x, side: tl.constexpr):
    """Clamp ``x`` to at most the square root of the largest number, from below (-1), above (1) or on both sides (0)."""
    if side <= 0:
        x = tl.maximum(x, -LARGEST, propagate_nan=ALL)
    if side >= 0:
        x = tl.minimum(x, LARGEST, propagate_nan=ALL)
    return x


@triton.jit
def tamed(x):
    """Clamp an exponent from above so that its exponential stays within the bound of :func:`clamped`."""
    return tl.minimum(x, LOG_LARGEST, propagate_nan=ALL)


@triton.jit
def capped(x, times: tl.constexpr):
    """Clamp an exponent from above so that its exponential to the power ``times`` is near the largest number."""
    return tl.minimum(x, CAPS[times], propagate_nan=ALL)


@triton.jit
def exp(x, EXACT: tl.constexpr):
    """Return ``e^x``; 0 where it would be subnormal, infinity where it overflows.

    ``2^(x log2 e)`` alone has an error of ``|x|`` roundings; if ``EXACT``, the rounding error of the product is compensated.
    """
    if not EXACT:
        return tl.exp2(x * LOG2_E)
    bounded = tl.minimum(tl.maximum(x, -104.0, propagate_nan=ALL), 89.0, propagate_nan=ALL)
    product = bounded * LOG2_E
    lost = tl.fma(bounded, LOG2_E_REST, tl.fma(bounded, LOG2_E, -product))
    return tl.exp2(product) * (lost * LOG_2 + 1.0)


@triton.jit
def quotient(a, b, EXACT: tl.constexpr):
    """Return ``a / b``; in half precision by the square of ``rsqrt``, with a relative error of 2^-21."""
    if EXACT:
        return a / b
    root = tl.rsqrt(tl.abs(b))
    sign_bit = b.to(tl.int32, bitcast=True) & -0x80000000
    return a * ((root * root).to(tl.int32, bitcast=True) | sign_bit).to(tl.float32, bitcast=True)


@triton.jit
def expm1(x, EXACT: tl.constexpr):
    """Return ``e^x - 1`` without cancellation near zero.

    If ``EXACT``, ``2^n 2^r - 1`` is computed from ``2^r - 1`` and half the power, which may overflow. In half precision the series is used
    up to 1/16, where the difference has lost four of 24 bits and the next term of the series is 1e-5 of it.
    """
    if not EXACT:
        near = x * ((x * (1.0 / 6.0) + 0.5) * x + 1.0)
        return tl.where(tl.abs(x) < 0.0625, near, exp(x, EXACT) - 1.0)
    bounded = tl.minimum(tl.maximum(x, -87.0, propagate_nan=ALL), 89.0, propagate_nan=ALL)
    shifted = bounded * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = tl.fma(bounded, LOG2_E, -n) + bounded * LOG2_E_REST
    rest = r * polynomial(r, EXPONENTIAL, 5)
    half = ((shifted.to(tl.int32, bitcast=True) + 126) << 23).to(tl.float32, bitcast=True)
    return 2.0 * (half * rest + (half - 0.5))


@triton.jit
def sigmoid(x, EXACT: tl.constexpr):
    """Return ``1 / (1 + e^-x)``."""
    e = exp(-tl.abs(x), EXACT)
    above = quotient(1.0, 1.0 + e, EXACT)
    return tl.where(x < 0.0, e * above, above)


@triton.jit
def tanh(x, EXACT: tl.constexpr):
    """Return the hyperbolic tangent as ``-m / (m + 2)``, m = e^(-2|x|) - 1, which neither cancels nor overflows."""
    m = expm1(-2.0 * tl.abs(x), EXACT)
    return signed(quotient(-m, m + 2.0, EXACT), x)


@triton.jit
def log_of_quotient(s, slope):
    """Return ``log((1 + s) / (1 - s))``, given the polynomial in ``s^2`` of what follows ``2 s``."""
    return 2.0 * s + s * (s * s) * slope


@triton.jit
def log(x):
    """Return the natural logarithm; minus infinity at zero, NaN below."""
    return tl.log(x)


@triton.jit
def log1p(x, EXACT: tl.constexpr):
    """Return ``log(1 + x)`` without cancellation near zero; minus infinity at -1, NaN below.

    ``1 + x = m 2^k`` with m between sqrt(1/2) and sqrt(2); the rounding error of the sum is added to m.
    """
    u = 1.0 + x
    lost = x - (u - 1.0)
    shifted = u.to(tl.int32, bitcast=True) + (0x3F800000 - 0x3F3504F3)
    exponent = shifted >> 23
    m = ((shifted & 0x7FFFFF) + 0x3F3504F3).to(tl.float32, bitcast=True)
    scale = ((254 - tl.minimum(exponent, 254)) << 23).to(tl.float32, bitcast=True)
    k = (exponent + 0x4B000000).to(tl.float32, bitcast=True) - 8388735.0
    f = lost * scale + (m - 1.0)
    s = quotient(f, f + 2.0, EXACT)
    mantissa = log_of_quotient(s, either(s * s, LOGARITHM, 2, LOGARITHM_HALF, 1, EXACT))
    value = k * LOG_2_HIGH + (mantissa + k * LOG_2_LOW)
    value = tl.where(u > 0.0, value, tl.where(u == 0.0, float("-inf"), float("nan")))
    return tl.where(u < float("inf"), value, u)


@triton.jit
def softplus(x, EXACT: tl.constexpr):
    """Return ``log(1 + e^x)`` as ``max(x, 0) + log1p(e^-|x|)``."""
    e = exp(-tl.abs(x), EXACT)
    s = quotient(e, e + 2.0, EXACT)
    slope = either(s * s, LOGARITHM_OF_UP_TO_TWO, 3, LOGARITHM_OF_UP_TO_TWO_HALF, 2, EXACT)
    return maximum(x, 0.0) + log_of_quotient(s, slope)


@triton.jit
def logsigmoid(x, EXACT: tl.constexpr):
    """Return ``log sigmoid(x)``."""
    return -softplus(-x, EXACT)


@triton.jit
def asinh(x, EXACT: tl.constexpr):
    """Return the inverse hyperbolic sine by log1p of the magnitude; of large numbers, whose square overflows, by ``log(2 |x|)``."""
    a = tl.abs(x)
    is_large = a > 1e12
    s = a * a
    argument = tl.where(is_large, a, a + quotient(s, tl.sqrt(s + 1.0) + 1.0, EXACT))
    return signed(log1p(argument, EXACT) + tl.where(is_large, LOG_2, 0.0), x)


@triton.jit
def atan(x, EXACT: tl.constexpr):
    """Return the inverse tangent; beyond 1 as ``pi/2 - atan(1/x)``."""
    a = tl.abs(x)
    is_beyond = a > 1.0
    t = tl.where(is_beyond, quotient(1.0, a, EXACT), a)
    z = t * t
    value = t * z * either(z, ARCTANGENT, 7, ARCTANGENT_HALF, 5, EXACT) + t
    return signed(tl.where(is_beyond, HALF_PI - value, value), x)


@triton.jit
def normal_tail(z, density, EXACT: tl.constexpr):
    """Return ``1 - Phi(z)`` for z >= 0, given ``e^(-z^2/2)``."""
    w = quotient(1.0, z + SHIFT, EXACT)
    return density * (either(1.0 - 2.0 * SHIFT * w, NORMAL_TAIL, 8, NORMAL_TAIL_HALF, 6, EXACT) * w)


@triton.jit
def normal_cdf(x, EXACT: tl.constexpr):
    """Return the distribution function of N(0, 1), whose left tail keeps its relative accuracy."""
    tail = normal_tail(tl.abs(x), exp(-0.5 * (x * x), EXACT), EXACT)
    return tl.where(x > 0.0, 1.0 - tail, tail)


@triton.jit
def erf(x, EXACT: tl.constexpr):
    """Return the error function: an odd polynomial up to 1, beyond it by the normal tail."""
    s = x * x
    a = tl.abs(x)
    beyond = signed(1.0 - 2.0 * normal_tail(a * 1.4142135623730951, exp(-s, EXACT), EXACT), x)
    return tl.where(a < 1.0, x * either(s, ERROR_FUNCTION, 6, ERROR_FUNCTION_HALF, 4, EXACT), beyond)


@triton.jit
def circular(x, quarter: tl.constexpr):
    """Return ``sin(x + quarter pi/2)``; beyond 2^22, where float32 cannot represent the phase, some number in [-1, 1]."""
    shifted = x * TWO_OVER_PI + ROUNDING
    n = shifted - ROUNDING
    r = (x - n * PI_HALVES[0]) - n * PI_HALVES[1]
    r = (r - n * PI_HALVES[2]) - n * PI_HALVES[3]
    r = tl.minimum(tl.maximum(r, -0.7854, propagate_nan=ALL), 0.7854, propagate_nan=ALL)
    z = r * r
    sine = r * z * polynomial(z, SINE, 2) + r
    cosine = z * z * polynomial(z, COSINE, 2) + (1.0 - 0.5 * z)
    turn = shifted.to(tl.int32, bitcast=True) + quarter
    value = tl.where((turn & 1) == 1, cosine, sine)
    return tl.where((turn & 2) == 2, -value, value)


@triton.jit
def sin(x):
    """Return the sine."""
    return circular(x, 0)


@triton.jit
def cos(x):
    """Return the cosine."""
    return circular(x, 1)


@triton.jit
def sinc(x, EXACT: tl.constexpr):
    """Return ``sin(x) / x``, and 1 at zero."""
    return tl.where(x == 0.0, 1.0, quotient(circular(x, 0), x, EXACT))


@triton.jit
def power(base, exponent: tl.constexpr):
    """Return the base to an integer exponent of at least 1, by multiplication."""
    value = base
    for bit in tl.static_range(exponent.bit_length() - 2, -1, -1):
        value = value * value
        if (exponent >> bit) & 1:
            value = value * base
    return value


@triton.jit
def real_power(base, exponent, EXACT: tl.constexpr):
    """Return the base to any exponent: NaN for a negative base, unless the exponent is an integer; 1 if the exponent is 0."""
    magnitude = exp(exponent * tl.log(tl.abs(base)), EXACT)
    is_odd = rounded(exponent * 0.5) != exponent * 0.5
    negative = tl.where(rounded(exponent) == exponent, tl.where(is_odd, -magnitude, magnitude), float("nan"))
    return tl.where(exponent == 0.0, 1.0, tl.where(base < 0.0, negative, magnitude))
