"""Rectifiers with powers, roots or logarithms, such as squared ReLU, squareplus and SmeLU."""

from math import inf

from actlab.functions.activation import Claims, Count, NonNegative, Positive, activation, learned
from actlab.functions.formula import absolute, cos, expm1, log1p, maximum, sigmoid, sign, sin, sqrt, tanh, where

BLEND = Claims(lower=0.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=False)


@activation(
    arxiv="2109.08668",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=1, slope_bound=inf, zero=True),
    aliases=("relu2", "relu_squared"),
)
def squared_relu(x):
    """The square of the positive part (Primer); grows quadratically."""
    return maximum(x, 0) ** 2


@activation(
    arxiv="2210.13452",
    claims=Claims(lower=-0.4472, upper=inf, monotone=True, smoothness=1, slope_bound=inf, zero=False),
)
def star_relu(x, scale=learned(0.8944), bias=learned(-0.4472)):
    """Squared ReLU scaled and shifted to mean 0 and variance 1, both learned (MetaFormer)."""
    return scale * maximum(x, 0) ** 2 + bias


@activation(
    arxiv="2112.11687",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def squareplus(x, b: NonNegative = 4.0):
    """An algebraic softplus; b = 4 gives slope 1/2 and value 1 at zero."""
    return where(x > 0, (x + sqrt(x**2 + b)) / 2, b / 2 / (sqrt(x**2 + b) - x))  # the second form does not cancel


@activation(
    arxiv="1903.05858",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=2, slope_bound=inf, zero=True),
    aliases=("truncated_power",),
)
def repu(x, p: Positive = 3.0):
    """The positive part to the power p."""
    return maximum(x, 0) ** p


@activation(
    paper="NVIDIA TransformerEngine (tanh-clamped squared ReLU)",
    claims=Claims(lower=0.0, upper=16.0, monotone=True, smoothness=1, slope_bound=16 / 27**0.5, zero=True),
    aliases=("tanh_squared_relu",),
)
def relu_tanh_squared(x, s: Positive = 4.0):
    """Squared ReLU bounded softly by s^2 through a tanh."""
    return (s * tanh(maximum(x, 0) / s)) ** 2


@activation(
    arxiv="1908.03682",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("nlrelu",),
)
def nl_relu(x, beta: Positive = 1.0):
    """The natural logarithm of 1 plus the positive part."""
    return log1p(beta * maximum(x, 0))


@activation(
    arxiv="2202.06499",
    claims=BLEND,
)
def smelu(x, beta: Positive = 2.0):
    """ReLU with a parabola between -beta and beta."""
    return where(x > beta, x, maximum(x + beta, 0) ** 2 / (4 * beta))


@activation(
    paper="JAX, jax.nn.sparse_plus (Blondel, Martins & Niculae, JMLR 2020)",
    claims=BLEND,
)
def sparse_plus(x):
    """The sparse twin of softplus: a parabola between -1 and 1; SmeLU at beta = 1."""
    return where(x > 1, x, maximum(x + 1, 0) ** 2 / 4)


@activation(
    arxiv="2102.04998",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def huberized_relu(x, h: Positive = 1.0):
    """ReLU with a parabola between 0 and h, and h/2 below it from there on."""
    return where(x > h, x - h / 2, maximum(x, 0) ** 2 / (2 * h))


@activation(
    paper="Wuraola, Patel & Nguang, Neurocomputing 2021",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def sqlu(x):
    """Linear above zero, a parabola that saturates at -1 below."""
    return where(x > 0, x, maximum(x, -2) * (1 + maximum(x, -2) / 4))


@activation(
    paper="Wuraola, Patel & Nguang, Neurocomputing 2021",
    claims=Claims(lower=-0.5, upper=inf, monotone=False, smoothness=0, slope_bound=inf, zero=True),
)
def squish(x):
    """Like SiLU by parabolas: x + x^2/32 above zero, one with its minimum at -1 below."""
    return where(x > 0, x * (1 + x / 32), maximum(x, -2) * (1 + maximum(x, -2) / 2))


@activation(
    arxiv="1710.09967",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=2, slope_bound=1.0, zero=True),
)
def isrlu(x, alpha: Positive = 1.0):
    """Linear above zero, the inverse square root unit below."""
    return where(x > 0, x, x / sqrt(1 + alpha * x**2))


@activation(
    paper="Lin & Shen 2018; Duan, Yang & Dai 2022 (FPLUS)",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("signrelu", "dlu", "fplus"),
)
def sign_relu(x, a=1.0):
    """Linear above zero, softsign below."""
    return where(x > 0, x, a * x / (1 - x))


@activation(
    paper="OpenReview 1D3TjFidCS (Logarithmic Linear Units)",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("loglu",),
)
def log_lu(x):
    """Linear above zero, a logarithm below."""
    return where(x > 0, x, -log1p(-x))


@activation(
    paper="folklore",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.5, zero=True),
)
def bent_identity(x):
    """The input plus half of sqrt(x^2 + 1) - 1, by forms that neither cancel near zero nor overflow far away."""
    near, far = x + x**2 / (2 * (1 + sqrt(1 + x**2))), x * (1 + sign(x) * sqrt(1 + 1 / x**2) / 2) - 0.5
    return where(absolute(x) < 1, near, far)


