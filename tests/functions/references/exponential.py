"""Independent definitions of the exponential rectifiers, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _log_one_plus_exp(x):
    return mp.log(1 + mp.exp(x))


def _hard_elish(x):
    gate = max(mp.mpf(0), min(mp.mpf(1), (x + 1) / 2))
    return x * gate if x >= 0 else (mp.exp(x) - 1) * gate


REFERENCES = {
    "delu": lambda x: x / 2 + abs(mp.exp(-x) - 1) if x >= 0 else x * _logistic(x),
    "elish": lambda x: x / (1 + mp.exp(-x)) if x >= 0 else (mp.exp(x) - 1) / (1 + mp.exp(-x)),
    "elu_plus_one": lambda x: x + 1 if x > 0 else mp.exp(x),
    "erf_relu": lambda x: x if x >= 0 else mp.erf(x),
    "exponential": mp.exp,
    "hard_elish": _hard_elish,
    "re_sp": lambda x: mp.mpf(1.7) * x + mp.log(2) if x >= 0 else _log_one_plus_exp(x),
    "reu": lambda x: max(x, x * mp.exp(-abs(x))),
    "serlu": lambda x: mp.mpf(1.07862) * (x if x >= 0 else mp.mpf(2.90427) * x * mp.exp(x)),
    "shifted_softplus": lambda x: mp.log(mp.exp(x) / 2 + mp.mpf("0.5")),
    "softplus_linear_unit": lambda x: x if x >= 0 else 2 * mp.log((mp.exp(x) + 1) / 2),
    "softplus_plus": lambda x: _log_one_plus_exp(x) + x / 2 - mp.log(2),
    "sqrt_softplus": lambda x: mp.sqrt(_log_one_plus_exp(x)),
}
