"""Independent definitions of functions with learned parameters, at their initial values, from the papers in mpmath."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350
ZERO = mp.mpf(0)


def m(text):
    return mp.mpf(text)


def _relu(x):
    return max(x, ZERO)


def _softplus(x):
    return mp.log(1 + mp.exp(x))


def _pdelu(x):
    power = 1 / (1 - mp.mpf(0.9))
    return x if x > 0 else max(1 + x / power, ZERO) ** power - 1


def _leaky(x, slope):
    return x if x > 0 else mp.mpf(slope) * x


def _universal(x):
    a, b, c, d, e = (mp.mpf(value) for value in ("1.1", "-0.01", "0.00001", "-0.9", "0.000005"))
    return _softplus(a * (x + b) + c * x * x) - _softplus(d * (x - b)) + e


def _berlu(x, alpha=0.01, epsilon=0.01):
    alpha, epsilon = mp.mpf(alpha), mp.mpf(epsilon)
    if abs(x) >= epsilon:
        return x if x > 0 else alpha * x
    return (1 - alpha) * x**2 / (4 * epsilon) + (1 + alpha) * x / 2 + (1 - alpha) * epsilon / 4


REFERENCES = {
    "pelu": lambda x: x if x >= 0 else mp.exp(x) - 1,
    "mpelu": lambda x: x if x > 0 else (mp.exp(x) - 1) / 4,
    "pdelu": _pdelu,
    "preu": lambda x: x if x > 0 else x * mp.exp(x),
    "ptelu": lambda x: x if x > 0 else mp.tanh(x),
    "s_shaped_relu": lambda x: _leaky(x, "0.2"),
    "apl": lambda x: _relu(x) + m("0.2") * _relu(m("0.5") - x),
    "splash": _relu,
    "arelu": lambda x: (1 + 1 / (1 + mp.exp(-2))) * x if x >= 0 else m("0.9") * x,
    "xielu": lambda x: m("0.8") * x * x + x / 2 if x > 0 else m("0.8") * (mp.exp(x) - 1 - x) + x / 2,
    "dynamic_tanh": lambda x: mp.tanh(x / 2),
    "derf": lambda x: mp.erf(x / 2),
    "taaf": mp.tanh,
    "laaf": mp.tanh,
    "tlu": _relu,
    "pact": lambda x: (abs(x) - abs(x - 10) + 10) / 2,
    "crrelu": lambda x: _relu(x) + m("0.01") * x * mp.exp(-x * x / 2),
    "uaf": _universal,
    "flexible_relu": _relu,
    "shilu": _relu,
    "scaled_softsign": lambda x: x / (1 + abs(x)),
    "dp_relu": lambda x: _leaky(x, "0.01"),
    "dual_line": lambda x: _leaky(x, "0.01") - m("0.22"),
    "pilu": lambda x: _leaky(x, "0.01"),
    "mixed_lrelu_elu": lambda x: x if x > 0 else (m("0.01") * x + mp.exp(x) - 1) / 2,
    "parametric_softplus": _softplus,
    "berlu": _berlu,
    "sg_blend": lambda x: (x / (1 + mp.exp(-x)) + x / (1 + mp.exp(-mp.mpf(1.702) * x))) / 2,
    "react": lambda x: (1 - mp.exp(-x)) / (1 + mp.exp(-x)),
    "soft_exponential": lambda x: x,
}