@activation(
    arxiv="2011.07661",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=inf, zero=True),
)
def hyper_sinh(x):
    """A third of sinh above zero, a cubic below."""
    return where(x > 0, (expm1(x) - expm1(-x)) / 6, x**3 / 4)


@activation(
    paper="Rodrigues 2018 (SineReLU)",
    claims=Claims(lower=-0.0025 * 2**0.5, upper=inf, monotone=False, smoothness=-1, slope_bound=1.0, zero=False),
    aliases=("sinerelu",),
)
def sine_relu(x, epsilon=0.0025):
    """Linear above zero, a small wave below; jumps by epsilon at zero."""
    return where(x > 0, x, epsilon * (sin(x) - cos(x)))


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=-inf, upper=1.0, monotone=False, smoothness=2, slope_bound=1.0, zero=True),
)
def minsin(x):
    """The smaller of the input and its sine: linear below zero, a wave above."""
    return where(x > 0, sin(x), x)


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=False),
)
def maxsig(x):
    """The larger of the input and its logistic function."""
    return maximum(x, sigmoid(x))


@activation(
    arxiv="1901.02671",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=2, slope_bound=1.0, zero=True),
    aliases=("siglu", "trelu"),
)
def maxtanh(x):
    """The larger of the input and its tanh: linear above zero, tanh below."""
    return where(x > 0, x, tanh(x))


@activation(
    arxiv="2110.12246",
    claims=Claims(lower=-1.0, upper=inf, monotone=False, smoothness=0, slope_bound=2.0, zero=True),
    aliases=("pvlu",),
)
def vlu(x, alpha=1.0, beta=1.0):
    """ReLU plus a wave."""
    return maximum(x, 0) + alpha * sin(beta * x)


@activation(
    arxiv="1812.06247",
    claims=Claims(lower=-0.2, upper=inf, monotone=True, smoothness=0, slope_bound=1.09984, zero=False),
    aliases=("fts",),
)
def flatten_t_swish(x, t=-0.2):
    """SiLU above zero and zero below, all shifted by t."""
    return where(x <= 0, t, x * sigmoid(x) + t)


@activation(
    paper="OpenAI parameter-golf records 2026; haliax",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=1, slope_bound=inf, zero=True),
)
def leaky_relu_squared(x, negative_slope=0.5):
    """The square of leaky ReLU: squared ReLU whose left side is alive."""
    return where(x > 0, x, negative_slope * x) ** 2


@activation(
    paper="OpenAI parameter-golf records 2026",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=inf, zero=True),
)
def signed_square(x):
    """The square with the sign of the input, x |x|."""
    return x * absolute(x)


@activation(
    arxiv="2604.21677",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=2, slope_bound=9 / 8, zero=True),
    aliases=("geometric_monomial",),
)
def gem(x, n: Count = 1):
    """A rational ReLU with 2n continuous derivatives, x^(2n + 1) / (1 + x^(2n)) above zero: its gate is a log-logistic distribution."""
    near = x ** (2 * n + 1) / (1 + x ** (2 * n))
    return where(x <= 0, 0, where(x < 1, near, x / (1 + (1 / x) ** (2 * n))))
