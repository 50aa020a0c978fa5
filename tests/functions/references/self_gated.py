"""Independent definitions, written from the papers in mpmath: self-gated functions; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350
ZERO, ONE = mp.mpf(0), mp.mpf(1)


def m(text):
    return mp.mpf(text)


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _softplus(x):
    return mp.log(1 + mp.exp(x))


def _gelu(x):
    return x / 2 * mp.erfc(-x / mp.sqrt(2))


def _generalised_logistic(x, kappa, lambd):
    return (lambd * mp.exp(-kappa * x) + 1) ** (-1 / lambd)


def _cauchy_cdf(x):
    return (mp.atan(x) + mp.pi / 2) / mp.pi


REFERENCES = {
    "clipped_gelu": lambda x: min(max(_gelu(x), m(-10)), m(10)),
    "soft_capped_silu": lambda x: 4 * mp.tanh(x / 4) / (1 + mp.exp(-x)),
    "soft_capped_gelu": lambda x: 2 * mp.tanh(x / 4) * mp.erfc(-x / mp.sqrt(2)),
    "hard_mish": lambda x: x / 2 * min(m(2), max(ZERO, x + 2)),
    "logish": lambda x: x * mp.log(1 + _logistic(x)),
    "phish": lambda x: x * mp.tanh(_gelu(x)),
    "gish": lambda x: x * mp.log(2 - mp.exp(-mp.exp(x))),
    "log_logish": lambda x: x * (1 - mp.exp(-mp.exp(x))),
    "lisht": lambda x: x * mp.tanh(x),
    "sgelu": lambda x: x * mp.erf(x / mp.sqrt(2)),
    "self_arctan": lambda x: x * mp.atan(x),
    "pflu": lambda x: x * (1 + x / mp.sqrt(1 + x * x)) / 2,
    "fpflu": lambda x: x if x >= 0 else x + x * x / mp.sqrt(1 + x * x),
    "atlu": lambda x: x * _cauchy_cdf(x),
    "lalu": lambda x: x * (1 - mp.exp(-x) / 2) if x >= 0 else x * mp.exp(x) / 2,
    "colu": lambda x: x / (1 - x * mp.exp(-(x + mp.exp(x)))),
    "ts_relu": lambda x: x * mp.tanh(_logistic(x)),
    "tbs_relu": lambda x: x * mp.tanh((1 - mp.exp(-x)) / (1 + mp.exp(-x))),
    "sin_sig": lambda x: x * mp.sin(mp.pi / 2 * _logistic(x)),
    "sech_lu": lambda x: x / mp.cosh(x),
    "squared_gelu": lambda x: _gelu(x) ** 2,
    "squared_silu": lambda x: (x / (1 + mp.exp(-x))) ** 2,
    "eis1": lambda x: x * _softplus(x) / (x + m("1.16") * mp.exp(-x)),
    "eis2": lambda x: x * _softplus(x) / mp.sqrt(1 + x * x),
    "eis3": lambda x: x / (1 + m("0.68") * mp.exp(-m("1.7") * x)),
    "gswish": lambda x: x / (1 + mp.exp(-mp.exp(-x))),
    "double_silu": lambda x: x / (1 + mp.exp(-x / (1 + mp.exp(-x)))),
    "tanh_silu": lambda x: (mp.exp(2 * x * _logistic(x)) - 1) / (mp.exp(2 * x * _logistic(x)) + 1),
    "swat": lambda x: x / (1 + mp.exp(-mp.atan(x))),
    "eanaf": lambda x: x * mp.exp(x) / (mp.exp(x) + 2),
    "tanh_sig": lambda x: (x + mp.tanh(x)) * _logistic(x),
    "sech_sig": lambda x: (x + mp.sech(x)) * _logistic(x),
    "e_swish": lambda x: m("1.375") * x * _logistic(x),
    "smish": lambda x: x * mp.tanh(mp.log(1 + _logistic(x))),
    "pserf": lambda x: x * mp.erf(m("1.25") * mp.log(1 + mp.exp(m("0.85") * x))),
    "erf_act": lambda x: x * mp.erf(m("0.75") * mp.exp(m("0.75") * x)),
    "telu_elu": lambda x: x * mp.tanh(x if x > 0 else mp.exp(x) - 1),
    "aptx": lambda x: (1 + mp.tanh(x)) * x / 2,
    "smu": lambda x: (m("1.25") * x + m("0.75") * x * mp.erf(m("750000") * x)) / 2,
    "smu1": lambda x: (m("1.25") * x + mp.sqrt((m("0.75") * x) ** 2 + m("4.332461424154261e-9") ** 2)) / 2,
    "tanh_soft1": lambda x: mp.tanh(m("0.87") * x) * _softplus(x),
    "tanh_soft2": lambda x: x * mp.tanh(m("0.6") * mp.exp(x)),
    "tanh_soft3": lambda x: mp.log(1 + mp.exp(x) * mp.tanh(m("0.85") * x)),
    "sinlu": lambda x: (x + mp.sin(x)) * _logistic(x),
    "coslu": lambda x: (x + mp.cos(x)) * _logistic(x),
    "swish_t": lambda x: x * _logistic(x) + m("0.1") * mp.tanh(x),
    "swish_t_a": lambda x: _logistic(x) * (x + m("0.2")) - m("0.1"),
    "swish_t_b": lambda x: _logistic(x) * (x + m("0.2")) - m("0.1"),
    "swish_t_c": lambda x: _logistic(x) * (x + m("0.2")) - m("0.1"),
    "b_silu": lambda x: (x + m("1.67")) * _logistic(x) - m("0.835"),
    "lip_swish": lambda x: x * _logistic(mp.log(1 + mp.exp(m("0.5"))) * x) / m("1.1"),
    "srs": lambda x: x / (x / 2 + mp.exp(-x / 3)),
    "aria2": lambda x: x * (1 + mp.exp(-2 * x)) ** m("-1.5"),
    "tangma": lambda x: x * mp.tanh(x),
    "powlu_unary": lambda x: x ** (1 + 3 / (mp.sqrt(x) + 1)) * _logistic(x) if x > 0 else x * x * _logistic(x),
    "acon_b": lambda x: m("0.75") * x * _logistic(m("0.75") * x) + x / 4,
    "acon_c": lambda x: x * _logistic(x),
    "xatlu": lambda x: x * _cauchy_cdf(x),
    "xgelu": _gelu,
    "xsilu": lambda x: x * _logistic(x),
    "apa": lambda x: _generalised_logistic(x, ONE, ONE),
    "aglu": lambda x: x * _generalised_logistic(x, ONE, ONE),
    "leaf": lambda x: x * _logistic(x),
    "ahaf": lambda x: x * _logistic(x),
    "dyn_act": lambda x: x * mp.tanh(_softplus(x)),
    "swim": lambda x: x / 2 * (1 + x / 2 / mp.sqrt(1 + (x / 2) ** 2)),
    "gelu_sine": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2 + mp.mpf(0.1) * mp.sin(x),
    "gelu_sinc": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2 * (1 + mp.sincpi(x) / 2),
    "smooth_leaky": lambda x: mp.mpf(0.7) * x + (1 - mp.mpf(0.7)) * x / (1 + mp.exp(-x)),
}
