"""Elementary functions of recorded values, for the printed source of formulas.

ONNX has no expm1, log1p or erfc, and the operators that exist are not what they look like in a runtime. Measured with onnxruntime 1.32.0 on
1,048,576 float32 numbers, one thread: Exp 0.10 ms, Add, Mul or Div 0.1 to 0.2, Tanh 0.2, Relu 0.1, Log 1.4, Elu 3.1, Where 4 to 8, PRelu
8.3, Softplus and Mish 22, Asinh 31. So everything is built from arithmetic, Exp, Tanh and, where there is no other way, Log:

* ``expm1(x)`` is ``tanh(x/2) (e^x + 1)``, exact in both tails and near zero.
* ``log1p(e)`` for e from 0 to 1, which softplus needs, is ``2 artanh(e / (2 + e))`` as a polynomial.
* ``sigmoid(x)`` is ``1 / (1 + e^-x)``: onnxruntime's operator is exactly 0 from -18 on.
* a choice of two branches is made by minimum and maximum or by a mask, see :mod:`actlab.codegen.onnx.branches`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from actlab.codegen.minimax import ARCTANGENT, ERROR_FUNCTION, LOGARITHM_OF_UP_TO_TWO, NORMAL_TAIL, SHIFT
from actlab.codegen.onnx.recorder import Number, Recorder, Value
from actlab.functions.formula import CAPS

__all__ = ["NAMES"]

LARGEST = {"float32": 3.4028234663852886e38**0.5, "float64": 1.7976931348623157e308**0.5}
TINY = {"float32": 1e-30, "float64": 1e-290}


def polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """Return a polynomial by Horner's rule; coefficients are listed constant first."""
    *others, value = coefficients
    result: Number = value
    for coefficient in reversed(others):
        result = result * x + coefficient
    return result  # type: ignore[return-value] # two coefficients at least


def exp(x: Value) -> Value:
    """Return the exponential."""
    return x.recorder.node("Exp", x)


def expm1(x: Value) -> Value:
    """Return ``e^x - 1`` without cancellation."""
    return tanh(x * 0.5) * (exp(x) + 1.0)


def log(x: Value) -> Value:
    """Return the logarithm."""
    return x.recorder.node("Log", x)


def log1p(x: Value) -> Value:
    """Return ``log(1 + x)`` without cancellation.

    That of the input held between -1/2 and 1, plus the logarithm of a quotient that is exactly 1 where the input is held nowhere. The usual
    correction by ``(1 + x) - 1`` would be shorter; OpenVINO rewrites it as x, and small numbers are lost.
    """
    held = x.recorder.node("Clip", x, -0.5, 1.0)
    return _log1p_of_up_to_one(held) + log((x + 1.0) / (held + 1.0))


def _log1p_of_up_to_one(e: Value) -> Value:
    """Return ``log(1 + e)`` for -1/2 <= e <= 1, relative to itself."""
    s = e / (e + 2.0)
    z = s * s
    return s * (z * polynomial(LOGARITHM_OF_UP_TO_TWO[e.recorder.settings.dtype], z) + 2.0)


def softplus(x: Value) -> Value:
    """Return ``log(1 + e^x)``."""
    return relu(x) + _log1p_of_up_to_one(exp(-absolute(x)))


def logsigmoid(x: Value) -> Value:
    """Return ``log sigmoid(x)``."""
    return minimum(x, 0.0) - _log1p_of_up_to_one(exp(-absolute(x)))


def asinh(x: Value) -> Value:
    """Return the inverse hyperbolic sine, by log1p of the magnitude."""
    a = absolute(x)
    held = x.recorder.node("Min", a, 1e8)
    return log1p(a * (held / (sqrt(held * held + 1.0) + 1.0) + 1.0)) * sign(x)


