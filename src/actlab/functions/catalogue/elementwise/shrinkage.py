"""Shrinkage functions from wavelet denoising and sparse coding, which set small inputs to zero."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, NonNegative, Positive, activation
from actlab.functions.formula import absolute, maximum, sign, sqrt, where

TANH_SERIES = (929569 / 638512875, -21844 / 6081075, 1382 / 155925, -62 / 2835, 17 / 315, -2 / 15, 1 / 3)
SHRINKS = Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)


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
    paper="Donoho & Johnstone 1994 (wavelet shrinkage)",
    torch="torch.nn.functional.softshrink",
    module="torch.nn.Softshrink",
    claims=SHRINKS,
)
def softshrink(x, lambd: NonNegative = 0.5):
    """Moves the input towards zero by lambda, to zero at most."""
    return where(absolute(x) <= lambd, 0, x - lambd * sign(x))


@activation(
    paper="Donoho & Johnstone 1994 (wavelet shrinkage)",
    torch="torch.nn.functional.hardshrink",
    module="torch.nn.Hardshrink",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=-1, zero=True),
)
def hardshrink(x, lambd: NonNegative = 0.5):
    """Zero within lambda of zero, the input outside."""
    return where(absolute(x) <= lambd, 0, x)


@activation(
    paper="Gao & Bruce, Statistica Sinica 1997",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=2.0, zero=True),
    aliases=("mcp_threshold",),
)
def firmshrink(x, lambda1: NonNegative = 0.5, lambda2: Positive = 1.0):
    """Zero up to lambda1, the input from lambda2 on, a line between; also the threshold of the minimax concave penalty."""
    between = sign(x) * lambda2 * (absolute(x) - lambda1) / (lambda2 - lambda1)
    return where(absolute(x) <= lambda1, 0, where(absolute(x) <= lambda2, between, x))


@activation(
    paper="Breiman, Technometrics 1995; Gao, Journal of Computational and Graphical Statistics 1998",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=2.0, zero=True),
    aliases=("garrote",),
)
def garroteshrink(x, lambd: Positive = 0.5):
    """The non-negative garrote: zero within lambda of zero, x - lambda^2/x outside, which nears the input."""
    return where(absolute(x) <= lambd, 0, x - lambd**2 / x)


@activation(
    paper="Fan & Li, Journal of the American Statistical Association 2001",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=2.7 / 1.7, zero=True),
    aliases=("scad",),
)
def scadshrink(x, lambd: Positive = 0.5, a=3.7):
    """Soft thresholding up to 2 lambda, the input from a lambda on, a line between (a above 2)."""
    soft = where(absolute(x) <= lambd, 0, x - lambd * sign(x))
    line = ((a - 1) * x - sign(x) * a * lambd) / (a - 2)
    return where(absolute(x) <= 2 * lambd, soft, where(absolute(x) <= a * lambd, line, x))


@activation(
    paper="Vidakovic 1999, Statistical Modeling by Wavelets",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=inf, zero=True),
)
def hyperbolicshrink(x, lambd: Positive = 0.5):
    """Zero within lambda of zero, a hyperbola outside; its slope at lambda is infinite."""
    share = maximum((1 - lambd / absolute(x)) * (1 + lambd / absolute(x)), 1e-37)  # above 0: no NaN gradient at lambda
    return where(absolute(x) <= lambd, 0, x * sqrt(share))


@activation(
    paper="ONNX, operator Shrink",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=-1, zero=True),
)
def shrink(x, lambd: NonNegative = 0.5, bias=0.0):
    """Zero within lambda of zero, outside moved towards zero by a bias: bias 0 is hardshrink, bias = lambda softshrink."""
    return where(absolute(x) <= lambd, 0, x - bias * sign(x))


@activation(paper="TensorFlow Addons, activations.softshrink", claims=SHRINKS)
def two_sided_softshrink(x, lower=-0.5, upper=0.5):
    """Zero between two thresholds, outside the distance to the nearer one: softshrink with a threshold for each side."""
    return where(x < lower, x - lower, where(x <= upper, 0, x - upper))


@activation(
    paper="TensorFlow Addons, activations.hardshrink",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=-1, zero=True),
)
def two_sided_hardshrink(x, lower=-0.5, upper=0.5):
    """Zero between two thresholds, the input outside: hardshrink with a threshold for each side."""
    return where(x < lower, x, where(x <= upper, 0, x))
