"""Independent definitions of the catalogue's functions, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350  # the literal 1 + tanh of gelu_tanh cancels 261 digits at -20


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _log_one_plus_exp(x):
    return mp.log(1 + mp.exp(x))


REFERENCES = {
    "arctan": mp.atan,
    "celu": lambda x: max(mp.mpf(0), x) + min(mp.mpf(0), mp.exp(x) - 1),
    "elu": lambda x: x if x > 0 else mp.exp(x) - 1,
    "erf": mp.erf,
    "gaussian": lambda x: mp.exp(-x * x),
    "gelu": lambda x: x / 2 * mp.erfc(-x / mp.sqrt(2)),
    "gelu_sigmoid": lambda x: x * _logistic(mp.mpf("1.702") * x),
    "gelu_tanh": lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3))),
    "golu": lambda x: x * mp.exp(-mp.exp(-x)),
    "hardshrink": lambda x: x if abs(x) > mp.mpf("0.5") else mp.mpf(0),
    "hardsigmoid": lambda x: min(max(x / 6 + mp.mpf("0.5"), mp.mpf(0)), mp.mpf(1)),
    "hardswish": lambda x: x * min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6,
    "hardtanh": lambda x: min(max(x, mp.mpf(-1)), mp.mpf(1)),
    "identity": lambda x: x,
    "leaky_relu": lambda x: x if x > 0 else mp.mpf(0.01) * x,
    "logsigmoid": lambda x: mp.log(_logistic(x)),
    "mish": lambda x: x * mp.tanh(_log_one_plus_exp(x)),
    "penalized_tanh": lambda x: mp.tanh(x) if x > 0 else mp.tanh(x) / 4,
    "prelu": lambda x: x if x > 0 else x / 4,
    "relu": lambda x: max(x, mp.mpf(0)),
    "relu6": lambda x: min(max(x, mp.mpf(0)), mp.mpf(6)),
    "selu": lambda x: (
        mp.mpf("1.0507009873554804934") * (x if x > 0 else mp.mpf("1.6732632423543772848") * (mp.exp(x) - 1))
    ),
    "serf": lambda x: x * mp.erf(_log_one_plus_exp(x)),
    "sigmoid": _logistic,
    "silu": lambda x: x * _logistic(x),
    "sine": mp.sin,
    "snake": lambda x: x + mp.sin(x) ** 2,
    "softplus": _log_one_plus_exp,
    "softshrink": lambda x: mp.sign(x) * max(abs(x) - mp.mpf("0.5"), mp.mpf(0)),
    "softsign": lambda x: x / (1 + abs(x)),
    "squared_relu": lambda x: max(x, mp.mpf(0)) ** 2,
    "squareplus": lambda x: (x + mp.sqrt(x * x + 4)) / 2,
    "star_relu": lambda x: mp.mpf(0.8944) * max(x, mp.mpf(0)) ** 2 - mp.mpf(0.4472),
    "swish": lambda x: x * _logistic(x),
    "tanh": mp.tanh,
    "tanhshrink": lambda x: x - mp.tanh(x),
    "telu": lambda x: x * mp.tanh(mp.exp(x)),
    "threshold": lambda x: x if x > 1 else mp.mpf(0),
    "bilinear": lambda gate, value: gate * value,
    "geglu": lambda gate, value: gate / 2 * mp.erfc(-gate / mp.sqrt(2)) * value,
    "glu": lambda gate, value: _logistic(gate) * value,
    "reglu": lambda gate, value: max(gate, mp.mpf(0)) * value,
    "swiglu": lambda gate, value: gate * _logistic(gate) * value,
}
