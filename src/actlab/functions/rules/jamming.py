"""Jamming rules, random factors in place of the derivative (arXiv 2509.07236)."""

from actlab.functions.formula import sign, where
from actlab.functions.parameter import NonNegative
from actlab.functions.rule import rule
from actlab.functions.rules.windows import inside


@rule(arxiv="2509.07236", aliases=("full_jam", "full_jamming"))
def jam(u):
    """A random factor in (0, 1): the authors' code."""
    return u


@rule(arxiv="2509.07236", aliases=("positive_jamming",))
def positive_jam(x, u):
    """A random factor from zero up, else zero: the authors' code, a jammed derivative of ReLU."""
    return where(x >= 0, u, 0)


@rule(arxiv="2509.07236", aliases=("rectangular_jamming",))
def rectangular_jam(x, u, lower=-5.0, upper=5.0):
    """A random factor within the bounds, else zero: the authors' code."""
    return inside(x, lower, upper) * u


@rule(arxiv="2509.07236")
def signal_jam(grad, u):
    """The sign of the gradient, with a random magnitude in (0, 1): the paper's words."""
    return sign(grad) * u


@rule(arxiv="2509.07236")
def signal_positive_jam(grad, u):
    """A random number where the gradient is not negative, else zero: the paper's words."""
    return where(grad >= 0, u, 0)


@rule(arxiv="2509.07236")
def signal_rectangular_jam(grad, u, lower=-5.0, upper=5.0):
    """The sign of the gradient with a random magnitude where the gradient lies within the bounds, else zero: the paper's words."""
    return inside(grad, lower, upper) * sign(grad) * u


@rule(arxiv="2509.07236")
def noise(grad, normal, sigma: NonNegative = 0.1):
    """The gradient plus normal noise of that deviation."""
    return grad + sigma * normal


@rule(paper="snnTorch surrogate.SSO", aliases=("sso",))
def stochastic_spike(y, u, mean=0.0, spread: NonNegative = 0.2):
    """1 where the unit fired; elsewhere a random factor around the mean."""
    return where(y > 0, 1, (u - 1 / 2 + mean) * spread)
