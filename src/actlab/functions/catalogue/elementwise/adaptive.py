"""Adaptive activations with a learned shape, such as PELU, PReU, PACT and dynamic tanh."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, Positive, activation, learned
from actlab.functions.formula import absolute, exp, expm1, log1p, maximum, minimum, sigmoid, softplus, where

RELU = Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)
LEAKY = Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)


@activation(
    arxiv="1605.09332",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def pelu(x, a: Positive = learned(1.0), b: Positive = learned(1.0)):
    """ELU with learned scale and decay, differentiable at zero for every choice."""
    return where(x > 0, a / b * x, a * expm1(x / b))


@activation(
    arxiv="1606.00305",
    claims=Claims(lower=-0.25, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def mpelu(x, alpha=learned(0.25), beta=learned(1.0)):
    """ELU with learned depth and decay below zero, linear above: PReLU and ELU in one."""
    return where(x > 0, x, alpha * expm1(beta * x))


@activation(
    paper="Cheng, Li, Li, Zhang, Xie, Guo & Chen, Neural Networks 2020",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def pdelu(x, alpha=learned(1.0), t=0.9):
    """ELU with a deformed exponential [1 + (1 - t) x]_+^(1 / (1 - t)) below zero, t < 1."""
    inside = maximum((1 - t) * x, -1 + 2**-23)  # just short of -1, whose logarithm has no gradient
    return where(x > 0, x, alpha * expm1(log1p(inside) / (1 - t)))


@activation(
    paper="Ying et al. 2019, Rectified exponential units",
    claims=Claims(lower=-0.3678794, upper=inf, monotone=False, smoothness=1, slope_bound=1.0, zero=True),
)
def preu(x, alpha=learned(1.0), beta: Positive = learned(1.0)):
    """Linear above zero, x e^(beta x) below, with a learned slope for both."""
    return alpha * x * where(x > 0, 1, exp(beta * x))


@activation(
    paper="Duggal & Gupta 2017, P-TELU",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=2, slope_bound=1.0, zero=True),
)
def ptelu(x, alpha=learned(1.0), beta=learned(1.0)):
    """Linear above zero, a tanh of learned depth and decay below."""
    return where(x > 0, x, alpha * formula.tanh(beta * x))


@activation(arxiv="1512.07030", claims=LEAKY)
def s_shaped_relu(x, t_r=learned(1.0), a_r=learned(1.0), t_l=learned(0.0), a_l=learned(0.2)):
    """Three lines with learned thresholds and outer slopes (SReLU of 2015); starts as a leaky ReLU."""
    return where(x > t_r, t_r + a_r * (x - t_r), where(x > t_l, x, t_l + a_l * (x - t_l)))


@activation(
    arxiv="1412.6830",
    claims=Claims(lower=0.1, upper=inf, monotone=False, smoothness=0, slope_bound=1.0, zero=False),
    aliases=("aplu",),
)
def apl(x, a1=learned(0.2), b1=learned(0.5), a2=learned(0.0), b2=learned(0.0), a3=learned(0.0), b3=learned(-0.5)):
    """ReLU plus learned hinges a max(0, b - x): three here, 1 to 5 in the paper."""
    return maximum(x, 0) + a1 * maximum(b1 - x, 0) + a2 * maximum(b2 - x, 0) + a3 * maximum(b3 - x, 0)


@activation(
    arxiv="2006.08947",
    claims=RELU,
)
def splash(
    x,
    p0=learned(1.0),
    p1=learned(0.0),
    p2=learned(0.0),
    p3=learned(0.0),
    n0=learned(0.0),
    n1=learned(0.0),
    n2=learned(0.0),
    n3=learned(0.0),
):
    """Learned hinges on both sides, at 0, 1, 2 and 2.5; starts as ReLU."""
    right, left = zip((p0, p1, p2, p3), (0, 1, 2, 2.5), strict=True), zip((n0, n1, n2, n3), (0, 1, 2, 2.5), strict=True)
    return sum(a * maximum(x - b, 0) for a, b in right) + sum(a * maximum(-x - b, 0) for a, b in left)


@activation(
    arxiv="2006.13858",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.880797, zero=True),
)
def arelu(x, alpha=learned(0.9), beta=learned(2.0)):
    """Amplifies positives by 1 + sigmoid(beta), shrinks negatives by alpha held in [0.01, 0.99]."""
    return where(x > 0, (1 + sigmoid(beta)) * x, minimum(maximum(alpha, 0.01), 0.99) * x)


@activation(
    arxiv="2411.13010",
    claims=Claims(lower=-0.205751, upper=inf, monotone=False, smoothness=1, slope_bound=inf, zero=True),
)
def xielu(x, alpha_p=learned(0.2033823208110246), alpha_n=learned(-1.0502256128148468), beta=0.5):
    """A quadratic above zero, an integrated ELU below; the raw parameters pass a softplus and start at 0.8 and 0.8."""
    below = (beta + softplus(alpha_n)) * (expm1(x) - x)  # the authors' kernels also hold x below -1e-6 here
    return where(x > 0, softplus(alpha_p) * x**2, below) + beta * x


@activation(
    arxiv="2503.10622",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.5, zero=True),
    aliases=("dyt",),
)
def dynamic_tanh(x, alpha=learned(0.5), weight=learned(1.0), bias=learned(0.0)):
    """A learned tanh that stands where a normalisation layer stood."""
    return weight * formula.tanh(alpha * x) + bias


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.5641896, zero=True),
    aliases=("dynamic_erf",),
)
def derf(x, alpha=learned(0.5), shift=learned(0.0), weight=learned(1.0), bias=learned(0.0)):
    """A learned error function that stands where a normalisation layer stood."""
    return weight * formula.erf(alpha * x + shift) + bias


@activation(
    paper="Kunc & Klema, PLoS ONE 2021",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def taaf(x, alpha=learned(1.0), beta=learned(1.0), gamma=learned(0.0), delta=learned(0.0)):
    """A tanh with learned scales and shifts of input and output."""
    return alpha * formula.tanh(beta * x + gamma) + delta


@activation(
    arxiv="1909.12228",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def laaf(x, a=learned(0.1), n: Positive = 10.0):
    """A tanh whose slope is learned as n times a: n speeds the learning up."""
    return formula.tanh(n * a * x)


@activation(
    arxiv="1911.09737",
    claims=RELU,
    aliases=("thresholded_linear_unit",),
)
def tlu(x, tau=learned(0.0)):
    """The larger of the input and a learned threshold, made for filter response normalisation."""
    return maximum(x, tau)


@activation(
    arxiv="1805.06085",
    claims=Claims(lower=0.0, upper=10.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def pact(x, alpha: Positive = learned(10.0)):
    """ReLU clipped at a learned height, to be quantised."""
    return minimum(maximum(x, 0), alpha)


@activation(
    arxiv="2405.12954",
    claims=Claims(lower=-0.006065307, upper=inf, monotone=False, smoothness=0, slope_bound=1.01, zero=True),
)
def crrelu(x, epsilon=learned(0.01)):
    """ReLU plus a small learned multiple of x e^(-x^2/2)."""
    return maximum(x, 0) + epsilon * x * exp(-(x**2) / 2)


@activation(
    arxiv="2011.03842",
    claims=Claims(upper=inf, smoothness=inf, zero=False),
)
def uaf(x, a=learned(1.1), b=learned(-0.01), c=learned(0.00001), d=learned(-0.9), e=learned(0.000005)):
    """A difference of two softplus with five learned parameters; many known functions are members."""
    # a (x + b) + c x^2: the square would overflow, and 0 times infinity is NaN
    return softplus(a * b + x * (a + c * x)) - softplus(d * (x - b)) + e


@activation(arxiv="1706.08098", claims=RELU)
def flexible_relu(x, b=learned(0.0)):
    """ReLU plus a learned shift (FReLU of 2017; not the funnel activation)."""
    return maximum(x, 0) + b


@activation(paper="Pishchik 2023, Trainable Activations for Image Classification", claims=RELU)
def shilu(x, alpha=learned(1.0), beta=learned(0.0)):
    """ReLU with a learned slope and shift."""
    return alpha * maximum(x, 0) + beta


@activation(
    paper="Pishchik 2023, Trainable Activations for Image Classification",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def scaled_softsign(x, alpha=learned(1.0), beta: Positive = learned(1.0)):
    """Softsign with learned height and width."""
    return alpha * x / (beta + absolute(x))


@activation(
    paper="as surveyed by Kunc & Klema 2024 (arXiv:2402.09092)",
    claims=LEAKY,
)
def dp_relu(x, a=learned(1.0), b=learned(0.01)):
    """A rectifier with learned slopes on both sides."""
    return where(x > 0, a * x, b * x)


@activation(
    paper="as surveyed by Kunc & Klema 2024 (arXiv:2402.09092)",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=False),
)
def dual_line(x, a=learned(1.0), b=learned(0.01), m=learned(-0.22)):
    """A rectifier with learned slopes on both sides and a learned shift."""
    return where(x > 0, a * x, b * x) + m


@activation(
    paper="Inturrisi et al. 2021, PiLU, as surveyed in arXiv:2402.09092",
    claims=LEAKY,
)
def pilu(x, alpha=learned(1.0), beta=learned(0.01), gamma=learned(0.0)):
    """Two lines that meet at a learned point (gamma, gamma)."""
    return where(x > gamma, alpha * x + gamma * (1 - alpha), beta * x + gamma * (1 - beta))


@activation(
    paper="Qian, Liu, Liu, Wu & Wong, Neurocomputing 2018",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def mixed_lrelu_elu(x, p=learned(0.5)):
    """A learned mixture of leaky ReLU and ELU; starts half and half."""
    return where(x > 0, x, p * 0.01 * x + (1 - p) * expm1(x))


@activation(
    paper="Core ML, softplus_parametric",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def parametric_softplus(x, alpha=learned(1.0), beta=learned(1.0)):
    """Softplus with learned height and sharpness, alpha log(1 + e^(beta x))."""
    return alpha * softplus(beta * x)


@activation(
    arxiv="2605.02591",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=False),
    aliases=("bernstein_linear_unit",),
)
def berlu(x, alpha=learned(0.01), epsilon: Positive = 0.01):
    """A rectifier with a learned slope below zero, and a parabola (a Bernstein polynomial) for its kink within epsilon of zero."""
    bend = (1 - alpha) * (x + epsilon) ** 2 / (4 * epsilon)
    return where(x > epsilon, x, alpha * x + where(x > -epsilon, bend, 0))


@activation(
    arxiv="2505.23942",
    claims=Claims(lower=-0.2115836, upper=inf, monotone=False, smoothness=inf, slope_bound=1.082531, zero=True),
)
def sg_blend(x, alpha=learned(0.0), beta=learned(1.0), gamma=learned(0.0)):
    """A learned blend, by the sigmoid of alpha, of a lowered Swish and the sigmoid form of GELU (beta is held in [0.1, 10])."""
    share, sharpness = sigmoid(alpha), minimum(maximum(beta, 0.1), 10)
    return share * (x * sigmoid(sharpness * x) - gamma) + (1 - share) * x * sigmoid(1.702 * x)


@activation(
    arxiv="2503.02267",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.5, zero=True),
    aliases=("rational_exponential_activation",),
)
def react(x, a=learned(-1.0), b=learned(0.0), c=learned(-1.0), d=learned(0.0)):
    """A generalised tanh, (1 - e^(ax + b)) / (1 + e^(cx + d)), for physics-informed nets; starts as tanh(x / 2)."""
    u, v = a * x + b, c * x + d
    far = exp((a - c) * x + (b - d) + minimum(v, 0)) * sigmoid(
        absolute(v)
    )  # e^u / (1 + e^v), without infinity over infinity
    near = -expm1(minimum(maximum(u, -1), 1)) * sigmoid(-v)
    return where(absolute(u) < 1, near, sigmoid(-v) - far)


@activation(
    arxiv="1602.01321",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def soft_exponential(x, alpha=learned(0.0)):
    """From a logarithm (alpha below 0) over the identity (0) to an exponential, by one learned number."""
    a = where(absolute(alpha) > 1e-12, alpha, 1e-12)  # no division by 0; within 1e-12 the first two terms of the series
    argument = maximum(-a * (x + a), -1 + 2**-23)  # just short of -1, from where on the logarithm does not exist
    bent = where(alpha < 0, -log1p(argument) / a, expm1(a * x) / a + a)
    return where(absolute(alpha) > 1e-12, bent, x + alpha * (1 + x**2 / 2))
