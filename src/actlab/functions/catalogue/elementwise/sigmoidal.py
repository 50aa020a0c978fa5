"""Sigmoidal activations, such as sigmoid, tanh, erf and softsign."""

from math import inf, pi

from actlab.functions import formula
from actlab.functions.activation import Claims, NonNegative, NonZero, Positive, activation
from actlab.functions.formula import absolute, exp, expm1, log, maximum, minimum, sign, softplus, sqrt, where


@activation(
    paper="Rumelhart, Hinton & Williams, Nature 1986",
    torch="torch.sigmoid",
    module="torch.nn.Sigmoid",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.25, zero=False),
    aliases=("logistic",),
)
def sigmoid(x):
    """The logistic function."""
    return formula.sigmoid(x)


@activation(
    paper="LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp",
    torch="torch.tanh",
    module="torch.nn.Tanh",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def tanh(x):
    """The hyperbolic tangent."""
    return formula.tanh(x)


@activation(
    paper="Bergstra et al. 2009; Elliott 1993",
    torch="torch.nn.functional.softsign",
    module="torch.nn.Softsign",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("elliott",),
)
def softsign(x):
    """An algebraic sigmoid with polynomial tails."""
    return x / (1 + absolute(x))


@activation(
    paper="folklore",
    torch="torch.atan",
    claims=Claims(lower=-pi / 2, upper=pi / 2, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("atan",),
)
def arctan(x):
    """The inverse tangent."""
    return formula.atan(x)


@activation(
    paper="folklore",
    torch="torch.erf",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.1283791671, zero=True),
)
def erf(x):
    """The error function."""
    return formula.erf(x)


@activation(
    paper="folklore",
    torch="torch.nn.functional.logsigmoid",
    module="torch.nn.LogSigmoid",
    claims=Claims(lower=-inf, upper=0.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
    aliases=("log_sigmoid",),
)
def logsigmoid(x):
    """The logarithm of the logistic function."""
    return formula.logsigmoid(x)


@activation(
    arxiv="1602.05980",
    claims=Claims(lower=-0.25, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def penalized_tanh(x, a=0.25):
    """The hyperbolic tangent, damped below zero."""
    return where(x > 0, formula.tanh(x), a * formula.tanh(x))


@activation(
    arxiv="1602.05980",
    claims=Claims(lower=-2.0, upper=2.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("rescaled_sigmoid",),
)
def scaled_sigmoid(x):
    """The logistic function stretched to slope 1 at zero, 4 sigmoid(x) - 2, written as 2 tanh(x/2)."""
    return 2 * formula.tanh(x / 2)


@activation(
    paper="classical (Duch & Jankowski, Neural Computing Surveys 1999)",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.5, zero=True),
    aliases=("loggy",),
)
def bipolar_sigmoid(x):
    """The logistic function on (-1, 1): 2 sigmoid(x) - 1 = tanh(x/2)."""
    return formula.tanh(x / 2)


@activation(
    paper="Stanley & Miikkulainen, Evolutionary Computation 2002 (NEAT)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.225, zero=False),
)
def steepened_sigmoid(x, slope=4.9):
    """A logistic function close to linear on [-0.5, 0.5]; NEAT's. Two halves, as s(1 - s) cancels near 1."""
    return where(x > 0, 1 - formula.sigmoid(-slope * x), formula.sigmoid(slope * x))


@activation(
    paper="LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp",
    claims=Claims(lower=-1.7159, upper=1.7159, monotone=True, smoothness=inf, slope_bound=1.7159 * 2 / 3, zero=True),
    aliases=("stanh",),
)
def lecun_tanh(x, a=1.7159, s=0.6666666666666666):
    """A scaled tanh with f(1) = 1 and its largest curvature there."""
    return a * formula.tanh(s * x)


@activation(
    arxiv="2408.00118",
    claims=Claims(lower=-30.0, upper=30.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("soft_cap", "logit_softcap"),
)
def softcap(x, cap: Positive = 30.0):
    """Bounds its input softly by a tanh; Gemma 2 caps its logits at 30 and its attention scores at 50."""
    return cap * formula.tanh(x / cap)


@activation(
    arxiv="1508.01292",
    claims=Claims(lower=-1.7159, upper=1.7159, monotone=True, slope_bound=1.7159 * 2 / 3, zero=True),
)
def rational_tanh(x):
    """A rational approximation of LeCun's scaled tanh; p/(1 + p) becomes 1 - 1/(1 + p) where p would overflow."""
    y = minimum(2 * absolute(x) / 3, 1e4)  # from where on the value is 1 to the last bit
    p = y + y**2 + 1.41645 * y**4
    return 1.7159 * where(absolute(x) < 1, 2 * x / 3 * (1 + y + 1.41645 * y**3) / (1 + p), sign(x) * (1 - 1 / (1 + p)))


@activation(
    paper="Deeplearning4j, ActivationRectifiedTanh",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def rectified_tanh(x):
    """The positive part of tanh."""
    return where(x <= 0, 0, formula.tanh(x))


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=2 / pi, zero=True),
)
def arctan_normalized(x):
    """The inverse tangent scaled to (-1, 1)."""
    return 2 / pi * formula.atan(x)


@activation(
    paper="Koenker & Yoon, Journal of Econometrics 2009 (the inverse cauchit link)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1 / pi, zero=False),
    aliases=("cauchy_cdf",),
)
def cauchit(x):
    """Distribution function of the Cauchy distribution; 1/2 + atan(x)/pi would cancel for negative inputs."""
    return where(x < -1, -formula.atan(1 / x) / pi, formula.atan(x) / pi + 0.5)


@activation(
    paper="Bliss, Science 1934 (probit)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1 / (2 * pi) ** 0.5, zero=False),
    aliases=("gaussian_cdf", "probit", "ndtr"),
)
def normal_cdf(x):
    """Distribution function of the standard normal."""
    return formula.normal_cdf(x)


@activation(
    arxiv="2209.10655",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.414213, zero=False),
    aliases=("laplace", "laplace_attention"),
)
def mega_laplace(x, mu=0.707107, sigma: Positive = 0.282095):
    """A normal distribution function that meets the squared ReLU at 1/sqrt 2 (Mega; not Laplace's distribution)."""
    return formula.normal_cdf((x - mu) / sigma)


@activation(
    paper="classical (Laplace 1774)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=0.5, zero=False),
)
def laplace_cdf(x):
    """Distribution function of the Laplace distribution."""
    return where(x > 0, 1 - exp(-x) / 2, exp(x) / 2)


@activation(
    arxiv="1710.09967",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("algebraic_sigmoid",),
)
def isru(x, alpha: Positive = 1.0):
    """The inverse square root unit, an algebraic sigmoid."""
    return x / sqrt(1 + alpha * x**2)


@activation(
    paper="Elliott 1993, A Better Activation Function for Artificial Neural Networks (its form on (0, 1), as in FANN)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=0.5, zero=False),
    aliases=("logistic_softsign",),
)
def elliott_sigmoid(x):
    """Softsign moved to (0, 1), by a form that does not cancel below zero."""
    return where(x > 0, (x + 0.5) / (1 + x), 0.5 / (1 - x))


@activation(
    paper="Mathworks, Deep Learning Toolbox: elliot2sig",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=3**1.5 / 8, zero=True),
)
def elliot2(x):
    """The second Elliot sigmoid: flat at zero, x^2/(1 + x^2) with the sign of x."""
    return sign(x) * x**2 / (1 + x**2)


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, slope_bound=0.839947, zero=True),
)
def cubsign(x):
    """The cube over one plus its modulus."""
    size = minimum(absolute(x), 1e6)  # from where on the value is 1 to the last bit
    return where(absolute(x) < 1, x**3 / (1 + size**3), sign(x) * (1 - 1 / (1 + size**3)))


