"""Self-gated activations with a fixed gate, such as SiLU, GELU and Mish."""

from math import inf, log, pi

from actlab.functions.activation import Claims, activation
from actlab.functions.formula import (
    absolute,
    asinh,
    atan,
    erf,
    exp,
    expm1,
    log1p,
    maximum,
    minimum,
    normal_cdf,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
    where,
)

SURVEY = "Kunc & Klema 2024, survey of 400 functions (arXiv:2402.09092)"


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
    aliases=("acon_a",),
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


@activation(
    arxiv="2004.09602",
    claims=Claims(lower=-0.1699712, upper=10.0, monotone=False, smoothness=0, slope_bound=1.128904, zero=True),
    aliases=("gelu_10",),
)
def clipped_gelu(x, lower=-10.0, upper=10.0):
    """GELU clipped to an interval, so that its range fits eight bits."""
    return minimum(maximum(x * normal_cdf(x), lower), upper)


@activation(
    paper="Misra 2020, H-Mish; the same function as SqREU, Wuraola, Patel & Nguang, Neurocomputing 2021",
    claims=Claims(lower=-0.5, upper=inf, monotone=False, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("h_mish", "sq_reu", "sqreu"),
)
def hard_mish(x):
    """A piecewise quadratic stand-in for Mish: linear above zero, a parabola with its minimum at -1 below, zero from -2 on."""
    return x * minimum(maximum(x + 2, 0), 2) / 2


@activation(
    paper="Zhu, Zhang, Zhang, Fan & Zheng, Neurocomputing 2021",
    claims=Claims(lower=-0.2527688, upper=inf, monotone=False, smoothness=inf, slope_bound=0.7463112, zero=True),
)
def logish(x):
    """Gates its input by the logarithm of one plus its sigmoid; slope log 2 far above zero."""
    return x * log1p(sigmoid(x))


@activation(
    paper="Naveen 2022, Phish: A Novel Hyper-Optimizable Activation Function",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.298307, zero=True),
)
def phish(x):
    """Gates its input by the tanh of its GELU; never negative."""
    return x * tanh(x * normal_cdf(x))


@activation(
    paper="Kaytan, Aydilek & Yeroglu, Neural Computing and Applications 2023",
    claims=Claims(lower=-0.2781595, upper=inf, monotone=False, smoothness=inf, slope_bound=0.7527046, zero=True),
)
def gish(x):
    """Gates its input by log(2 - e^(-e^x))."""
    return x * log1p(-expm1(-exp(x)))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.3121825, upper=inf, monotone=False, smoothness=inf, slope_bound=1.114878, zero=True),
)
def log_logish(x):
    """Gates its input by the complementary log-log function 1 - e^(-e^x)."""
    return -x * expm1(-exp(x))


@activation(
    arxiv="1901.05894",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.199679, zero=True),
)
def lisht(x):
    """The input times its own tanh: even, and close to |x|."""
    return x * tanh(x)


@activation(
    arxiv="1911.03925",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.257808, zero=True),
    aliases=("symmetric_gelu",),
)
def sgelu(x, alpha=1.0):
    """A symmetric GELU: the input times its own error function."""
    return alpha * x * erf(x / sqrt(2))


@activation(
    paper=SURVEY,
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=pi / 2, zero=True),
)
def self_arctan(x):
    """The input times its own inverse tangent."""
    return x * atan(x)


@activation(
    paper="Zhu, Meng, Zhou & Zhang 2021, PFLU and FPFLU",
    claims=Claims(lower=-0.1501416, upper=inf, monotone=False, smoothness=inf, slope_bound=1.044331, zero=True),
)
def pflu(x):
    """Gates its input by (1 + x / sqrt(1 + x^2)) / 2, a gate with polynomial tails."""
    return x * sigmoid(2 * asinh(x))  # the same gate, without cancelling below zero


@activation(
    paper="Zhu, Meng, Zhou & Zhang 2021, PFLU and FPFLU",
    claims=Claims(lower=-0.3002831, upper=inf, monotone=False, smoothness=1, slope_bound=1.0, zero=True),
)
def fpflu(x):
    """The input above zero, x + x^2 / sqrt(1 + x^2) below."""
    return where(x > 0, x, 2 * x * sigmoid(2 * asinh(x)))  # the same sum, without cancelling


@activation(
    arxiv="2405.20768",
    claims=Claims(lower=-1 / pi, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("calu", "cauchy_linear_unit"),
)
def atlu(x):
    """Gates its input by the distribution function of a Cauchy variable; monotone, with limit -1/pi."""
    return x * where(x > -1, atan(x) / pi + 1 / 2, -atan(1 / x) / pi)  # the second form does not cancel


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.1839397, upper=inf, monotone=False, smoothness=2, slope_bound=1.067668, zero=True),
)
def lalu(x):
    """Gates its input by the distribution function of a Laplace variable."""
    return x * where(x > 0, 1 - exp(-x) / 2, exp(x) / 2)


