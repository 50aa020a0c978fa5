"""Independent definitions of the learned sums of basis functions, at their initial values, from the papers in mpmath."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350
ZERO = mp.mpf(0)
# The kernels' initial weights: a fifth of ELU at the nine centres, rounded to two digits (the kernels at a point sum to 5).
KERNELS = (-0.2, -0.19, -0.17, -0.13, 0.0, 0.2, 0.4, 0.6, 0.8)


def _silu(x):
    return x / (1 + mp.exp(-x))


def _gelu(x):
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def _kernels(x):
    """Centres -4, -3, ..., 4 and bandwidth 1 / (2 (2 distance)^2), as in the authors' code."""
    return sum(mp.mpf(a) * mp.exp(-((x - d) ** 2) / 8) for a, d in zip(KERNELS, range(-4, 5), strict=True))


def _bells(x):
    """Eight bells (x - c) / h on linspace(-2, 2, 8), with h their distance."""
    distance = mp.mpf(4) / 7
    return mp.mpf(0.1) * sum(mp.exp(-(((x + 2 - i * distance) / distance) ** 2)) for i in range(8))


REFERENCES = {
    "slaf": lambda x: 1 + x,
    "legendre": lambda x: mp.mpf(0.1) * sum(mp.legendre(k, x) for k in range(4)),
    "kan_bspline": _silu,
    "fastkan_rbf": _bells,
    "kaf": _kernels,
    "pwlu": lambda x: max(x, ZERO),
    "melu": lambda x: x if x > 0 else x / 4,
    "rowdy": mp.tanh,
    "staf": mp.sin,
    "learned_mixture": lambda x: (max(x, ZERO) + _gelu(x) + _silu(x) + mp.tanh(x)) / 4,
}
