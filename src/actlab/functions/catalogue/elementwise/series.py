"""Learned sums of basis functions, such as polynomials, splines, kernels, sines and known activations.

The edge functions of KAN-like nets, shared by all units of a layer or learned per channel. The number of terms is fixed in each entry, as
parameters are single numbers; where the authors draw the coefficients at random, the entry starts at the function that it names.
"""

from math import inf

from actlab.functions.activation import Claims, NonZero, Positive, activation, learned
from actlab.functions.formula import Expr, absolute, exp, maximum, normal_cdf, sigmoid, sin, tanh, where

RELU = Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)
LEAKY = Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)


@activation(
    arxiv="1906.09529",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
    aliases=("self_learnable_activation",),
)
def slaf(x, a0=learned(1.0), a1=learned(1.0), a2=learned(0.0), a3=learned(0.0)):
    """A learned cubic polynomial (the number of terms is free in the paper); starts at 1 + x, as published code with two terms."""
    return a0 + x * (a1 + x * (a2 + x * a3))


@activation(
    paper="Venkatappareddy et al. 2021, A Legendre polynomial based activation function",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=False),
    aliases=("lpaf",),
)
def legendre(x, c0=learned(0.1), c1=learned(0.1), c2=learned(0.1), c3=learned(0.1)):
    """Learned Legendre polynomials to degree 3."""
    return (c0 - c2 / 2) + x * ((c1 - 1.5 * c3) + x * (1.5 * c2 + x * 2.5 * c3))


def _cubic_spline(t: Expr) -> Expr:
    """Return the cubic B-spline of unit knots around zero: it vanishes outside [-2, 2]."""
    return (maximum(2 - absolute(t), 0) ** 3 - 4 * maximum(1 - absolute(t), 0) ** 3) / 6


@activation(
    arxiv="2404.19756",
    claims=Claims(lower=-0.278465, upper=inf, monotone=False, smoothness=inf, slope_bound=1.09984, zero=True),
    aliases=("kan",),
)
def kan_bspline(
    x,
    c0=learned(0.0),
    c1=learned(0.0),
    c2=learned(0.0),
    c3=learned(0.0),
    c4=learned(0.0),
    c5=learned(0.0),
    c6=learned(0.0),
    c7=learned(0.0),
    scale_base=learned(1.0),
    scale_spline=learned(1.0),
):
    """KAN's edge: SiLU plus a learned cubic spline of five intervals on [-1, 1], which starts at zero (noise of 0.1 / 5 there)."""
    splines = (c * _cubic_spline((x + 1) / 0.4 + 1 - i) for i, c in enumerate((c0, c1, c2, c3, c4, c5, c6, c7)))
    return scale_base * x * sigmoid(x) + scale_spline * sum(splines)


@activation(
    arxiv="2405.06721",
    claims=Claims(lower=0.0, upper=0.1772637, monotone=False, smoothness=inf, slope_bound=0.1933202, zero=False),
    aliases=("fast_kan",),
)
def fastkan_rbf(
    x,
    w0=learned(0.1),
    w1=learned(0.1),
    w2=learned(0.1),
    w3=learned(0.1),
    w4=learned(0.1),
    w5=learned(0.1),
    w6=learned(0.1),
    w7=learned(0.1),
):
    """FastKAN's edge: eight learned bell curves on [-2, 2] (normal weights of deviation 0.1 there; its layer norms the input)."""
    weights = (w0, w1, w2, w3, w4, w5, w6, w7)
    return sum(w * exp(-(((x + 2) * 7 / 4 - i) ** 2)) for i, w in enumerate(weights))


