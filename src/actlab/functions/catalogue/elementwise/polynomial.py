"""Polynomial and rational activations, such as cube, PAU and Hermite series.

Coefficients a0, a1, ... belong to x^0, x^1, ...
"""

from math import inf, pi

from actlab.functions import formula
from actlab.functions.activation import Claims, NonZero, activation, learned
from actlab.functions.formula import Expr, absolute, log1p, maximum, minimum, sqrt, where


def _horner(x: Expr, coefficients: tuple[Expr, ...]) -> Expr:
    """Return the polynomial whose coefficients begin with the constant."""
    value: Expr = 0
    for coefficient in reversed(coefficients):
        value = coefficient + x * value
    return value


def _ratio(x: Expr, numerator: tuple[Expr, ...], z: Expr, denominator: tuple[Expr, ...]) -> Expr:
    """Return a polynomial in x over one of even degree, a degree less, in z = x or |x|; beyond 1 in powers of 1/x."""
    far = x * _horner(1 / x, numerator[::-1]) / _horner(1 / z, denominator[::-1])
    return where(absolute(x) > 1, far, _horner(x, numerator) / _horner(z, denominator))


@activation(
    paper="Gilad-Bachrach et al., ICML 2016 (CryptoNets)",
    torch="torch.square",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
)
def square(x):
    """The square: what a network on encrypted numbers can compute."""
    return x**2


@activation(
    paper="Chen & Manning, EMNLP 2014",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=inf, zero=True),
    aliases=("triple",),
)
def cube(x):
    """The cube, which multiplies features in a dependency parser."""
    return x**3


@activation(
    arxiv="2111.04020",
    claims=Claims(lower=-0.25, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
    aliases=("squ",),
)
def shifted_quadratic_unit(x):
    """The square plus the input."""
    return x**2 + x


@activation(
    arxiv="2111.04020",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
    aliases=("ncu",),
)
def non_monotonic_cubic_unit(x):
    """The input minus its cube."""
    return x * (1 - x**2)  # a product has its limits at the infinities, the difference has not


@activation(
    arxiv="2405.04459",
    claims=Claims(lower=-inf, upper=1.0, monotone=False, smoothness=0, slope_bound=1.0, zero=True),
)
def cone(x):
    """The tent 1 - |x - 1|, whose half-line decision regions become strips."""
    return minimum(x, 2 - x)  # the same, without cancelling at zero


@activation(
    arxiv="2405.04459",
    claims=Claims(lower=-inf, upper=1.0, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
)
def parabolic_cone(x):
    """The parabola x (2 - x)."""
    return x * (2 - x)


@activation(
    paper="Gao & Zhang 2020, Data-driven modelling",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
)
def seagull(x):
    """The logarithm of 1 + x^2."""
    return log1p(x**2)


@activation(
    arxiv="2409.19221",
    claims=Claims(lower=-0.2071068, upper=1.207107, monotone=False, smoothness=inf, slope_bound=1.274519, zero=False),
    aliases=("xnet",),
)
def cauchy_activation(x, lambda1=learned(1.0), lambda2=learned(1.0), d: NonZero = learned(1.0)):
    """The kernel of Cauchy's integral, (lambda1 x + lambda2) / (x^2 + d^2)."""
    return lambda1 * x / (x**2 + d**2) + lambda2 / (x**2 + d**2)  # two terms, so that the slope has its limit, too


@activation(
    arxiv="2004.01902",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, slope_bound=1.149542, zero=False),
)
def rational_net(
    x,
    a0=learned(0.0218),
    a1=learned(0.5),
    a2=learned(1.5957),
    a3=learned(1.1915),
    b0=learned(1.0),
    b1=learned(0.0),
    b2=learned(2.383),
):
    """A cubic over a quadratic, all coefficients learned; starts as the best such fit to ReLU."""
    return _ratio(x, (a0, a1, a2, a3), x, (b0, b1, b2))


@activation(
    arxiv="1907.06732",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=0, zero=False),
    aliases=("rational_a",),
)
def rational_pau(
    x,
    a0=learned(0.029792778657264946),
    a1=learned(0.6183735264987601),
    a2=learned(2.323309062531321),
    a3=learned(3.051936237265109),
    a4=learned(1.4854203263828845),
    a5=learned(0.2510244961111299),
    b1=learned(-1.1419548357285474),
    b2=learned(4.393159974992486),
    b3=learned(0.8714712309957245),
    b4=learned(0.34719662339598834),
):
    """A Pade unit, its denominator 1 + sum |b x^j| (version A of its library); starts near leaky ReLU on [-3, 3]."""
    below = (1, *(absolute(b) for b in (b1, b2, b3, b4)))
    return _ratio(x, (a0, a1, a2, a3, a4, a5), absolute(x), below)


@activation(
    arxiv="2411.03884",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=inf, zero=True),
)
def poly_relu(x, a0=learned(0.0), a1=learned(1 / 3), a2=learned(1 / 3), a3=learned(1 / 3)):
    """A learned cubic polynomial of ReLU."""
    return _horner(maximum(x, 0), (a0, a1, a2, a3))


@activation(
    arxiv="2405.07200",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def chebyshev_kan(x, c0=learned(0.0), c1=learned(1.0), c2=learned(0.0), c3=learned(0.0)):
    """Learned Chebyshev polynomials of the tanh of the input; starts as tanh here, the authors draw the coefficients."""
    t = formula.tanh(x)
    return c0 + c1 * t + c2 * (2 * t**2 - 1) + c3 * (4 * t**3 - 3 * t)


@activation(
    arxiv="1909.05479",
    claims=Claims(lower=-inf, upper=3.088934, monotone=False, smoothness=inf, slope_bound=inf, zero=False),
)
def hermite(
    x,
    c0=learned((2 * pi) ** -0.5),
    c1=learned(0.5),
    c2=learned((4 * pi) ** -0.5),
    c3=learned(0.0),
    c4=learned(-((48 * pi) ** -0.5)),
):
    """Learned normalised Hermite polynomials to degree 4; starts as ReLU's own expansion."""
    k2, k3, k4 = c2 / sqrt(2), c3 / sqrt(6), c4 / sqrt(24)  # He_2 = x^2 - 1, He_3 = x^3 - 3x, He_4 = x^4 - 6x^2 + 3
    return _horner(x, (c0 - k2 + 3 * k4, c1 - 3 * k3, k2 - 6 * k4, k3, k4))
