"""Elimination by t e-processes and Holm's correction, the rule of ActLab 0.1.0, as an opponent in `error_control.py`.

For each ordered pair the likelihood ratio of "the effect size is drawn from a half-normal with scale 2" against "it is zero", of the
scale-free part of Gaussian differences, with a variance of rounding of n * step^2 / 12 added where that lowers it. The evidence
against an arm is that of its strongest rival over K - 1; Holm's procedure at 5 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Array = NDArray[np.float64]
NEVER = 10**6
G = 0.25  # precision of the prior on the effect size


def t_process_rule(results: Array, alpha: float = 0.05) -> NDArray[np.int64]:
    """Return the round after which each arm is eliminated, shape (studies, arms), from results of shape (studies, arms, seeds)."""
    studies, arms, seeds = results.shape
    paths = _log_e_paths(results)
    rounds = np.full((studies, arms), NEVER)
    racing = np.ones((studies, arms), dtype=bool)
    log_e = np.zeros((studies, arms, arms))
    for column in range(seeds):
        log_e = np.where(racing[:, :, None] & racing[:, None], paths[..., column], log_e)
        evidence = log_e.max(axis=1) - np.log(arms - 1)
        while True:
            left = racing.sum(axis=1)
            own = np.where(racing, evidence, -1.0)
            out = np.flatnonzero((own.max(axis=1) >= np.log(left / alpha)) & (left > 1))
            if not out.size:
                break
            worst = own.argmax(axis=1)[out]
            rounds[out, worst] = column + 1
            racing[out, worst] = False
    return rounds


def _log_e_paths(results: Array) -> Array:
    studies, arms, seeds = results.shape
    first, second = np.triu_indices(arms, 1)
    gains = results[:, first] - results[:, second]
    gains = gains / np.maximum(np.abs(gains).max(axis=-1, keepdims=True), 1e-300)
    n = np.arange(1.0, seeds + 1)
    total, squares, step = gains.cumsum(-1), (gains * gains).cumsum(-1), _smallest_step(gains)
    paths = np.zeros((studies, arms, arms, seeds))
    for one, other, signed in ((first, second, total), (second, first, -total)):
        plain = _log_e(n, signed, squares)
        guarded = _log_e(n, signed, squares + np.where(n > 1, n, 0.0) * step * step / 12)
        log_e = np.where(squares > 0, np.minimum(plain, guarded), 0.0)
        paths[:, one, other] = np.maximum.accumulate(np.maximum(log_e, 0.0), axis=-1)
    return paths


def _log_e(n: Array, total: Array, squares: Array) -> Array:
    positive = np.where(squares > 0, squares, 1.0)
    residual = positive - total * total / (n + G)
    tail = stdtr(n, total * np.sqrt(n) / np.sqrt((n + G) * residual))
    log_e: Array = (
        0.5 * np.log(G / (G + n)) + 0.5 * n * np.log(positive / residual) + np.log(2 * np.maximum(tail, 5e-324))
    )
    return log_e


def _smallest_step(gains: Array) -> Array:
    """Return, after each gain, the smallest difference of two gains, or of a gain and zero, so far; 0 without one."""
    steps = np.full(gains.shape, np.inf)
    for n in range(gains.shape[-1]):
        gaps = np.abs(gains[..., [n]] - np.concatenate([np.zeros_like(gains[..., :1]), gains[..., :n]], axis=-1))
        steps[..., n] = np.where(gaps > 1e-9, gaps, np.inf).min(axis=-1)
    steps = np.minimum.accumulate(steps, axis=-1)
    return np.where(np.isfinite(steps), steps, 0.0)