@activation(
    arxiv="1707.04035",
    claims=Claims(lower=-0.5448905, upper=1.757221, monotone=False, smoothness=inf, slope_bound=0.6002214, zero=False),
    aliases=("kernel_activation_function", "kafnet"),
)
def kaf(
    x,
    a0=learned(-0.2),
    a1=learned(-0.19),
    a2=learned(-0.17),
    a3=learned(-0.13),
    a4=learned(0.0),
    a5=learned(0.2),
    a6=learned(0.4),
    a7=learned(0.6),
    a8=learned(0.8),
):
    """Nine learned Gaussian kernels on [-4, 4], twice their distance wide (20 in the paper); starts as a smoothed ELU."""
    weights = (a0, a1, a2, a3, a4, a5, a6, a7, a8)
    return sum(a * exp(-((x + 4 - i) ** 2) / 8) for i, a in enumerate(weights))


@activation(arxiv="2104.03693", claims=RELU, aliases=("piecewise_linear_unit",))
def pwlu(
    x,
    y0=learned(0.0),
    y1=learned(0.0),
    y2=learned(0.0),
    y3=learned(0.0),
    y4=learned(1.0),
    y5=learned(2.0),
    y6=learned(3.0),
    left=learned(0.0),
    right=learned(1.0),
    width: Positive = 3.0,
):
    """Six equal segments on [-width, width] with learned heights, and learned slopes outside; starts as ReLU (16 in the paper)."""
    heights, step = (y0, y1, y2, y3, y4, y5, y6), width / 3
    value: Expr = y6 + right * (x - width)
    for i in reversed(range(6)):
        start = (i - 3) * step
        line = heights[i] + (heights[i + 1] - heights[i]) * (x - start) / step
        value = where(x <= start + step, line, value)
    return where(x <= -width, y0 + left * (x + width), value)


@activation(arxiv="1905.02473", claims=LEAKY, aliases=("mexican_relu",))
def melu(x, c0=learned(0.25), c1=learned(0.0), c2=learned(0.0), c3=learned(0.0), max_input: Positive = 1.0):
    """PReLU plus learned triangles around 2, 1 and 3 times the largest expected input (k = 4; starts as PReLU)."""
    hats = ((c1, 2, 2), (c2, 1, 1), (c3, 3, 1))
    triangles = (c * maximum(half * max_input - absolute(x - centre * max_input), 0) for c, centre, half in hats)
    return where(x > 0, x, c0 * x) + sum(triangles)


@activation(
    arxiv="2105.09513",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def rowdy(
    x,
    a=learned(1.0),
    a1=learned(0.0),
    a2=learned(0.0),
    a3=learned(0.0),
    a4=learned(0.0),
    n: NonZero = 10.0,
):
    """A tanh of learned slope plus learned sines of n to 4n times the input, each n times its amplitude; starts as tanh."""
    return tanh(a * x) + sum(n * c * sin(k * n * x) for k, c in enumerate((a1, a2, a3, a4), start=1))


@activation(
    arxiv="2502.00869",
    claims=Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
)
def staf(
    x,
    c1=learned(1.0),
    c2=learned(0.0),
    c3=learned(0.0),
    w1=learned(1.0),
    w2=learned(2.0),
    w3=learned(3.0),
    p1=learned(0.0),
    p2=learned(0.0),
    p3=learned(0.0),
):
    """Three sines with learned amplitudes, frequencies and phases; starts as the sine (drawn at random in the paper)."""
    return sum(c * sin(w * x + p) for c, w, p in ((c1, w1, p1), (c2, w2, p2), (c3, w3, p3)))


@activation(
    arxiv="2605.26647",
    claims=Claims(lower=-0.3197898, upper=inf, monotone=False, smoothness=0, slope_bound=0.8600505, zero=True),
    aliases=("learnable_activation",),
)
def learned_mixture(
    x,
    w_relu=learned(0.25),
    w_gelu=learned(0.25),
    w_silu=learned(0.25),
    w_tanh=learned(0.25),
):
    """A learned sum of ReLU, GELU, SiLU and tanh: the paper's LA, whose weights do not depend on the token; starts as their mean."""
    return w_relu * maximum(x, 0) + w_gelu * x * normal_cdf(x) + w_silu * x * sigmoid(x) + w_tanh * tanh(x)
