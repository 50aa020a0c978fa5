"""Independent definitions of functions that mix tokens: plain loops over pairs of tokens in NumPy; shares no code with ActLab."""

from __future__ import annotations

import math

import numpy as np


def _weighted(weight, eps):
    """Quadratic attention: mean of the values under pairwise weights."""

    def mix(q, k, v, *, causal):
        out = np.zeros_like(v)
        for i in range(len(q)):
            seen = range(i + 1) if causal else range(len(k))
            w = np.array([weight(q[i], k[j], (i - j) / len(q)) for j in seen])
            out[i] = (w[:, None] * v[: len(w)]).sum(0) / (w.sum() + eps)
        return out

    return mix


def _elu1(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def _softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def _hedgehog(x):
    return _softmax(np.concatenate([x, -x]))


def _taylor(q, k):
    s = q @ k / math.sqrt(len(q))
    return 1 + s + s * s / 2


def _relu(x):
    return np.maximum(x, 0)


WEIGHTED = {
    "softmax_attention": _weighted(lambda q, k, _: math.exp(q @ k / math.sqrt(len(q))), 0.0),
    "linear_attention": _weighted(lambda q, k, _: _elu1(q) @ _elu1(k), 1e-6),
    "relu_linear_attention": _weighted(lambda q, k, _: _relu(q) @ _relu(k), 1e-15),
    "squared_relu_linear_attention": _weighted(lambda q, k, _: _relu(q) ** 2 @ _relu(k) ** 2, 1e-15),
    "taylor_attention": _weighted(lambda q, k, _: _taylor(q, k), 1e-12),
    "hedgehog_attention": _weighted(lambda q, k, _: _hedgehog(q) @ _hedgehog(k), 1e-12),
    "cosformer": _weighted(lambda q, k, place: _relu(q) @ _relu(k) * math.cos(math.pi / 2 * place), 1e-6),
}


def hydra(q, k, v, *, causal):
    """Normalised queries times the sum of normalised keys times values."""
    unit = lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True))  # noqa: E731 a line of the paper, as it stands there
    terms = unit(k) * v
    sums = [terms[: i + 1].sum(0) if causal else terms.sum(0) for i in range(len(q))]
    return unit(q) * np.array(sums)


def efficient(q, k, v):
    """Shen et al.: softmax over features of q, over tokens of k."""
    out = np.zeros_like(v)
    weights = np.stack([_softmax(column) for column in k.T], 1)
    for i in range(len(q)):
        for f, share in enumerate(_softmax(q[i])):
            out[i] += share * (weights[:, f, None] * v).sum(0)
    return out


def attention_free(q, k, v):
    """AFT-simple."""
    weights = np.stack([_softmax(column) for column in k.T], 1)
    return 1 / (1 + np.exp(-q)) * (weights * v).sum(0)


def retention(q, k, v, head=0):
    """RetNet's parallel form for one head."""
    decay = 1 - 2.0 ** (-5 - head)
    out = np.zeros_like(v)
    for i in range(len(q)):
        for j in range(i + 1):
            out[i] += decay ** (i - j) * (q[i] @ k[j]) / math.sqrt(k.shape[1]) * v[j]
    return out


def gated_linear(q, k, v, g):
    """GLA's recurrence, token by token."""
    state, out = np.zeros((q.shape[1], v.shape[1])), np.zeros_like(v)
    for i in range(len(q)):
        forget = (1 / (1 + np.exp(-g[i]))) ** (1 / 16)
        state = forget[:, None] * state + np.outer(k[i], v[i])
        out[i] = q[i] / math.sqrt(q.shape[1]) @ state
    return out


def fourier(x):
    """Both sums of the discrete Fourier transform, written out."""
    tokens, features = x.shape
    over_tokens = np.exp(-2j * np.pi * np.outer(range(tokens), range(tokens)) / tokens)
    over_features = np.exp(-2j * np.pi * np.outer(range(features), range(features)) / features)
    return (over_tokens @ x @ over_features).real


def average(x):
    """Mean of a token and those before it."""
    return np.array([x[: i + 1].mean(0) for i in range(len(x))])


OTHERS = {
    "hydra_attention",
    "efficient_attention",
    "attention_free",
    "retention",
    "gated_linear_attention",
    "fourier_mixing",
    "average_attention",
}