def sigmoid(x: Value) -> Value:
    """Return the logistic function; the operator where the exact tail is not asked for, and is small where the input is large.

    The tail of ``x sigmoid(log x)`` is not: an error of 1e-7 at -600 would be one of 6e-5 in the product.
    """
    recorder = x.recorder
    if recorder.settings.prefer == "speed" and not recorder.operators_of(x) & {"Log", "Sqrt"}:
        return recorder.node("Sigmoid", x)
    return 1.0 / (exp(-x) + 1.0)


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent."""
    return x.recorder.node("Tanh", x)


def erf(x: Value) -> Value:
    """Return the error function; onnxruntime has it in float32 only."""
    if x.recorder.settings.dtype == "float32":
        return x.recorder.node("Erf", x)
    held = clip(x, -1.0, 1.0)
    near = held * polynomial(ERROR_FUNCTION["float64"], held * held)
    far = (1.0 - erfc_of_positive(absolute(x))) * sign(x)
    return select(absolute(x) < 1.0, near, far)


def _normal_tail(z: Value) -> Value:
    """Return ``(1 - Phi(z)) e^(z^2/2)`` for z >= 0."""
    dtype = z.recorder.settings.dtype
    w = 1.0 / (z + SHIFT[dtype])
    return polynomial(NORMAL_TAIL[dtype], w * (-2 * SHIFT[dtype]) + 1.0) / (z + SHIFT[dtype])


def erfc_of_positive(a: Value) -> Value:
    """Return ``1 - erf(a)`` for a >= 0, relative to itself up to the rounding of ``a^2``."""
    z = minimum(a, {"float32": 14.0, "float64": 40.0}[a.recorder.settings.dtype])  # 0 from there on
    return _normal_tail(z * math.sqrt(2)) * exp(-(z * z)) * 2.0


def erfc(x: Value) -> Value:
    """Return ``1 - erf(x)`` without cancellation."""
    tail = erfc_of_positive(absolute(x))
    negative = x.recorder.node("Cast", x < 0.0, to=x.recorder.settings.dtype)
    return negative * 2.0 + tail * (negative * -2.0 + 1.0)


def erfcx(x: Value) -> Value:
    """Return ``e^(x^2) erfc(x)``."""
    a = absolute(x)
    tail = _normal_tail(a * math.sqrt(2)) * 2.0
    below = minimum(x, 0.0)
    negative = x.recorder.node("Cast", x < 0.0, to=x.recorder.settings.dtype)
    return exp(below * below) * (negative * 2.0) + tail * (negative * -2.0 + 1.0)


def log_ndtr(x: Value) -> Value:
    """Return the logarithm of the distribution function of N(0, 1)."""
    below, above = minimum(x, 0.0), relu(x)
    left = log(_normal_tail(-below)) - below * below * 0.5
    right = log1p(_normal_tail(above) * exp(above * above * -0.5) * -1.0)
    negative = x.recorder.node("Cast", x < 0.0, to=x.recorder.settings.dtype)
    return left * negative + right * (1.0 - negative)


def normal_cdf(x: Value) -> Value:
    """Return the distribution function of N(0, 1); in float32 right in absolute terms, as the operator Gelu is."""
    if x.recorder.settings.dtype == "float32":
        return (erf(x / math.sqrt(2)) + 1.0) * 0.5
    return erfc(x * -math.sqrt(0.5)) * 0.5


def gelu(x: Value, approximate: str = "none") -> Value:
    """Return GELU by the operator of opset 20, or by the pattern that onnxruntime fuses into it."""
    recorder = x.recorder
    if recorder.settings.opset >= 20 and (recorder.settings.dtype == "float32" or approximate == "tanh"):
        return recorder.node("Gelu", x, approximate=approximate)
    if approximate == "tanh":
        cube = recorder.node("Pow", x, 3.0)
        inner = tanh((x + cube * 0.044715) * 0.7978845608028654)
        return (x * 0.5) * (inner + 1.0)
    if recorder.settings.dtype == "float64":
        return x * normal_cdf(x)
    return (x * (erf(recorder.node("Div", x, math.sqrt(2))) + 1.0)) * 0.5


def leaky_relu(x: Value, slope: float) -> Value:
    """Return leaky ReLU; the operator's attribute is float32."""
    if x.recorder.settings.dtype == "float32":
        return x.recorder.node("LeakyRelu", x, alpha=slope)
    return relu(x) + minimum(x, 0.0) * slope


def sin(x: Value) -> Value:
    """Return the sine."""
    return x.recorder.node("Sin", x)


def cos(x: Value) -> Value:
    """Return the cosine."""
    return x.recorder.node("Cos", x)


def sinc(x: Value) -> Value:
    """Return ``sin(x) / x``, 1 at zero and about 0 at infinity."""
    dtype = x.recorder.settings.dtype
    a = clip(absolute(x), TINY[dtype], LARGEST[dtype])
    return sin(a) / a


def atan(x: Value) -> Value:
    """Return the inverse tangent; onnxruntime has it in float32 only."""
    if x.recorder.settings.dtype == "float32":
        return x.recorder.node("Atan", x)
    a = absolute(x)
    beyond = x.recorder.node("Cast", a > 1.0, to="float64")
    t = minimum(a, 1.0) * (1.0 - beyond) + beyond / maximum(a, 1.0)
    z = t * t
    value = t * z * polynomial(ARCTANGENT["float64"], z) + t
    return (value * (beyond * -2.0 + 1.0) + beyond * (math.pi / 2)) * sign(x)


def absolute(x: Value) -> Value:
    """Return the magnitude."""
    return x.recorder.node("Abs", x)


def sign(x: Value) -> Value:
    """Return -1, 0 or 1."""
    return x.recorder.node("Sign", x)


def rounded(x: Value) -> Value:
    """Return the nearest whole number, halves to even."""
    return x.recorder.node("Round", x)


def sqrt(x: Value) -> Value:
    """Return the square root."""
    return x.recorder.node("Sqrt", x)


