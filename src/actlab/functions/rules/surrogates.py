"""Surrogate gradients, the slopes of smooth functions in place of a step, sign or rectifier."""

import sympy

from actlab.functions.formula import (
    absolute,
    atan,
    cos,
    exp,
    log1p,
    maximum,
    normal_cdf,
    reciprocal,
    sigmoid,
    sign,
    tanh,
    where,
)
from actlab.functions.parameter import NonNegative, Positive
from actlab.functions.rule import rule


def density(x, sigma):
    """Return the density of N(0, sigma^2)."""
    return exp(-((x / sigma) ** 2) / 2) / (sigma * sympy.sqrt(2 * sympy.pi))


def sech2(x):
    """Return 1 - tanh(x)^2, without cancelling in the tails."""
    return 4 * sigmoid(2 * x) * sigmoid(-2 * x)


@rule(paper="Hyperbolic tangent, as in arXiv:1901.09948", surrogate=lambda x, k: tanh(k * x), aliases=("tanh_slope",))
def tanh_(x, k: Positive = 1.0):
    """Slope of tanh(k x)."""
    return k * sech2(k * x)


@rule(arxiv="2007.05785", surrogate=lambda x, alpha: atan(sympy.pi / 2 * alpha * x) / sympy.pi, aliases=("atan",))
def arctan(x, alpha: Positive = 2.0):
    """Slope of an arctan: snnTorch's default for every neuron, SpikingJelly's ATan."""
    return alpha / 2 / (1 + (sympy.pi / 2 * alpha * x) ** 2)


@rule(arxiv="1705.11146", surrogate=lambda x, k: x / (1 + k * absolute(x)))
def fast_sigmoid(x, k: Positive = 25.0):
    """Slope of x / (1 + k|x|), as in snnTorch."""
    return reciprocal(1 + k * absolute(x)) ** 2


@rule(arxiv="1705.11146", surrogate=lambda x, alpha: x / (1 + alpha * absolute(x)))
def superspike(x, alpha: Positive = 100.0):
    """Slope of x / (1 + alpha |x|): SuperSpike with the sharpness of spytorch and norse."""
    return reciprocal(1 + alpha * absolute(x)) ** 2


@rule(paper="SpikingJelly surrogate.SuperSpike")
def soft_superspike(x, alpha: Positive = 1.0):
    """What SpikingJelly calls SuperSpike: alpha / (1 + |x|)^2."""
    return alpha * reciprocal(1 + absolute(x)) ** 2


@rule(arxiv="1901.09948", surrogate=lambda x, k: sigmoid(k * x), aliases=("logistic",))
def sigmoid_(x, k: Positive = 4.0):
    """Slope of sigmoid(k x): k = 4 in SpikingJelly, 25 in snnTorch."""
    return k * sigmoid(k * x) * sigmoid(-k * x)


@rule(paper="sinabs Gaussian", surrogate=lambda x, sigma: normal_cdf(x / sigma))
def gaussian(x, sigma: Positive = 0.5):
    """Density of N(0, sigma^2), the slope of a normal distribution function; SpikingJelly's Erf(2) is sigma = 0.3536."""
    return density(x, sigma)


@rule(paper="Yin, Corradi & Bohte 2021, doi:10.1038/s42256-021-00397-w")
def multi_gaussian(x, sigma: Positive = 0.5, h: NonNegative = 0.15, width: Positive = 6.0):
    """A Gaussian less two wide ones at its sides: negative in the tails."""
    wide = width * sigma
    return (1 + h) * density(x, sigma) - h * (density(x - sigma, wide) + density(x + sigma, wide))


@rule(arxiv="1810.08646", aliases=("slayer",))
def exponential(x, alpha: Positive = 1.0):
    """Falls off exponentially on both sides, its area 1: SLAYER's, SpikingJelly's SoftSign relative."""
    return alpha / 2 * exp(-alpha * absolute(x))


@rule(paper="SpikingJelly surrogate.SoftSign", surrogate=lambda x, alpha: alpha * x / (2 * (1 + alpha * absolute(x))))
def soft_sign(x, alpha: Positive = 2.0):
    """Slope of softsign(alpha x) / 2."""
    return alpha / 2 * reciprocal(1 + alpha * absolute(x)) ** 2


