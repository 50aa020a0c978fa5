"""Independent definitions of the gated units, written from their papers and official code in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _clip(x, limit):
    return max(min(x, mp.mpf(limit)), -mp.mpf(limit))


def _silu(x):
    return x / (1 + mp.exp(-x))


REFERENCES = {
    "geglu_tanh": lambda g, v: v * g / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (g + mp.mpf(0.044715) * g**3))),
    "qgeglu": lambda g, v: v * g * _logistic(mp.mpf(1.702) * g),
    "seglu": lambda g, v: (
        v * mp.mpf("1.0507009873554804934") * (g if g > 0 else mp.mpf("1.6732632423543772848") * (mp.exp(g) - 1))
    ),
    "mish_glu": lambda g, v: v * g * mp.tanh(mp.log(1 + mp.exp(g))),
    "tanh_glu": lambda g, v: v * mp.tanh(g),
    "relu2glu": lambda g, v: v * max(g, mp.mpf(0)) ** 2,
    "gtu": lambda g, v: mp.tanh(v) * _logistic(g),
    "drelu_glu": lambda g, v: max(g, mp.mpf(0)) * max(v, mp.mpf(0)),
    "fatreglu": lambda g, v: g * v if g > mp.mpf(0.01) else mp.mpf(0),
    "atglu": lambda g, v: v * g * (mp.mpf(1) / 2 + mp.atan(g) / mp.pi),
    "xatglu": lambda g, v: v * (mp.mpf(1) / 2 + mp.atan(g) / mp.pi),
    "xgeglu": lambda g, v: v * mp.ncdf(g),
    "xswiglu": lambda g, v: v * _logistic(g),
    "swiglu_oai": lambda g, v: (_clip(v, 7) + 1) * min(g, mp.mpf(7)) * _logistic(mp.mpf(1.702) * min(g, mp.mpf(7))),
    "swiglu_clamped": lambda g, v: _silu(min(g, mp.mpf(10))) * _clip(v, 10),
    "swiglu_post_clamped": lambda g, v: min(_silu(g), mp.mpf(7)) * _clip(v, 7),
    "situ_glu": lambda g, v: 4 * mp.tanh(g / 4) * _logistic(g) * 25 * mp.tanh(v / 25),
    "soft_capped_geglu": lambda g, v: 50 * mp.tanh(g / 4) * mp.erfc(-g / mp.sqrt(2)) * mp.tanh(v / 25),
    "powlu": lambda g, v: v * _logistic(g) * (g ** (3 / (mp.sqrt(g) + 1)) if g > 0 else g),
    "situ_linear_glu": lambda g, v: v * mp.tanh(g) * _logistic(g),
    "dyn_act_glu": lambda g, v: v * _silu(g),
}
