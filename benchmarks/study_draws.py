"""Simulated results of studies for `error_control.py`: equal arms of many shapes, and what is outside the promise.

A draw takes (generator, studies, arms, seeds) and returns results of shape (studies, arms, seeds), larger is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gaussian(rng: np.random.Generator, *shape: int) -> Array:
    """Gaussian results; half of the variance is an effect of the seed that all arms share, and pairing removes it."""
    studies, _, seeds = shape
    return (rng.normal(size=shape) + rng.normal(size=(studies, 1, seeds))) / np.sqrt(2)


def heavy_tailed(rng: np.random.Generator, *shape: int) -> Array:
    """Student t with 3 degrees of freedom, with occasional extreme seeds."""
    results: Array = rng.standard_t(3, size=shape)
    return results


def skewed(rng: np.random.Generator, *shape: int) -> Array:
    """Negative lognormal loss, equal for all arms, with a long tail of bad results."""
    results: Array = -rng.lognormal(0.0, 0.8, size=shape)
    return results


def accuracy(rng: np.random.Generator, *shape: int) -> Array:
    """Accuracy on 360 test images; an effect of the seed changes the rate of all arms."""
    studies, _, seeds = shape
    rate = np.clip(0.965 + 0.008 * rng.normal(size=(studies, 1, seeds)), 0.9, 0.995)
    return rng.binomial(360, np.broadcast_to(rate, shape)) / 360


def saturated(rng: np.random.Generator, *shape: int) -> Array:
    """Accuracy on 360 images where all arms have one or two errors, with few values and many ties."""
    return rng.binomial(360, 0.996, size=shape) / 360


def unequal_spread(rng: np.random.Generator, *shape: int) -> Array:
    """Equal means, and standard deviations from 0.1 for the first arm to 1 for the last."""
    return rng.normal(size=shape) * np.geomspace(0.1, 1.0, shape[1])[:, None]


def sign_flips(rng: np.random.Generator, *shape: int) -> Array:
    """Differences of one size and either sign: of two arms one gets +1/2, the other -1/2, and neighbours so on."""
    half = rng.choice([-0.5, 0.5], size=(shape[0], -(-shape[1] // 2), shape[2]))
    return np.stack([half, -half], axis=2).reshape(shape[0], -1, shape[2])[:, : shape[1]]


def jittered_flips(rng: np.random.Generator, *shape: int) -> Array:
    """The same with 20 % jitter of the size."""
    return sign_flips(rng, *shape) * (1 + 0.2 * rng.normal(size=(shape[0], 1, shape[2])))


def bistable(rng: np.random.Generator, *shape: int) -> Array:
    """Trainings that work (0.97) or collapse (0.1), each with probability 1/2."""
    return np.where(rng.random(shape) < 0.5, 0.1, 0.97 + 0.004 * rng.normal(size=shape))


def rarely_bistable(rng: np.random.Generator, *shape: int) -> Array:
    """Trainings that collapse on a tenth of the seeds, all arms equally often."""
    return np.where(rng.random(shape) < 0.1, 0.1, 0.97 + 0.004 * rng.normal(size=shape))


def diverging(rng: np.random.Generator, *shape: int) -> Array:
    """Gaussian results of which a tenth diverges (NaN), in all arms equally often."""
    return np.where(rng.random(shape) < 0.1, np.nan, rng.normal(size=shape))


EQUAL = {
    "Gaussian, shared seed effect": gaussian,
    "heavy tails (t, 3 df)": heavy_tailed,
    "skewed (lognormal loss)": skewed,
    "accuracy on 360 images": accuracy,
    "accuracy 99.6 % on 360 images": saturated,
    "Gaussian, spreads 1 to 10": unequal_spread,
    "sign flips of one size": sign_flips,
    "sign flips, 20 % jitter": jittered_flips,
    "works or collapses, 1/2 each": bistable,
    "collapses on 1/10 of the seeds": rarely_bistable,
    "diverges on 1/10 of the seeds": diverging,
}
WITH_TIES = (accuracy, saturated, sign_flips, jittered_flips, diverging)


# ---- outside the promise ----


def long_tail(rng: np.random.Generator, *shape: int) -> Array:
    """Equal means; one arm has a long tail of bad seeds, so that it is typically better and sometimes far worse."""
    x = 0.5 * rng.normal(size=shape)
    x[:, 0] = 1 - rng.exponential(size=(shape[0], shape[2]))
    return x


def rare_collapses(rng: np.random.Generator, *shape: int) -> Array:
    """Equal means; the first arm is one SD of a difference better, and far worse on a twentieth of the seeds."""
    x = rng.normal(size=shape) / np.sqrt(2)
    x[:, 0] += 1 - 20 * (rng.random((shape[0], shape[2])) < 0.05)
    return x


def rarer_collapses(rng: np.random.Generator, *shape: int) -> Array:
    """The same with 2 SDs and a fiftieth of the seeds."""
    x = rng.normal(size=shape) / np.sqrt(2)
    x[:, 0] += 2 - 100 * (rng.random((shape[0], shape[2])) < 0.02)
    return x


def dependent(rng: np.random.Generator, *shape: int) -> Array:
    """Results of one arm on successive seeds with a correlation of 0.5."""
    return _autoregressive(rng, 0.5, *shape)


def strongly_dependent(rng: np.random.Generator, *shape: int) -> Array:
    """The same with a correlation of 0.9."""
    return _autoregressive(rng, 0.9, *shape)


def _autoregressive(rng: np.random.Generator, correlation: float, *shape: int) -> Array:
    x = rng.normal(size=shape)
    for n in range(1, shape[-1]):
        x[..., n] = correlation * x[..., n - 1] + np.sqrt(1 - correlation**2) * x[..., n]
    return x


OUTSIDE = {
    "equal means, one arm with a long bad tail": long_tail,
    "equal means, one arm collapses on 1/20 of the seeds": rare_collapses,
    "equal means, one arm collapses on 1/50 of the seeds": rarer_collapses,
    "seeds that depend on each other (0.5)": dependent,
    "seeds that depend on each other (0.9)": strongly_dependent,
}


# ---- arms that differ ----


def unequal_arms(rng: np.random.Generator, case: str, effect: float, *shape: int) -> tuple[Array, NDArray[np.bool_]]:
    """Draw Gaussian studies whose arms differ by ``effect`` SDs of the paired difference.

    Args:
        rng: generator.
        case: "one worse", "one better" or "two groups".
        effect: the difference.
        shape: studies, arms, seeds.

    Returns:
        Results, and which arms are worse, shape (studies, arms); the places of the arms are random.
    """
    arms = shape[1]
    worse = {
        "one worse": np.arange(arms) == 0,
        "one better": np.arange(arms) > 0,
        "two groups": np.arange(arms) < arms // 2,
    }[case]
    results = gaussian(rng, *shape)  # the arm's own SD is 1/sqrt(2), so the difference of two has SD 1
    places = rng.permuted(np.broadcast_to(worse, (shape[0], arms)), axis=1)
    return results - effect * places[..., None], places
