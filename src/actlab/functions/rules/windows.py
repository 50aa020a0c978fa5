"""Gradient rules that are constant, or a rectangle or triangle around zero, in place of a derivative."""

from actlab.functions.formula import absolute, maximum, minimum, where
from actlab.functions.parameter import NonNegative, Positive
from actlab.functions.rule import rule


def inside(x, lower, upper):
    """Return 1 from ``lower`` to ``upper``, both included, and 0 elsewhere."""
    return where(x >= lower, where(x <= upper, 1, 0), 0)


@rule(arxiv="1308.3432", surrogate=lambda x, value: value * x, aliases=("ste", "straight_through"))
def constant(x, value=1.0):
    """The same factor everywhere: 1 is the straight-through estimator, and the "untied 1" of arXiv:2509.07236; written ``/1``."""
    return value


@rule(
    arxiv="2509.07236",
    surrogate=lambda x, lower, upper: minimum(maximum(x, lower), upper),
    aliases=("rectangular",),
)
def rect(x, lower=-0.5, upper=0.5):
    """One between two bounds, else zero."""
    return inside(x, lower, upper)


@rule(arxiv="1602.02830", surrogate=lambda x, c: minimum(maximum(x, -c), c), aliases=("clipped_ste", "hardtanh"))
def clipped(x, c: Positive = 1.0):
    """One where |x| <= c, else zero: the straight-through estimator of BinaryNet and Larq (QuickNet has c = 1.25)."""
    return where(absolute(x) <= c, 1, 0)


@rule(paper="SpikingJelly surrogate.Rect")
def unit_rect(x, alpha: Positive = 1.0):
    """Height alpha over a width of 1 / alpha around zero, its area 1."""
    return where(absolute(x) < 1 / (2 * alpha), alpha, 0)


@rule(paper="SpikingJelly surrogate.PiecewiseLeakyReLU")
def leaky_window(x, w: Positive = 1.0, c: NonNegative = 0.01):
    """One over 2w where |x| < w, a little everywhere else."""
    return where(absolute(x) < w, 1 / (2 * w), c)


@rule(arxiv="2509.07236", aliases=("triangle",))
def triangular(x, width: Positive = 1.0):
    """Falls in a line from 1 at zero to 0 at the width."""
    return maximum(1 - absolute(x) / width, 0)


@rule(arxiv="1803.09574")
def dampened_triangular(x, alpha: Positive = 0.3):
    """The triangle of width 1, dampened."""
    return alpha * maximum(1 - absolute(x), 0)


@rule(paper="SpikingJelly surrogate.PiecewiseQuadratic")
def unit_triangular(x, alpha: Positive = 1.0):
    """The triangle of height alpha and half-width 1 / alpha, its area 1."""
    return alpha * maximum(1 - alpha * absolute(x), 0)


@rule(arxiv="1808.00278", aliases=("approx_sign",))
def approxsign(x):
    """Slope of Bi-Real Net's piecewise quadratic approximation of the sign: 2 - 2|x| where |x| <= 1."""
    return maximum(2 - 2 * absolute(x), 0)