@activation(
    paper="Duch & Jankowski, Neural Computing Surveys 1999",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.5, zero=True),
    aliases=("relsign",),
)
def rootsig(x, a: Positive = 1.0):
    """An algebraic sigmoid, the tangent of half the angle whose tangent is a x."""
    return a * x / (1 + sqrt(1 + (a * x) ** 2))


@activation(
    paper="Gomes, Ludermir & Lima, Neural Computing and Applications 2011",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.3678794412, zero=False),
    aliases=("loglog", "gumbel_cdf"),
)
def gompertz(x):
    """The log-log function e^(-e^-x), which leaves 0 fast and nears 1 slowly."""
    return exp(-exp(-x))


@activation(
    paper="Gomes, Ludermir & Lima, Neural Computing and Applications 2011",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.3678794412, zero=False),
    aliases=("complementary_log_log",),
)
def cloglog(x):
    """The complementary log-log function 1 - e^(-e^x), the Gompertz function turned around."""
    return where(x > 0, 1 - exp(-exp(x)), -expm1(-exp(x)))  # the slope of expm1 cancels far above zero


@activation(
    paper="Gomes, Ludermir & Lima, Neural Computing and Applications 2011",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.7357588823, zero=False),
    aliases=("cloglogm",),
)
def modified_cloglog(x):
    """The complementary log-log function stretched to (-1, 1), with its zero near the origin."""
    return 1 - 2 * exp(-0.7 * exp(x))


