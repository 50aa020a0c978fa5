"""Periodic and oscillating activations, such as sine, Snake and GCU."""

from math import inf, pi

from actlab.functions import formula
from actlab.functions.activation import Claims, NonZero, activation, learned
from actlab.functions.formula import absolute, atan, exp, maximum, sign, sqrt, tanh, where

WAVE = Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=inf, slope_bound=1.0, zero=True)


@activation(arxiv="2006.09661", torch="torch.sin", claims=WAVE, aliases=("sin",))
def sine(x):
    """The sine, as in SIREN (whose frequency 30 belongs to the first layer's weights)."""
    return formula.sin(x)


@activation(
    arxiv="2006.09661",
    claims=Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=inf, slope_bound=30.0, zero=True),
)
def siren(x, omega_0=30.0):
    """The sine with SIREN's frequency in the function, as its authors' code has it."""
    return formula.sin(omega_0 * x)


@activation(
    paper="Rahimi & Recht, NIPS 2007 (random Fourier features)",
    torch="torch.cos",
    claims=Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=inf, slope_bound=1.0, zero=False),
    aliases=("cos",),
)
def cosine(x):
    """The cosine."""
    return formula.cos(x)


@activation(
    arxiv="2006.08195",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=2.0, zero=True),
)
def snake(x, alpha: NonZero = learned(1.0)):
    """The input plus a squared sine: learns periodic signals and extrapolates them."""
    return x + formula.sin(alpha * x) ** 2 / alpha


@activation(
    arxiv="2206.04658",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=2.0, zero=True),
)
def snake_beta(x, alpha=learned(1.0), beta: NonZero = learned(1.0)):
    """Snake with an amplitude of its own (BigVGAN)."""
    return x + formula.sin(alpha * x) ** 2 / beta


@activation(
    arxiv="2006.08195",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=2.0, zero=True),
)
def x_plus_sin(x):
    """The input plus its sine, the alternative that the Snake paper weighs."""
    return x + formula.sin(x)


@activation(
    arxiv="2402.05427",
    claims=Claims(lower=-0.2172336, upper=1.0, monotone=False, smoothness=inf, slope_bound=1.370306, zero=False),
)
def sinc(x, omega: NonZero = pi):
    """The normalised cardinal sine, sin(pi x) / (pi x)."""
    return formula.sinc(omega * x)


@activation(
    arxiv="2108.12943",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, zero=True),
    aliases=("growing_cosine_unit",),
)
def gcu(x):
    """The input times its cosine: one such neuron can learn XOR."""
    return x * formula.cos(x)


@activation(
    paper="Rahman et al. 2023, Amplifying Sine Unit",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, zero=True),
    aliases=("asu",),
)
def amplifying_sine_unit(x):
    """The input times its sine."""
    return x * formula.sin(x)


@activation(
    arxiv="2111.04020",
    claims=Claims(lower=-0.6824596, upper=pi, monotone=False, smoothness=inf, slope_bound=1.370306, zero=True),
    aliases=("ssu",),
)
def shifted_sinc_unit(x):
    """A cardinal sine shifted to pass through zero with slope 1."""
    away = pi * formula.sin(x) / (pi - x)  # the same away from pi, without cancelling at zero
    return where(x < 2, away, where(x > 5, away, pi * formula.sinc(x - pi)))


@activation(
    arxiv="2111.04020",
    claims=Claims(lower=-1.636408, upper=1.636408, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("dsu",),
)
def decaying_sine_unit(x):
    """The difference of two shifted cardinal sines: an odd wave that dies out."""
    away = pi**2 * formula.sin(x) / (pi**2 - x**2)  # the same away from pi and -pi, without cancelling
    near = pi**2 * sign(x) * formula.sinc(absolute(x) - pi) / (pi + absolute(x))  # the same, without 0/0 at pi and -pi
    return where(absolute(x) < 2, away, where(absolute(x) > 5, away, near))


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, slope_bound=2.0, zero=False),
)
def cosid(x):
    """The cosine minus the input; never rises."""
    return formula.cos(x) - x


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, zero=True),
)
def arctid(x):
    """The squared inverse tangent minus the input."""
    return atan(x) ** 2 - x


@activation(
    arxiv="2307.11833",
    claims=Claims(lower=-(2**0.5), upper=2**0.5, monotone=False, smoothness=inf, slope_bound=2**0.5, zero=False),
    aliases=("pinnsformer_wavelet",),
)
def sin_cos(x, omega1=learned(1.0), omega2=learned(1.0)):
    """Sine plus cosine, with learned amplitudes (the Wavelet activation of PINNsFormer)."""
    return omega1 * formula.sin(x) + omega2 * formula.cos(x)


@activation(
    arxiv="2111.15135",
    claims=Claims(lower=0.3678794, upper=2.718282, monotone=False, smoothness=inf, slope_bound=1.458529, zero=False),
)
def exp_sin(x, a=1.0):
    """The exponential of minus the sine."""
    return exp(-formula.sin(a * x))


@activation(
    arxiv="2312.02434",
    claims=Claims(lower=-1.0, upper=1.0, monotone=False, smoothness=1, slope_bound=inf, zero=True),
)
def finer(x, omega_0=30.0):
    """A sine whose frequency grows with the input (whose authors stop the gradient of that growth; here it flows)."""
    return formula.sin(omega_0 * (absolute(x) + 1) * x)


@activation(
    arxiv="2401.10967",
    claims=Claims(lower=-0.9999998, upper=0.9999998, monotone=False, smoothness=inf, slope_bound=8.0, zero=True),
)
def hosc(x, beta=8.0):
    """The tanh of a scaled sine: a periodic function with sharp edges."""
    return tanh(beta * formula.sin(x))


@activation(
    arxiv="2306.15242",
    claims=Claims(monotone=False, zero=True),  # unbounded, too slowly for the measurement
)
def spder(x):
    """The sine damped by the square root of |x|."""
    return formula.sin(x) * sqrt(maximum(absolute(x), 1e-37))  # the root's argument stays above 0: no NaN gradient


@activation(
    arxiv="2310.18846",
    claims=WAVE,
)
def learned_sine(x, a=learned(1.0), b=learned(1.0), c=learned(0.0), d=learned(0.0)):
    """A sine with learned amplitude, frequency, phase and shift (INCODE, where a second network sets them)."""
    return a * formula.sin(b * x + c) + d
