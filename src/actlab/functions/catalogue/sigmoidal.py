"""Sigmoidal functions: bounded and monotone, and what is made of them."""

from math import inf, pi

from actlab.functions import formula
from actlab.functions.activation import Claims, activation
from actlab.functions.formula import absolute, where

TANH_SERIES = (929569 / 638512875, -21844 / 6081075, 1382 / 155925, -62 / 2835, 17 / 315, -2 / 15, 1 / 3)


@activation(
    paper="Rumelhart, Hinton & Williams, Nature 1986",
    torch="torch.sigmoid",
    module="torch.nn.Sigmoid",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.25, zero=False),
    aliases=("logistic",),
)
def sigmoid(x):
    """The logistic function."""
    return formula.sigmoid(x)


@activation(
    paper="LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp",
    torch="torch.tanh",
    module="torch.nn.Tanh",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def tanh(x):
    """The hyperbolic tangent."""
    return formula.tanh(x)


@activation(
    paper="Bergstra et al. 2009; Elliott 1993",
    torch="torch.nn.functional.softsign",
    module="torch.nn.Softsign",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("elliott",),
)
def softsign(x):
    """An algebraic sigmoid with polynomial tails."""
    return x / (1 + absolute(x))


@activation(
    paper="folklore",
    torch="torch.atan",
    claims=Claims(lower=-pi / 2, upper=pi / 2, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("atan",),
)
def arctan(x):
    """The inverse tangent."""
    return formula.atan(x)


@activation(
    paper="folklore",
    torch="torch.erf",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.1283791671, zero=True),
)
def erf(x):
    """The error function."""
    return formula.erf(x)


@activation(
    paper="folklore",
    torch="torch.nn.functional.logsigmoid",
    module="torch.nn.LogSigmoid",
    claims=Claims(lower=-inf, upper=0.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
    aliases=("log_sigmoid",),
)
def logsigmoid(x):
    """The logarithm of the logistic function."""
    return formula.logsigmoid(x)


@activation(
    paper="folklore",
    torch="torch.nn.functional.tanhshrink",
    module="torch.nn.Tanhshrink",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("tanh_shrink",),
)
def tanhshrink(x):
    """What tanh takes away: x - tanh x, by its series near zero, where the difference keeps no digit in float32."""
    square, series = x**2, 0.0
    for coefficient in TANH_SERIES:  # Horner's scheme; the next term is below 5e-15 of the value at 0.15
        series = coefficient + square * series
    series = x * square * series
    return where(absolute(x) < 0.15, series, x - formula.tanh(x))


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=-0.25, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def penalized_tanh(x, a=0.25):
    """The hyperbolic tangent, damped below zero."""
    return where(x > 0, formula.tanh(x), a * formula.tanh(x))