@rule(
    paper="SpikingJelly surrogate.NonzeroSignLogAbs",
    surrogate=lambda x, alpha: sign(x) * log1p(alpha * absolute(x)),
)
def sign_log_abs(x, alpha: Positive = 1.0):
    """Slope of sign(x) log(1 + alpha |x|): its tails fall as 1 / |x|."""
    return alpha * reciprocal(1 + alpha * absolute(x))


@rule(arxiv="1812.11800", aliases=("swish_sign",))
def swishsign(x, beta: Positive = 5.0):
    """Slope of BNN+'s SignSwish, which overshoots: negative in the tails."""
    # 1 + cosh(z) = 2 cosh(z/2)^2, whose reciprocal is sech2; nothing overflows
    return beta * (2 - beta * x * tanh(beta * x / 2)) * sech2(beta * x / 2) / 2


@rule(arxiv="1909.10788", surrogate=lambda x, t: maximum(1 / t, 1) * tanh(t * x))
def ede(x, t: Positive = 1.0):
    """IR-Net's estimator: from nearly the identity (t = 0.001) to nearly the sign (t = 10); sharpen t with a schedule."""
    return maximum(1 / t, 1) * t * sech2(t * x)


@rule(arxiv="2308.06689")
def reste(x, o: Positive = 3.0, t: Positive = 1.5, interval: Positive = 0.1):
    """Slope of sign(x)|x|^(1/o) within t, capped within the interval; sharpen o from 1 to 3 with a schedule."""
    near = maximum(absolute(x), interval)
    capped = interval ** (1 / o) / interval
    return where(absolute(x) <= interval, capped, where(absolute(x) <= t, near ** ((1 - o) / o) / o, 0))


@rule(arxiv="2505.22074", surrogate=lambda x, a: (x + a) * sigmoid(x) - a / 2, aliases=("sugar",))
def bsilu(x, a=1.67):
    """Slope of SUGAR's bounded SiLU, (x + a) sigmoid(x) - a / 2: lets gradients through where a ReLU is zero."""
    return sigmoid(x) * (1 + (x + a) * sigmoid(-x))


@rule(arxiv="2505.22074")
def nelu(x, a: Positive = 0.05):
    """SUGAR's NeLU: 1 above zero, below it 2 a x / (1 + x^2)^2, which is negative and turns the gradient's sign."""
    return where(x > 0, 1, 2 * a * x * reciprocal(1 + x**2) ** 2)


@rule(paper="SpikingJelly surrogate.S2NN")
def s2nn(x, alpha: Positive = 4.0, beta: Positive = 1.0):
    """A sigmoid's slope below zero, a logarithm's from zero up."""
    below = alpha * sigmoid(alpha * x) * sigmoid(-alpha * x)
    return where(x < 0, below, beta * reciprocal(1 + maximum(x, 0)))


@rule(paper="SpikingJelly surrogate.QPseudoSpike")
def q_pseudo_spike(x, alpha: Positive = 2.0):
    """A power of 1 + 2|x| / (alpha - 1), alpha above 1."""
    return (1 + 2 * absolute(x) / (alpha - 1)) ** (-alpha)


@rule(paper="SpikingJelly surrogate.LogTailedReLU")
def log_tailed(x, alpha: NonNegative = 0.0):
    """1 from 0 to 1, 1 / x above, alpha below."""
    return where(x > 1, reciprocal(maximum(x, 1)), where(x > 0, 1, alpha))


@rule(paper="snnTorch surrogate.LSO")
def leaky_spike(y, k: NonNegative = 0.1):
    """1 where the unit fired, k elsewhere: snnTorch's leaky spike operator."""
    return where(y > 0, 1, k)


@rule(paper="SpikingJelly surrogate.SquarewaveFourierSeries")
def fourier(x, period: Positive = 8.0):
    """The first wave of the Fourier series of a square wave with that period, differentiated: what SpikingJelly computes for n = 2."""
    return 4 / period * cos(2 * sympy.pi * x / period)
