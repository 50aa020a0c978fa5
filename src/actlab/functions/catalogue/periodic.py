"""Periodic functions."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, NonZero, activation, learned


@activation(
    arxiv="2006.09661",
    torch="torch.sin",
    claims=Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("sin",),
)
def sine(x):
    """The sine, as in SIREN (whose frequency 30 belongs to the first layer's weights)."""
    return formula.sin(x)


@activation(
    arxiv="2006.08195",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=2.0, zero=True),
)
def snake(x, alpha: NonZero = learned(1.0)):
    """The input plus a squared sine: learns periodic signals and extrapolates them."""
    return x + formula.sin(alpha * x) ** 2 / alpha