@activation(
    arxiv="2112.12078",
    claims=Claims(lower=-0.3771586, upper=inf, monotone=False, smoothness=inf, slope_bound=1.082835, zero=True),
)
def colu(x):
    """Divides its input by 1 - x e^(-(x + e^x)), a gate that collapses below zero."""
    return where(x > 0, x / (1 - x * exp(-x - exp(x))), x * exp(x) / (exp(x) - x * exp(-exp(x))))  # times e^x / e^x


@activation(
    paper="Mercioni, Tat & Holban 2020, as surveyed in arXiv:2402.09092",
    claims=Claims(lower=-0.2742429, upper=inf, monotone=False, smoothness=inf, slope_bound=0.8126194, zero=True),
)
def ts_relu(x):
    """Gates its input by the tanh of its sigmoid."""
    return x * tanh(sigmoid(x))


@activation(
    paper="Mercioni, Tat & Holban 2020, as surveyed in arXiv:2402.09092",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=0.8890963, zero=True),
)
def tbs_relu(x):
    """Gates its input by the tanh of its bipolar sigmoid, which is tanh(x/2)."""
    return x * tanh(tanh(x / 2))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.4291776, upper=inf, monotone=False, smoothness=inf, slope_bound=1.058889, zero=True),
)
def sin_sig(x):
    """Gates its input by the sine of a quarter turn times its sigmoid."""
    return x * sin(pi / 2 * sigmoid(x))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.6627434, upper=0.6627434, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("rehsec",),
)
def sech_lu(x):
    """The input times its hyperbolic secant: a bounded odd wiggle."""
    return 2 * x * exp(-absolute(x)) * sigmoid(2 * absolute(x))


@activation(
    paper="So et al. 2021, a variant beside Primer (arXiv:2109.08668)",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
)
def squared_gelu(x):
    """The square of GELU."""
    return (x * normal_cdf(x)) ** 2


@activation(
    paper="So et al. 2021, a variant beside Primer (arXiv:2109.08668)",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=inf, zero=True),
)
def squared_silu(x):
    """The square of SiLU."""
    return (x * sigmoid(x)) ** 2


@activation(
    arxiv="2009.13501",
    claims=Claims(lower=-0.1737636, upper=inf, monotone=False, smoothness=inf, slope_bound=1.064689, zero=True),
)
def eis1(x):
    """Input times softplus over x + 1.16 e^-x."""
    near = x * softplus(x) * exp(x) / (x * exp(x) + 1.16)  # times e^x / e^x, so that nothing overflows
    return where(x > 1, softplus(x) / (1 + 1.16 * exp(-x) / x), near)


@activation(
    arxiv="2009.13501",
    claims=Claims(lower=-0.2321552, upper=inf, monotone=False, smoothness=inf, slope_bound=1.011798, zero=True),
)
def eis2(x):
    """Softplus gated by x / sqrt(1 + x^2)."""
    return softplus(x) * tanh(asinh(x))  # the same gate, with its limits at the infinities


@activation(
    arxiv="2009.13501",
    claims=Claims(lower=-0.2192263, upper=inf, monotone=False, smoothness=inf, slope_bound=1.073604, zero=True),
)
def eis3(x):
    """The input over 1 + 0.68 e^(-1.7 x), which is a shifted Swish."""
    return x * sigmoid(1.7 * x - log(0.68))


@activation(
    paper="Kocak & Siray 2021, as surveyed in arXiv:2402.09092",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.101627, zero=True),
)
def gswish(x):
    """Gates its input by the sigmoid of e^-x: slope 1 far below zero, 1/2 far above."""
    return x * sigmoid(exp(-x))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.137651, zero=True),
)
def double_silu(x):
    """Gates its input by the sigmoid of its SiLU."""
    return x * sigmoid(x * sigmoid(x))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.2714834, upper=1.0, monotone=False, smoothness=inf, slope_bound=0.6766004, zero=True),
    aliases=("tsilu",),
)
def tanh_silu(x):
    """The hyperbolic tangent of SiLU."""
    return tanh(x * sigmoid(x))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=0.8292164, zero=True),
)
def swat(x):
    """Gates its input by the sigmoid of its inverse tangent; a gate that never closes."""
    return x * sigmoid(atan(x))


@activation(
    paper="Chai et al. 2022, as surveyed in arXiv:2402.09092",
    claims=Claims(lower=-0.157185, upper=inf, monotone=False, smoothness=inf, slope_bound=1.163664, zero=True),
)
def eanaf(x):
    """Gates its input by e^x / (e^x + 2), which is the tanh of half its softplus."""
    return x * sigmoid(x - log(2))


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.4749161, upper=inf, monotone=False, smoothness=inf, slope_bound=1.389842, zero=True),
)
def tanh_sig(x):
    """The input plus its tanh, gated by its sigmoid."""
    return (x + tanh(x)) * sigmoid(x)


@activation(
    paper=SURVEY,
    claims=Claims(lower=-0.2097429, upper=inf, monotone=False, smoothness=inf, slope_bound=1.017412, zero=False),
)
def sech_sig(x):
    """The input plus its hyperbolic secant, gated by its sigmoid."""
    return (x + 2 * exp(-absolute(x)) * sigmoid(2 * absolute(x))) * sigmoid(x)
