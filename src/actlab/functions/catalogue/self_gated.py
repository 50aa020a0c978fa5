"""Self-gated functions: the input times a sigmoid-like gate of itself."""

from math import inf

from actlab.functions.activation import Claims, activation
from actlab.functions.formula import erf, exp, normal_cdf, sigmoid, softplus, sqrt, tanh

SMOOTH_BUMP = Claims(upper=inf, monotone=False, smoothness=inf, zero=True)


@activation(
    arxiv="1702.03118",
    torch="torch.nn.functional.silu",
    module="torch.nn.SiLU",
    claims=Claims(lower=-0.278465, upper=inf, monotone=False, smoothness=inf, slope_bound=1.09984, zero=True),
)
def silu(x):
    """The input gated by its own sigmoid; also published as Swish with beta = 1."""
    return x * sigmoid(x)


@activation(
    arxiv="1710.05941",
    claims=Claims(lower=-0.278465, upper=inf, monotone=False, smoothness=inf, slope_bound=1.09984, zero=True),
)
def swish(x, beta=1.0):
    """SiLU with a sharpness beta: linear at 0, SiLU at 1, ReLU in the limit; learned as swish(beta=learned)."""
    return x * sigmoid(beta * x)


@activation(
    arxiv="1606.08415",
    torch="torch.nn.functional.gelu",
    module="torch.nn.GELU(approximate='none')",
    claims=Claims(lower=-0.169971, upper=inf, monotone=False, smoothness=inf, slope_bound=1.12890, zero=True),
)
def gelu(x):
    """The input times the probability that a standard normal lies below it."""
    return x * normal_cdf(x)


@activation(
    arxiv="1606.08415",
    torch="torch.nn.functional.gelu(x, approximate='tanh')",
    module="torch.nn.GELU(approximate='tanh')",
    claims=Claims(lower=-0.170041, upper=inf, monotone=False, smoothness=inf, slope_bound=1.12898, zero=True),
    aliases=("gelu_new", "gelu_pytorch_tanh"),
)
def gelu_tanh(x):
    """GELU approximated through tanh; jax.nn's default and GPT-2's."""
    return x * sigmoid(2 * sqrt(2 / 3.141592653589793) * x * (1 + 0.044715 * x**2))  # = (1 + tanh)/2 without cancelling


@activation(
    arxiv="1606.08415",
    claims=Claims(lower=-0.163610, upper=inf, monotone=False, smoothness=inf, slope_bound=1.09984, zero=True),
    aliases=("quick_gelu",),
)
def gelu_sigmoid(x):
    """GELU approximated through a sigmoid of slope 1.702; CLIP's."""
    return x * sigmoid(1.702 * x)


@activation(
    arxiv="1908.08681",
    torch="torch.nn.functional.mish",
    module="torch.nn.Mish",
    claims=Claims(lower=-0.308843, upper=inf, monotone=False, smoothness=inf, slope_bound=1.08850, zero=True),
)
def mish(x):
    """Gates its input by the tanh of its softplus."""
    return x * tanh(softplus(x))


@activation(
    arxiv="2412.20269",
    claims=Claims(lower=-0.353286, upper=inf, monotone=False, smoothness=inf, zero=True),
    aliases=("tanhexp",),
)
def telu(x):
    """Gates its input by the tanh of its exponential; published as TanhExp (2020) and TeLU (2024)."""
    return x * tanh(exp(x))


@activation(
    arxiv="2108.09598",
    claims=Claims(lower=-0.348437, upper=inf, monotone=False, smoothness=inf, zero=True),
)
def serf(x):
    """Gates its input by the error function of its softplus."""
    return x * erf(softplus(x))


@activation(
    arxiv="2502.03654",
    claims=Claims(lower=-0.0972601, upper=inf, monotone=False, smoothness=inf, zero=True),
    aliases=("expexpish",),
)
def golu(x):
    """Gates its input by the Gompertz function e^(-e^-x)."""
    return x * exp(-exp(-x))
