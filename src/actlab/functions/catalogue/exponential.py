"""Exponential rectifiers: linear above zero, saturating below."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, NonZero, Positive, activation
from actlab.functions.formula import exp, expm1, where

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # the fixed point of the SELU paper


@activation(
    arxiv="1511.07289",
    torch="torch.nn.functional.elu",
    module="torch.nn.ELU",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def elu(x, alpha: Positive = 1.0):
    """Linear above zero, an exponential that saturates at -alpha below."""
    return where(x > 0, x, alpha * expm1(x))


@activation(
    arxiv="1706.02515",
    torch="torch.nn.functional.selu",
    module="torch.nn.SELU",
    claims=Claims(lower=-SCALE * ALPHA, upper=inf, monotone=True, smoothness=0, slope_bound=SCALE * ALPHA, zero=True),
)
def selu(x):
    """ELU scaled so that mean 0 and variance 1 are a fixed point, given gain 1 and alpha dropout."""
    return SCALE * where(x > 0, x, ALPHA * expm1(x))


@activation(
    arxiv="1704.07483",
    torch="torch.nn.functional.celu",
    module="torch.nn.CELU",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def celu(x, alpha: NonZero = 1.0):
    """ELU with a continuous derivative for every alpha."""
    return where(x > 0, x, alpha * expm1(x / alpha))


@activation(
    paper="Dugas et al., NIPS 2000",
    torch="torch.nn.functional.softplus",
    module="torch.nn.Softplus",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def softplus(x, beta: Positive = 1.0):
    """A smooth ReLU, log(1 + e^(beta x)) / beta."""
    return formula.softplus(beta * x) / beta


@activation(
    paper="folklore (radial basis networks)",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=inf, zero=False),
)
def gaussian(x):
    """The bell curve e^(-x^2)."""
    return exp(-(x**2))
