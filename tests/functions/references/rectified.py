"""Independent definitions of the rectifiers and moduli, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

ZERO = mp.mpf(0)


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _smelu(beta):
    def smelu(x):
        if abs(x) <= beta:
            return (x + beta) ** 2 / (4 * mp.mpf(beta))
        return x if x > 0 else ZERO

    return smelu


def _huberized(x):
    if x <= 0:
        return ZERO
    return x**2 / 2 if x <= 1 else x - mp.mpf("0.5")


def _squashed_square(x, depth):
    return x + x**2 / depth if x >= -2 else -2 + 4 / mp.mpf(depth)


def _bounded_leaky(x):
    a = mp.mpf(0.1)
    if x <= 0:
        return a * x
    return x if x < 1 else a * x + (1 - a)


def _hat(x):
    if 0 <= x < 1:
        return x
    return 2 - x if 1 <= x < 2 else ZERO


REFERENCES = {
    "abs": lambda x: mp.sqrt(x**2),
    "bent_identity": lambda x: (mp.sqrt(x**2 + 1) - 1) / 2 + x,
    "bi_firing": lambda x: abs(x) - mp.mpf("0.5") if abs(x) > 1 else x**2 / 2,
    "bounded_leaky_relu": _bounded_leaky,
    "delay_relu": lambda x: max(ZERO, x - 1),
    "flatten_t_swish": lambda x: (x * _logistic(x) if x >= 0 else ZERO) + mp.mpf(-0.2),
    "hat": _hat,
    "huberized_relu": _huberized,
    "hyper_sinh": lambda x: mp.sinh(x) / 3 if x > 0 else x**3 / 4,
    "isrlu": lambda x: x if x >= 0 else x / mp.sqrt(1 + x**2),
    "log_lu": lambda x: x if x > 0 else -mp.log(1 - x),
    "maxsig": lambda x: max(x, _logistic(x)),
    "maxtanh": lambda x: max(x, mp.tanh(x)),
    "minsin": lambda x: min(x, mp.sin(x)),
    "nl_relu": lambda x: mp.log(max(x, ZERO) + 1),
    "pan": lambda x: x - 1 if x >= 1 else max(-x - 1, ZERO),
    "plu": lambda x: max(mp.mpf(0.1) * (x + 1) - 1, min(mp.mpf(0.1) * (x - 1) + 1, x)),
    "relu_n": lambda x: min(max(x, ZERO), mp.mpf(1)),
    "relu_tanh_squared": lambda x: (4 * mp.tanh(max(x, ZERO) / 4)) ** 2,
    "repu": lambda x: max(x, ZERO) ** 3,
    "shifted_relu": lambda x: max(x, mp.mpf(-1)),
    "sign_relu": lambda x: x if x >= 0 else x / (1 + abs(x)),
    "sine_relu": lambda x: x if x > 0 else mp.mpf(0.0025) * (mp.sin(x) - mp.cos(x)),
    "smelu": _smelu(2),
    "soft_modulus_q": lambda x: x**2 * (2 - abs(x)) if abs(x) <= 1 else abs(x),
    "soft_modulus_t": lambda x: x * mp.tanh(x / mp.mpf(0.01)),
    "sparse_plus": _smelu(1),
    "sqlu": lambda x: x if x > 0 else _squashed_square(x, 4),
    "squish": lambda x: x + x**2 / 32 if x > 0 else _squashed_square(x, 2),
    "tent": lambda x: max(ZERO, 1 - abs(x)),
    "vlu": lambda x: max(ZERO, x) + mp.sin(x),
    "keras_relu": lambda x: min(max(x, ZERO), mp.mpf(6)),
    "scaled_leaky_relu": lambda x: mp.mpf(2**0.5) * max(x, mp.mpf(0.2) * x),
    "clamped_relu": lambda x: min(max(x, mp.mpf(0.1) * x), mp.mpf(6)),
    "logcosh": lambda x: mp.log(mp.cosh(x)),
    "leaky_relu_squared": lambda x: max(x, x / 2) ** 2,
    "signed_square": lambda x: mp.sign(x) * x**2,
    "gem": lambda x: x**3 / (1 + x**2) if x > 0 else ZERO,
}
