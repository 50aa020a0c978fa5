"""Independent definitions of vector functions of one row, in NumPy and plain loops, written from the papers; shares no code with ActLab."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq, minimize


def _normalised(weights):
    return weights / weights.sum()


def sparsemax_by_optimisation(x):
    """The definition itself: the nearest point of the simplex, by a general solver."""
    found = minimize(
        lambda p: ((p - x) ** 2).sum(),
        np.full(len(x), 1 / len(x)),
        jac=lambda p: 2 * (p - x),
        bounds=[(0, 1)] * len(x),
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return found.x


def _entmax(alpha):
    def row(x):
        z = (alpha - 1) * x
        weights = lambda tau: np.maximum(z - tau, 0) ** (1 / (alpha - 1))  # noqa: E731 a line of the paper, as it stands there
        return weights(brentq(lambda tau: weights(tau).sum() - 1, z.max() - 1, z.max(), xtol=1e-15))

    return row


def _pairs_of_halves(x, chosen):
    half = len(x) // 2
    pairs = [chosen(a, b) for a, b in zip(x[:half], x[half:], strict=True)]
    return np.array([p[0] for p in pairs] + [p[1] for p in pairs])


def _by_pairs(x, chosen):
    return np.array([number for i in range(0, len(x), 2) for number in chosen(list(x[i : i + 2]))])


def _reflected(a, b, theta=math.pi / 2):
    if a * math.sin(theta / 2) - b * math.cos(theta / 2) <= 0:
        return a, b
    return a * math.cos(theta) + b * math.sin(theta), a * math.sin(theta) - b * math.cos(theta)


def _kept(x, keep):
    return np.where(keep, x, 0.0)


def _poly_norm(x):
    unit = lambda u: u / np.sqrt(np.mean(u**2) + 1e-6)  # noqa: E731 a line of the paper, as it stands there
    return (unit(x**3) + unit(x**2) + unit(x)) / 3


def _taylor(x):
    return _normalised(1 + x + x * x / 2)


def _softpick(x):
    largest = max(x.max(), 0)
    shifted = np.exp(x - largest) - np.exp(-largest)
    return np.maximum(shifted, 0) / (np.abs(shifted).sum() + 1e-8)


def _elu(x):
    return np.array([t if t > 0 else math.exp(t) - 1 for t in x])


def _normmax(alpha):
    """The conditions of the optimum: p / ||p|| is (x - tau)_+^(1 / (alpha - 1)), a vector of alpha-norm 1."""

    def row(x):
        unit = lambda tau: np.maximum(x - tau, 0) ** (1 / (alpha - 1))  # noqa: E731 a line of the paper, as it stands there
        return _normalised(unit(brentq(lambda tau: (unit(tau) ** alpha).sum() - 1, x.max() - 1, x.max(), xtol=1e-15)))

    return row


def _budget(total):
    """The nearest point of the box [0, 1]^n whose elements sum to the total: x - tau, clipped."""

    def row(x):
        excess = lambda tau: np.clip(x - tau, 0, 1).sum() - total  # noqa: E731 a line of the paper, as it stands there
        return np.clip(x - brentq(excess, x.min() - 1, x.max(), xtol=1e-15), 0, 1)

    return row


def normmax_by_optimisation(x, alpha):
    """The definition itself: the p of the simplex that maximises <p, x> - ||p||_alpha, by a general solver."""
    found = minimize(
        lambda p: (np.maximum(p, 0) ** alpha).sum() ** (1 / alpha) - p @ x,
        np.full(len(x), 1 / len(x)),
        bounds=[(0, 1)] * len(x),
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return found.x


def _sparse_geglu(x):
    value, gate = x[: len(x) // 2], x[len(x) // 2 :]
    kept = np.maximum(gate - gate.mean() - 1.6448536269514722 * gate.std(), 0)
    return value * np.array([t / 2 * math.erfc(-t / math.sqrt(2)) for t in kept])


def _length(x):
    return math.sqrt(sum(t * t for t in x))


ROWS = {
    "softmax": lambda x: _normalised(np.exp(x)),
    "log_softmax": lambda x: np.log(_normalised(np.exp(x))),
    "softmin": lambda x: _normalised(np.exp(-x)),
    "softmax1": lambda x: np.exp(x) / (1 + np.exp(x).sum()),
    "sparsemax": _entmax(2.0),
    "entmax15": _entmax(1.5),
    "alpha_entmax": _entmax(1.5),
    "taylor_softmax": _taylor,
    "spherical_softmax": lambda x: x**2 / (np.sum(x**2) + 1e-8),
    "softpick": _softpick,
    "scalable_softmax": lambda x: _normalised(len(x) ** (0.43 * x)),
    "sigmoid_weights": lambda x: 1 / (1 + len(x) * np.exp(-x)),
    "relu_weights": lambda x: np.maximum(x, 0) / len(x),
    "normalized_sigmoid": lambda x: _normalised(1 / (1 + np.exp(-x))),
    "ev_softmax": lambda x: _normalised(np.where(x >= x.mean(), np.exp(x), 0.0)),
    "topk_softmax": lambda x: _normalised(np.where(x >= sorted(x)[-2], np.exp(x), 0.0)),
    "hardmax": lambda x: np.eye(len(x))[int(np.argmax(x))],
    "maxout": lambda x: np.array([max(x[i : i + 2]) for i in range(0, len(x), 2)]),
    "soft_maxout": lambda x: np.array([np.log(np.exp(x[i]) + np.exp(x[i + 1])) for i in range(0, len(x), 2)]),
    "pnorm": lambda x: np.array([math.hypot(x[i], x[i + 1]) for i in range(0, len(x), 2)]),
    "group_sort": lambda x: _by_pairs(x, sorted),
    "maxmin": lambda x: _pairs_of_halves(x, lambda a, b: (max(a, b), min(a, b))),
    "householder": lambda x: _pairs_of_halves(x, _reflected),
    "lwta": lambda x: _by_pairs(x, lambda pair: [pair[0], 0.0] if pair[0] >= pair[1] else [0.0, pair[1]]),
    "kwta": lambda x: _kept(x, x >= sorted(x)[-(len(x) // 2)]),
    "gaussian_topk": lambda x: np.maximum(x - x.mean() - 1.6448536269514722 * x.std(), 0),
    "crelu": lambda x: np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)]),
    "nc_relu": lambda x: np.concatenate([np.maximum(x, 0), np.minimum(x, 0)]),
    "concat_elu": lambda x: np.concatenate([_elu(x), _elu(-x)]),
    "squash": lambda x: _length(x) ** 2 / (1 + _length(x) ** 2) * x / _length(x),
    "squash_exp": lambda x: (1 - 1 / math.exp(_length(x))) * x / _length(x),
    "norm_relu": lambda x: x,  # at its initial bias 0; see the test of a learned bias
    "solu": lambda x: x * _normalised(np.exp(x)),
    "poly_norm": _poly_norm,
    "abrelu": lambda x: np.maximum(x - x.mean(), 0),
    "sink_softmax": lambda x: np.exp(x) / (1 + np.exp(x).sum()),  # at its initial sink 0; see the test of another one
    "normmax": _normmax(2.0),
    "budget": _budget(2),
    "fourier_pair": lambda x: np.array([math.sin(t) for t in x] + [math.cos(t) for t in x]),
    "gaussian_topk_geglu": _sparse_geglu,
}