def square(x: Value) -> Value:
    """Return the square."""
    return x * x


def hypot(x: Number, r: Number) -> Value:
    """Return ``sqrt(x^2 + r^2)`` without overflow of the squares."""
    recorder = next(v.recorder for v in (x, r) if isinstance(v, Value))
    a, b = (absolute(v) if isinstance(v, Value) else abs(v) for v in (x, r))
    larger = recorder.node("Max", a, b)
    if isinstance(a, Value) and isinstance(b, Value):
        larger = recorder.node("Max", larger, TINY[recorder.settings.dtype])
    ratio = recorder.node("Min", a, b) / larger
    return larger * sqrt(ratio * ratio + 1.0)


def relu(x: Value) -> Value:
    """Return the positive part."""
    return x.recorder.node("Relu", x)


def maximum(a: Value, b: Number) -> Value:
    """Return the larger; NaN passes."""
    if isinstance(b, float) and b == 0.0:
        return relu(a)
    return a.recorder.node("Max", a, b)


def minimum(a: Value, b: Number) -> Value:
    """Return the smaller; NaN passes. Above a maximum of numbers it is a ``Clip``."""
    node = a.recorder.origin(a)
    if node is not None and isinstance(b, float):
        low = 0.0 if node.op == "Relu" else node.inputs[-1]
        if node.op in {"Relu", "Max"} and isinstance(low, float) and low <= b:
            return clip(a.recorder.input(str(node.inputs[0])), low, b)
    return a.recorder.node("Min", a, b)


def clip(x: Value, low: float, high: float) -> Value:
    """Return a clamp on both sides; of ``c x + 1/2`` to 0 and 1 by the operator HardSigmoid."""
    recorder = x.recorder
    added = recorder.origin(x)
    if (low, high, recorder.settings.dtype) == (0.0, 1.0, "float32") and added is not None and added.op == "Add":
        scaled = recorder.origin(recorder.operand(added.inputs[0]))
        if scaled is not None and scaled.op == "Mul":
            (inner, factor), offset = scaled.inputs, added.inputs[1]
            if isinstance(inner, str) and isinstance(factor, float) and isinstance(offset, float):
                return recorder.node("HardSigmoid", recorder.input(inner), alpha=factor, beta=offset)
    return recorder.node("Clip", x, low, high)


def where(condition: Value, a: Number, b: Number) -> Value:
    """Return a mask for the branches 1 and 0; for others the operator Where, which runtimes compute slowly."""
    if not isinstance(a, Value) and not isinstance(b, Value):
        mask = condition.recorder.node("Cast", condition, to=condition.recorder.settings.dtype)
        if (a, b) == (0.0, 1.0):
            return 1.0 - mask
        return mask * (a - b) + b
    return select(condition, a, b)


def select(condition: Value, a: Number, b: Number) -> Value:
    """Return a where the condition holds, else b, by the operator Where."""
    return condition.recorder.node("Where", condition, a, b)


def clamped(x: Value, side: float) -> Value:
    """Clamp at the square root of the largest number, so that infinity times an exact zero is zero; left out for speed."""
    recorder = x.recorder
    if recorder.settings.prefer == "speed":
        return x
    largest = LARGEST[recorder.settings.dtype]
    if side < 0:
        return maximum(x, -largest)
    return minimum(x, largest) if side > 0 else clip(x, -largest, largest)


def tamed(x: Value) -> Value:
    """Clamp an exponent where its exponential reaches the bound of :func:`clamped`."""
    return minimum(x, math.log(LARGEST[x.recorder.settings.dtype]))


def capped(x: Value, times: float) -> Value:
    """Clamp an exponent where its exponential to the power ``times`` is near the largest number."""
    return minimum(x, CAPS[x.recorder.settings.dtype][int(times)])


def power(base: Number, exponent: Number) -> Value:
    """Return a power: by multiplications for small whole exponents."""
    recorder: Recorder = next(v.recorder for v in (base, exponent) if isinstance(v, Value))
    if isinstance(exponent, Value) or not isinstance(base, Value) or exponent != int(exponent) or exponent > 16:
        return recorder.node("Pow", base, exponent)
    result, factor, left = None, base, int(exponent)
    while left:
        if left % 2:
            result = factor if result is None else result * factor
        left //= 2
        factor = factor * factor if left else factor
    return result if result is not None else base * 0.0 + 1.0


NAMES: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        absolute,
        asinh,
        atan,
        capped,
        clamped,
        cos,
        erf,
        erfc,
        erfcx,
        exp,
        expm1,
        gelu,
        hypot,
        leaky_relu,
        log,
        log1p,
        log_ndtr,
        logsigmoid,
        maximum,
        minimum,
        normal_cdf,
        power,
        rounded,
        sigmoid,
        sign,
        sin,
        sinc,
        softplus,
        sqrt,
        square,
        tamed,
        tanh,
        where,
    )
}
