"""Independent definitions, written from the papers in mpmath: periodic functions and bumps; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350


def m(text):
    return mp.mpf(text)


def _sinc(x):
    return mp.sin(x) / x if x != 0 else mp.mpf(1)


def _meyer(x):
    v = abs(x)
    t = 2 * v - 1
    nu = t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3)
    window = mp.mpf(1) if v <= 0.5 else mp.cos(mp.pi / 2 * nu) if v < 1 else mp.mpf(0)
    return mp.sin(mp.pi * v) * window


REFERENCES = {
    "siren": lambda x: mp.sin(30 * x),
    "cosine": mp.cos,
    "snake_beta": lambda x: x + mp.sin(x) ** 2,
    "x_plus_sin": lambda x: x + mp.sin(x),
    "sinc": lambda x: _sinc(mp.pi * x),
    "gcu": lambda x: x * mp.cos(x),
    "amplifying_sine_unit": lambda x: x * mp.sin(x),
    "shifted_sinc_unit": lambda x: mp.pi * _sinc(x - mp.pi),
    "decaying_sine_unit": lambda x: mp.pi / 2 * (_sinc(x - mp.pi) - _sinc(x + mp.pi)),
    "cosid": lambda x: mp.cos(x) - x,
    "arctid": lambda x: mp.atan(x) ** 2 - x,
    "sin_cos": lambda x: mp.sin(x) + mp.cos(x),
    "exp_sin": lambda x: mp.exp(-mp.sin(x)),
    "finer": lambda x: mp.sin(30 * (abs(x) + 1) * x),
    "hosc": lambda x: mp.tanh(8 * mp.sin(x)),
    "spder": lambda x: mp.sin(x) * mp.sqrt(abs(x)),
    "learned_sine": mp.sin,
    "gaussian_bump": lambda x: mp.exp(-x * x / 2),
    "quadratic_bump": lambda x: 1 / (1 + x * x),
    "multiquadratic": lambda x: 1 / mp.sqrt(1 + x * x),
    "laplacian_bump": lambda x: mp.exp(-abs(x)),
    "gabor": lambda x: mp.cos(10 * x) * mp.exp(-((10 * x) ** 2)),
    "mexican_hat": lambda x: 2 / (mp.sqrt(3) * mp.pi ** m("0.25")) * (1 - x * x) * mp.exp(-x * x / 2),
    "morlet": lambda x: mp.cos(5 * x) * mp.exp(-x * x / 2),
    "dog_wavelet": lambda x: -x * mp.exp(-x * x / 2),
    "meyer_wavelet": _meyer,
    "relu_kan_basis": lambda x: (max(1 - x, mp.mpf(0)) * max(x + 1, mp.mpf(0))) ** 2,
}
