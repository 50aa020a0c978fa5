"""Rectifiers with an exponential branch, such as ELU, SELU, CELU and softplus."""

from math import inf

from actlab.functions import formula
from actlab.functions.activation import Claims, Cutoff, NonZero, Positive, activation, learned
from actlab.functions.formula import Expr, exp, expm1, log1p, maximum, minimum, sigmoid, sqrt, where

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # the fixed point of the SELU paper


def lowered_softplus(x: Expr) -> Expr:
    """Return softplus(x) - log 2 without its cancellation near zero."""
    return where(x > 0, x + log1p(expm1(-x) / 2), log1p(expm1(x) / 2))


@activation(
    arxiv="1511.07289",
    torch="torch.nn.functional.elu",
    module="torch.nn.ELU",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def elu(x, alpha: Positive = 1.0):
    """Linear above zero, an exponential that saturates at -alpha below."""
    return where(x > 0, x, alpha * expm1(x))


@activation(
    arxiv="1706.02515",
    torch="torch.nn.functional.selu",
    module="torch.nn.SELU",
    claims=Claims(lower=-SCALE * ALPHA, upper=inf, monotone=True, smoothness=0, slope_bound=SCALE * ALPHA, zero=True),
)
def selu(x):
    """ELU scaled so that mean 0 and variance 1 are a fixed point, given gain 1 and alpha dropout."""
    return SCALE * where(x > 0, x, ALPHA * expm1(x))


@activation(
    arxiv="1704.07483",
    torch="torch.nn.functional.celu",
    module="torch.nn.CELU",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def celu(x, alpha: NonZero = 1.0):
    """ELU with a continuous derivative for every alpha."""
    return where(x > 0, x, alpha * expm1(x / alpha))


@activation(
    paper="Dugas et al., NIPS 2000",
    torch="torch.nn.functional.softplus",
    module="torch.nn.Softplus",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def softplus(x, beta: Positive = 1.0, threshold: Cutoff = 20.0):
    """A smooth ReLU, log(1 + e^(beta x)) / beta; the input itself where beta x is above a threshold."""
    return where(beta * x > threshold, x, formula.softplus(beta * x) / beta)


@activation(
    paper="folklore (radial basis networks)",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=inf, zero=False),
)
def gaussian(x):
    """The bell curve e^(-x^2)."""
    return exp(-(x**2))


@activation(
    arxiv="2006.16236",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=False),
    aliases=("positive_elu",),
)
def elu_plus_one(x):
    """ELU plus one, the feature map of linear attention, as e^x below zero so that it stays positive."""
    return where(x > 0, x + 1, exp(x))


@activation(
    arxiv="1706.08566",
    claims=Claims(lower=-0.6931471806, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("ssp",),
)
def shifted_softplus(x):
    """Softplus lowered to f(0) = 0 (SchNet)."""
    return lowered_softplus(x)


@activation(
    paper="Ciuparu, Nagy-Dabacan & Muresan, Neurocomputing 2020",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.5, zero=True),
    aliases=("soft_plus_plus",),
)
def softplus_plus(x, k: Positive = 1.0, c: NonZero = 2.0):
    """Softplus lowered to f(0) = 0 plus a line, so that it does not saturate."""
    return where(x > 0, (k + 1 / c) * x + log1p(expm1(-k * x) / 2), log1p(expm1(k * x) / 2) + x / c)


@activation(
    paper="Zhao, Liu & Li 2018 (softplus linear unit)",
    claims=Claims(lower=-1.3862943611, upper=inf, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("slu",),
)
def softplus_linear_unit(x):
    """Linear above zero, a softplus scaled to slope 1 at zero below."""
    return where(x > 0, x, 2 * log1p(expm1(x) / 2))


@activation(
    paper="Kunc & Klema 2024, arXiv:2402.09092 (survey: rectified softplus)",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.7, zero=False),
    aliases=("resp",),
)
def re_sp(x, alpha=1.7):
    """A line of slope alpha above zero, softplus below."""
    return where(x > 0, alpha * x + 0.6931471805599453, formula.softplus(x))


@activation(
    paper="DeepSeek-V4 2026 (router scores)",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, zero=False),
    aliases=("sqrtsoftplus",),
)
def sqrt_softplus(x):
    """The square root of softplus; as e^(x/2) below -40, where softplus underflows first."""
    return where(x < -40, exp(x / 2), sqrt(formula.softplus(x)))


@activation(
    paper="classical (JAX, Keras: exponential)",
    torch="torch.exp",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=inf, zero=False),
    aliases=("exp",),
)
def exponential(x):
    """The exponential."""
    return exp(x)


@activation(
    paper="Ying et al., IEEE Access 2019; Suish 2020",
    claims=Claims(lower=-0.3678794412, upper=inf, monotone=False, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("suish",),
)
def reu(x):
    """Linear above zero, x e^x below."""
    return where(x > 0, x, x * exp(x))


@activation(
    arxiv="1807.10117",
    claims=Claims(lower=-1.15242, upper=inf, monotone=False, smoothness=0, slope_bound=1.07862 * 2.90427, zero=True),
)
def serlu(x, lambd=1.07862, alpha=2.90427):
    """Linear above zero, a bump below, scaled so that mean 0 and variance 1 are a fixed point."""
    return lambd * where(x > 0, x, alpha * x * exp(x))


@activation(
    arxiv="1808.00783",
    claims=Claims(lower=2 * 2**0.5 - 3, upper=inf, monotone=False, smoothness=1, slope_bound=1.09984, zero=True),
)
def elish(x):
    """ELU gated by the logistic function."""
    return sigmoid(x) * where(x > 0, x, expm1(x))


@activation(
    arxiv="1808.00783",
    claims=Claims(lower=-0.0996731, upper=inf, monotone=False, smoothness=0, slope_bound=1.5, zero=True),
    aliases=("hardelish",),
)
def hard_elish(x):
    """ELU gated by a line of slope 1/2 clipped to [0, 1]."""
    return minimum(maximum((x + 1) / 2, 0), 1) * where(x > 0, x, expm1(x))


@activation(
    arxiv="2306.01822",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.1283791671, zero=True),
    aliases=("erfrelu",),
)
def erf_relu(x, alpha=learned(1.0)):
    """Linear above zero, the error function below."""
    return where(x > 0, x, alpha * formula.erf(x))


@activation(
    paper="Pishchik 2023, Trainable Activations for Image Classification",
    claims=Claims(lower=-0.278465, upper=inf, monotone=False, smoothness=0, slope_bound=1.5, zero=True),
)
def delu(x, n=learned(0.0)):
    """SiLU below zero; above, a line of slope n + 1/2 plus a saturating exponential (HELU with n fixed at 0)."""
    return where(x > 0, (n + 0.5) * x - expm1(-x), x * sigmoid(x))
