"""E-process for paired differences of any symmetric distribution, and the anytime-valid p-value.

"Differences" are paired differences: the result of one arm minus the result of another on the same seed, so that an effect of
the seed on both arms cancels.

**The process.** A bet before every seed on the sign of its difference. With ``u_n = d_n / sqrt(mean of d_1^2 .. d_n^2)`` ::

    e_n = product over i <= n of (1 + b_i),     b_i = sum over effects a of w_i(a) * tanh(a * sqrt(1 + a^2) * u_i),

with b_i limited to 0.99 in size, over three effect sizes a (means in standard deviations). The weights w_i(a) are their
posterior probabilities under Gaussian differences, given d_1 .. d_{i-1}. For Gaussian differences of known effect size a and
standard deviation sigma, tanh(a * d / sigma) is the bet with the fastest growth of log e, and sqrt(1 + a^2) turns the root mean square
into sigma.

**Validity after every seed.** The null hypothesis: given all that happened before, d_n is symmetric about some delta <= 0; delta
and the distribution may change from seed to seed. Given the past, b_n is a function of d_n alone. It is odd, and it does not
decrease with d_n: |d| / sqrt((A + d^2) / n) does not decrease with |d| for A >= 0, tanh increases, the weights are non-negative
and known before d_n, and a limit at 0.99 keeps the order. Write d_n = delta + z with z symmetric about 0. Then ::

    E b(delta + z) <= E b(z) = 0,

so e_n is a non-negative supermartingale that starts at 1, and P(e_n ever reaches 1/alpha) <= alpha (Ville). No shape is assumed:
differences that keep one size and flip sign, two-valued results, steps of 1/360 and heavy tails are covered, and no variance has to exist.

*One common history.* "The past" may include the results of all other arms. So the processes of all pairs of a study
are supermartingales with respect to one history, and so is every average of them (`actlab.stats.racing`).

*The limit.* A seed multiplies e by less than 2, and no process that is valid for every symmetric distribution can do better:
when the differences keep one size, each sequence of n signs has probability 2^-n, so a mean of at most 1 leaves e_n <= 2^n.
Evidence of 20 takes 5 seeds at least, evidence of 200 takes 8.

*Two-sided.* The mean of the processes of d and of -d, valid when d_n is symmetric about 0.

**Effects.** 0.5, 1.2 and 4, with prior weights 1/4, 1/4 and 1/2: large effects have half of the weight because a first seed that bets
carefully cannot be made up for later (see the limit). `benchmarks/error_control.py` measures the power beside that of a t process.

Sources: de la Pena (1999), Annals of Probability 27(1), for processes of symmetric variables; Ramdas, Ruf, Larsson & Koolen (2020),
arXiv 2009.03167, for bets on the sign of symmetric variables.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LARGEST_DIFFERENCE",
    "LARGEST_LOG",
    "ROUNDING",
    "TINY_GAIN",
    "Floats",
    "anytime_p",
    "exp_limited",
    "log_bets",
    "log_e_process",
    "log_growth",
]

Floats: TypeAlias = NDArray[np.float64]

#: Results that differ by less than this share of the largest difference are equal up to rounding.
ROUNDING = 1e-9
#: Largest logarithm of an e-value that is used, so that sums of e-values stay finite; smaller evidence is valid evidence.
LARGEST_LOG = 600.0

_EFFECTS = np.array([0.5, 1.2, 4.0])
_PRIOR = np.array([0.25, 0.25, 0.5])
_STEEPNESS = _EFFECTS * np.sqrt(1 + _EFFECTS**2)
# One difference against a long series takes away 99 % of the evidence, not all of it; a win costs 0.5 %.
_LARGEST_BET = 0.99
TINY_GAIN = 2.0**-1022  #: stands for a zero that counts as a gain
#: Larger differences count as this one, so that no sum overflows; a limit keeps the order and the symmetry.
LARGEST_DIFFERENCE = 1e303


def log_e_process(differences: ArrayLike, *, two_sided: bool = False, zero_gains: bool = False) -> Floats:
    """Return the log of the e-process after each difference, as defined in the module's docstring.

    Args:
        differences: paired differences in the order of the seeds, shape (..., n); one process per leading index.
        two_sided: whether the null hypothesis is "symmetric about zero"; otherwise it is "about zero or less".
        zero_gains: see `log_growth`.

    Returns:
        Natural logarithms, float64, shape (..., n); zero while all differences are zero. The result does not depend on
        the scale of the differences.

    Example:
        >>> np.exp(log_e_process([1.0, 1.2, 0.9, 1.1])).round(1).tolist()
        [1.9, 3.6, 7.0, 13.8]
    """
    d = np.asarray(differences, dtype=np.float64)
    log_e = log_growth(d, zero_gains=zero_gains).cumsum(-1)
    if not two_sided:
        return np.asarray(log_e, dtype=np.float64)
    return np.asarray(np.logaddexp(log_e, log_growth(-d).cumsum(-1)) - np.log(2), dtype=np.float64)


def log_growth(differences: Floats, *, zero_gains: bool = False) -> Floats:
    """Return log(1 + b_n), by which each difference adds to the log of the one-sided e-process.

    Args:
        differences: shape (..., n).
        zero_gains: whether zeros at the start count as small gains. Valid when the null hypothesis is "symmetric about some delta < 0"
            without equality: then P(d >= 0) <= 1/2, too.

    Example:
        >>> log_growth(np.array([1.0, -1.0, 0.0])).round(2).tolist()
        [0.62, -2.31, 0.0]
    """
    d = np.clip(differences, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
    if zero_gains:
        d = np.where(np.maximum.accumulate(np.abs(d), axis=-1) == 0, TINY_GAIN, d)
    n = np.arange(1.0, d.shape[-1] + 1)
    # Squares of 1e-200 underflow; a common scale would be known only after the last difference, and change what was decided before it.
    size = np.hypot.accumulate(np.abs(d), axis=-1) / np.sqrt(n)
    unit = np.divide(d, size, out=np.zeros_like(d), where=size > 0)
    mean = np.divide(d.cumsum(-1), n * size, out=np.zeros_like(d), where=size > 0)
    return log_bets(unit, mean)


def log_bets(unit: Floats, mean: Floats, largest: float = _LARGEST_BET) -> Floats:
    """Return log(1 + b_n) of the bets on differences in units that are known with them.

    Args:
        unit: u_n, each difference over the unit that holds for it, shape (..., n).
        mean: mean of the first n differences over that unit, which gives the weights of the next bet, shape (..., n).
        largest: size to which bets are limited.
    """
    weights = _posterior(np.arange(1.0, unit.shape[-1] + 1), mean)
    bet = np.zeros_like(unit)
    for steepness, weight in zip(_STEEPNESS, weights, strict=True):
        bet += weight * np.tanh(steepness * unit)
    return np.log1p(np.clip(bet, -largest, largest))


def _posterior(n: Floats, mean: Floats) -> Floats:
    """Return the weights of the effects before each difference, shape (effects, ..., n).

    With the root mean square as the unit, u = 1/sigma and the prior du/u, the likelihood of the effect a is the integral of
    u^n exp(-n (u^2 - 2 a u mean + a^2) / 2) du/u; by Laplace's approximation in log u. An approximate weight costs power, never validity.

    Args:
        n: 1, 2, ...
        mean: mean of the first n differences over their root mean square, shape (..., n).
    """
    logs = np.zeros((len(_EFFECTS), *mean.shape))
    for log, effect in zip(logs, _EFFECTS, strict=True):
        pull = effect * mean[..., :-1]
        u = (pull + np.sqrt(pull * pull + 4)) / 2
        fit = np.log(u) - 0.5 * (u * u - 2 * pull * u + effect**2)
        log[..., 1:] = n[:-1] * fit - 0.5 * np.log(u * u + 1)
    weights = np.exp(logs - logs.max(axis=0)) * _PRIOR.reshape(-1, *(1,) * mean.ndim)
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float64)


def exp_limited(log_e: ArrayLike) -> Floats:
    """Return e-values from their logarithms, at most e^600.

    Example:
        >>> exp_limited([0.0, 1e9]).tolist() == [1.0, float(np.exp(600.0))]
        True
    """
    return np.asarray(np.exp(np.minimum(log_e, LARGEST_LOG)), dtype=np.float64)


def anytime_p(differences: ArrayLike, *, two_sided: bool = True) -> float | None:
    """Return the anytime-valid p-value, one over the largest e-value so far; valid however often it is computed.

    Args:
        differences: paired differences in the order of the seeds, shape (n,).
        two_sided: as in `log_e_process`.

    Returns:
        A p-value in (0, 1], or None without differences.

    Example:
        >>> anytime_p([1.0, 1.2, 0.9, 1.1, 1.0, 1.3]) < 0.05
        True
    """
    if np.size(differences) == 0:
        return None
    highest = log_e_process(differences, two_sided=two_sided).max()
    return float(1 / exp_limited(max(0.0, highest)))
