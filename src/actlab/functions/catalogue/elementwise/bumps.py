"""Localised activations, such as Gaussian bumps and wavelets, which vanish far from their centre."""

from math import inf, pi

from actlab.functions.activation import Claims, NonZero, Positive, activation, learned
from actlab.functions.formula import absolute, cos, exp, maximum, sin, sqrt, where

BELL = Claims(lower=0.0, upper=1.0, monotone=False, smoothness=inf, zero=False)


@activation(arxiv="2111.15135", claims=BELL)
def gaussian_bump(x, sigma: NonZero = 1.0):
    """The bell curve e^(-x^2 / (2 sigma^2)); sigma 1/sqrt 2 gives ``gaussian``."""
    return exp(-(x**2) / (2 * sigma**2))


@activation(arxiv="2111.15135", claims=BELL, aliases=("lorentzian",))
def quadratic_bump(x, a=1.0):
    """The rational bell curve 1 / (1 + (a x)^2), called Quadratic in the paper."""
    return 1 / (1 + (a * x) ** 2)


@activation(arxiv="2111.15135", claims=BELL, aliases=("inverse_multiquadric",))
def multiquadratic(x, a=1.0):
    """The slowly decaying bell curve 1 / sqrt(1 + (a x)^2)."""
    return 1 / sqrt(1 + (a * x) ** 2)


@activation(
    arxiv="2111.15135",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=0, slope_bound=1.0, zero=False),
)
def laplacian_bump(x, a: Positive = 1.0):
    """The two-sided exponential e^(-|x|/a)."""
    return exp(-absolute(x) / a)


@activation(
    arxiv="2301.05187",
    claims=Claims(lower=-0.009005678, upper=1.0, monotone=False, smoothness=inf, slope_bound=10.85095, zero=False),
    aliases=("real_gabor",),
)
def gabor(x, omega_0=10.0, s_0=10.0):
    """A cosine in a Gaussian window: WIRE's real form."""
    return cos(omega_0 * x) * exp(-((s_0 * x) ** 2))


@activation(
    arxiv="2405.12832",
    claims=Claims(lower=-0.3870528, upper=0.8673251, monotone=False, smoothness=inf, slope_bound=1.197012, zero=False),
    aliases=("ricker",),
)
def mexican_hat(x):
    """The second derivative of a bell curve, normalised (Wav-KAN)."""
    return 2 / (sqrt(3) * pi**0.25) * (1 - x**2) * exp(-(x**2) / 2)


@activation(
    arxiv="2405.12832",
    claims=Claims(lower=-0.8271099, upper=1.0, monotone=False, smoothness=inf, slope_bound=4.792885, zero=False),
)
def morlet(x, omega_0=5.0):
    """A cosine under a bell curve (Wav-KAN)."""
    return cos(omega_0 * x) * exp(-(x**2) / 2)


@activation(
    arxiv="2405.12832",
    claims=Claims(lower=-0.6065307, upper=0.6065307, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("derivative_of_gaussian",),
)
def dog_wavelet(x):
    """The first derivative of a bell curve (Wav-KAN)."""
    return -x * exp(-(x**2) / 2)


@activation(
    arxiv="2405.12832",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=0, zero=True),
)
def meyer_wavelet(x):
    """The sine of pi |x| in Meyer's window, which closes smoothly between 1/2 and 1 (Wav-KAN)."""
    t = 2 - 2 * absolute(x)  # cos(pi/2 nu(1 - t)) is sin(pi/2 nu(t)), which does not cancel where the window closes
    window = sin(pi / 2 * t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3))
    return where(absolute(x) >= 1, 0, sin(pi * absolute(x)) * where(absolute(x) <= 0.5, 1, window))


@activation(
    arxiv="2406.02075",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=1, zero=False),
)
def relu_kan_basis(x, s=learned(-1.0), e=learned(1.0)):
    """The squared product of two rectifiers: a bump of height 1 between s and e (ReLU-KAN)."""
    return (maximum(e - x, 0) * maximum(x - s, 0)) ** 2 * 16 / (e - s) ** 4