@activation(
    paper="Kaytan, Aydilek & Yeroglu, Bitlis Eren University Journal of Science 2022",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, zero=False),
)
def sigmoid_gumbel(x):
    """The logistic function times the Gumbel distribution function."""
    return formula.sigmoid(x) * exp(-exp(-x))


@activation(
    paper="classical (Gudermann 1830)",
    claims=Claims(lower=-pi / 2, upper=pi / 2, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("gd",),
)
def gudermannian(x):
    """The inverse tangent of sinh, as 2 atan(tanh(x/2))."""
    return 2 * formula.atan(formula.tanh(x / 2))


@activation(
    paper="Kong & Takatsuka, IJCNN 2017",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("expsign",),
)
def hexpo(x, a=1.0, b: Positive = 1.0, c=1.0, d: Positive = 1.0):
    """Saturates exponentially at a above and at -c below, with its own rate on each side."""
    return where(x > 0, -a * expm1(-x / b), c * expm1(x / d))


@activation(
    paper="Aranda-Ordaz, Biometrika 1981; Gomes & Ludermir, Expert Systems with Applications 2013",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=3**-1.5, zero=False),
)
def aranda_ordaz(x, a: Positive = 2.0):
    """An asymmetric family, 1 - (1 + a e^x)^(-1/a): logistic at a = 1, complementary log-log as a falls to 0."""
    return -expm1(-softplus(x + log(a)) / a)


@activation(
    arxiv="1810.11509",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
    aliases=("soft_clip",),
)
def soft_clipping(x, a: Positive = 50.0):
    """The line of slope 1 from 0 to 1 with rounded corners; mirrored at 1/2, where two large numbers would cancel."""
    upper = 1 + (softplus(-a * x) - softplus(a * (1 - x))) / a
    return where(x > 0.5, upper, (softplus(a * x) - softplus(a * (x - 1))) / a)


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def saturlog(x):
    """The symmetric logarithm through softsign: saturates more slowly than any power."""
    size = formula.log1p(absolute(x))
    return where(absolute(x) < 1, sign(x) * size / (1 + size), sign(x) * (1 - 1 / (1 + size)))


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=0, slope_bound=inf, zero=True),
)
def exproot(x):
    """One minus the exponential of minus the root, with the sign of x; its slope at zero is infinite."""
    return -sign(x) * expm1(-sqrt(maximum(absolute(x), 1e-37)))  # the root's argument stays above 0: no NaN gradient


@activation(
    arxiv="1702.03118",
    claims=Claims(lower=-0.0998393, upper=1.0998393, monotone=False, smoothness=inf, slope_bound=0.5, zero=False),
    aliases=("dsilu",),
)
def d_silu(x):
    """The derivative of SiLU, a steeper sigmoid that overshoots on both sides."""
    return formula.sigmoid(x) * (1 + x * formula.sigmoid(-x))


@activation(
    arxiv="2312.06635",
    claims=Claims(lower=-inf, upper=0.0, monotone=True, smoothness=inf, slope_bound=1 / 16, zero=False),
)
def tempered_logsigmoid(x, temperature: NonZero = 16.0):
    """The logarithm of the sigmoid over a temperature: the forget gate of gated linear attention, in the log domain."""
    return formula.logsigmoid(x) / temperature


@activation(
    arxiv="2602.05688",
    claims=Claims(lower=-inf, upper=inf, monotone=False, smoothness=inf, slope_bound=1.7, zero=True),
)
def gmtu(x, alpha=1.5, beta: NonNegative = 0.2, gamma=0.2):
    """A tanh in a Gaussian window plus a line (found by AlphaEvolve)."""
    return formula.tanh(alpha * x) * exp(-beta * x**2) + gamma * x
