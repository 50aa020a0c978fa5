"""Odd unbounded activations made of logarithms and roots, such as symlog and asinh."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, NonNegative, Positive, activation
from actlab.functions.formula import absolute, expm1, log1p, maximum, sign, sqrt, where

ODD = Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True)
STEEP = Claims(lower=-inf, upper=inf, monotone=True, slope_bound=inf, zero=True)


@activation(
    arxiv="2301.04104",
    claims=ODD,
    aliases=("logsign", "signed_log"),
)
def symlog(x):
    """The logarithm of 1 + |x| with the sign of x (Bilski 2000; DreamerV3); in two branches, so that its slope at zero is 1."""
    return where(x > 0, log1p(x), -log1p(-x))


@activation(
    arxiv="2301.04104",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=inf, zero=True),
)
def symexp(x):
    """The inverse of symlog."""
    return where(x > 0, expm1(x), -expm1(-x))


@activation(
    paper="folklore",
    torch="torch.asinh",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("arcsinh",),
)
def asinh(x):
    """The inverse hyperbolic sine: linear near zero, logarithmic far away."""
    return formula.asinh(x)


@activation(
    arxiv="2009.07530",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, zero=True),
)
def m_arcsinh(x):
    """The inverse hyperbolic sine times the root of |x|, over 12."""
    # The argument of the root stays above 0, so that the gradient is not NaN.
    return formula.asinh(x) * sqrt(maximum(absolute(x), 1e-37)) / 12


@activation(
    paper="Kunc & Klema 2024, arXiv:2402.09092 (survey: SQRT); Perronnin, Sanchez & Mensink, ECCV 2010",
    claims=STEEP,
    aliases=("ssr",),
)
def signed_sqrt(x):
    """The root of |x| with the sign of x; its slope at zero is infinite."""
    return sign(x) * sqrt(maximum(absolute(x), 1e-37))  # the root's argument stays above 0: no NaN gradient


@activation(
    paper="ITU-T G.711 (1972); arXiv:1609.03499 (WaveNet)",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=45.985903, zero=True),
)
def mu_law(x, mu: Positive = 255.0):
    """The companding of telephony: a steep symmetric logarithm with f(1) = 1; in two branches, so that f'(0) is right."""
    return where(x > 0, log1p(mu * x), -log1p(-mu * x)) / log1p(mu)


@activation(
    arxiv="1805.11593",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=0.501, zero=True),
    aliases=("value_rescaling",),
)
def signed_hyperbolic(x, eps: NonNegative = 0.001):
    """The root of |x| + 1, less 1, with the sign of x, plus a small line: how R2D2 squashes returns (0.01 in its source)."""
    root = sqrt(1 + absolute(x))
    return where(absolute(x) < 3, x / (1 + root), sign(x) * (root - 1)) + eps * x  # near zero, root - 1 cancels
