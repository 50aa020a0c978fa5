"""Self-gated activations with gate parameters, such as E-Swish, ACON and AGLU."""

from math import inf, pi

from actlab.functions.activation import Claims, NonZero, Positive, activation, learned
from actlab.functions.formula import (
    asinh,
    atan,
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    logsigmoid,
    maximum,
    normal_cdf,
    sigmoid,
    sin,
    sinc,
    softplus,
    sqrt,
    tanh,
    where,
)

SWISH = Claims(lower=-0.278465, upper=inf, monotone=False, smoothness=inf, slope_bound=1.09984, zero=True)


@activation(
    arxiv="1801.07145",
    claims=Claims(lower=-0.3828887, upper=inf, monotone=False, smoothness=inf, slope_bound=1.512279, zero=True),
    aliases=("eswish",),
)
def e_swish(x, beta=1.375):
    """SiLU with an amplitude; the paper scans 1 to 2."""
    return beta * x * sigmoid(x)


@activation(
    paper="Wang, Ren & Wang, Electronics 2022",
    claims=Claims(lower=-0.2499937, upper=inf, monotone=False, smoothness=inf, slope_bound=0.6368842, zero=True),
)
def smish(x, alpha=1.0, beta=1.0):
    """Gates its input by tanh(log(1 + sigmoid)); slope 0.6 far above zero."""
    return alpha * x * tanh(log1p(sigmoid(beta * x)))


@activation(
    arxiv="2109.04386",
    claims=Claims(lower=-0.5060069, upper=inf, monotone=False, smoothness=inf, slope_bound=1.053564, zero=True),
)
def pserf(x, gamma=learned(1.25), delta=learned(0.85)):
    """Gates its input by the error function of a scaled softplus, both scales learned."""
    return x * erf(gamma * softplus(delta * x))


@activation(
    arxiv="2109.04386",
    claims=Claims(lower=-0.4052808, upper=inf, monotone=False, smoothness=inf, slope_bound=1.091599, zero=True),
)
def erf_act(x, alpha=learned(0.75), beta=learned(0.75)):
    """Gates its input by the error function of a scaled exponential, both scales learned."""
    return x * erf(alpha * exp(beta * x))


@activation(
    paper="Mercioni & Holban 2020, TeLU: A New Activation Function for Deep Learning",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=2, slope_bound=1.199679, zero=True),
)
def telu_elu(x, a: Positive = learned(1.0)):
    """Gates its input by the tanh of its ELU; the older of the two functions called TeLU."""
    return x * tanh(where(x > 0, a * x, expm1(a * x)))


@activation(
    arxiv="2209.06119",
    claims=Claims(lower=-0.1392323, upper=inf, monotone=False, smoothness=inf, slope_bound=1.099839, zero=True),
    aliases=("molu",),
)
def aptx(x, alpha=1.0, beta=1.0, gamma=0.5):
    """The input times gamma (alpha + tanh(beta x)); at its defaults MoLU and Swish with beta 2."""
    return gamma * x * (alpha - 1 + 2 * sigmoid(2 * beta * x))  # 1 + tanh would cancel below zero


@activation(
    arxiv="2111.04682",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, zero=True),
)
def smu(x, alpha=0.25, mu=learned(1e6)):
    """A smooth maximum of x and alpha x by the error function; alpha 0 and mu 1/sqrt 2 give GELU."""
    return ((1 + alpha) * x + (1 - alpha) * x * erf(mu * (1 - alpha) * x)) / 2


@activation(
    arxiv="2111.04682",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def smu1(x, alpha=0.25, mu=learned(4.332461424154261e-09)):
    """A smooth maximum of x and alpha x by a square root; alpha 0 gives squareplus."""
    return ((1 + alpha) * x + sqrt(((1 - alpha) * x) ** 2 + mu**2)) / 2


@activation(
    arxiv="2009.03863",
    claims=Claims(lower=-0.2237849, upper=inf, monotone=False, smoothness=inf, slope_bound=1.098916, zero=True),
)
def tanh_soft1(x, alpha=0.87):
    """Softplus gated by tanh(alpha x)."""
    return tanh(alpha * x) * softplus(x)


@activation(
    arxiv="2009.03863",
    claims=Claims(lower=-0.2173168, upper=inf, monotone=False, smoothness=inf, slope_bound=1.158058, zero=True),
)
def tanh_soft2(x, beta=0.6, gamma=1.0):
    """Gates its input by tanh(beta e^(gamma x)); beta 1 gives TeLU."""
    return x * tanh(beta * exp(gamma * x))


@activation(
    arxiv="2009.03863",
    claims=Claims(lower=-0.3093767, upper=inf, monotone=False, smoothness=inf, slope_bound=1.111406, zero=True),
)
def tanh_soft3(x, delta=0.85):
    """The logarithm of 1 + e^x tanh(delta x)."""
    return where(x > 1, x + log(tanh(delta * x) + exp(-x)), log1p(exp(x) * tanh(delta * x)))


@activation(
    paper="Paul, Bandyopadhyay, Yoon, Geem & Sarkar, Mathematics 2022",
    claims=Claims(lower=-0.4973706, upper=inf, monotone=False, smoothness=inf, slope_bound=2.007971, zero=True),
)
def sinlu(x, a=learned(1.0), b=learned(1.0)):
    """The input plus a learned sine, gated by its sigmoid."""
    return (x + a * sin(b * x)) * sigmoid(x)


@activation(
    paper="Pishchik 2023, Trainable Activations for Image Classification",
    claims=Claims(lower=-0.2892731, upper=inf, monotone=False, smoothness=inf, slope_bound=2.023791, zero=False),
)
def coslu(x, a=learned(1.0), b=learned(1.0)):
    """The input plus a learned cosine, gated by its sigmoid."""
    return (x + a * cos(b * x)) * sigmoid(x)


@activation(
    arxiv="2407.01012",
    claims=Claims(lower=-0.3654944, upper=inf, monotone=False, smoothness=inf, slope_bound=1.103328, zero=True),
)
def swish_t(x, beta=learned(1.0), alpha=0.1):
    """Swish plus a small tanh."""
    return x * sigmoid(beta * x) + alpha * tanh(x)


@activation(
    arxiv="2407.01012",
    claims=Claims(lower=-0.3375168, upper=inf, monotone=False, smoothness=inf, slope_bound=1.115993, zero=True),
)
def swish_t_a(x, alpha=0.1):
    """Swish-T without a learned parameter: sigmoid(x) (x + 2 alpha) - alpha."""
    return x * sigmoid(x) + alpha * tanh(x / 2)  # the same, without cancelling at zero


@activation(
    arxiv="2407.01012",
    claims=Claims(lower=-0.3375168, upper=inf, monotone=False, smoothness=inf, slope_bound=1.115993, zero=True),
)
def swish_t_b(x, beta=learned(1.0), alpha=0.1):
    """Swish-T whose tanh has the gate's sharpness: sigmoid(beta x) (x + 2 alpha) - alpha."""
    return x * sigmoid(beta * x) + alpha * tanh(beta * x / 2)  # the same, without cancelling at zero


@activation(
    arxiv="2407.01012",
    claims=Claims(lower=-0.3375168, upper=inf, monotone=False, smoothness=inf, slope_bound=1.115993, zero=True),
)
def swish_t_c(x, beta: NonZero = learned(1.0), alpha=0.1):
    """Swish-T whose bias is divided by the sharpness; the variant that the paper prefers."""
    return x * sigmoid(beta * x) + alpha / beta * tanh(beta * x / 2)  # sigmoid(bx)(x + 2a/b) - a/b without cancelling


@activation(
    arxiv="2505.22074",
    claims=Claims(lower=-0.8999005, upper=inf, monotone=False, smoothness=inf, slope_bound=1.290377, zero=True),
    aliases=("bounded_silu", "bsilu"),
)
def b_silu(x, alpha=1.67):
    """SiLU shifted to a bounded negative side: (x + alpha) sigmoid(x) - alpha/2; SUGAR's surrogate."""
    return x * sigmoid(x) + alpha / 2 * tanh(x / 2)  # the same, without cancelling at zero


@activation(
    arxiv="1906.02735",
    claims=Claims(lower=-0.2598866, upper=inf, monotone=False, smoothness=inf, slope_bound=0.9998539, zero=True),
)
def lip_swish(x, beta=learned(0.5)):
    """Swish divided by 1.1, so that its slope stays below 1; its sharpness is the softplus of beta."""
    return x * sigmoid(softplus(beta) * x) / 1.1


@activation(
    arxiv="2003.00547",
    claims=Claims(lower=-2.462484, upper=2.0, monotone=False, smoothness=inf, slope_bound=1.167979, zero=True),
    aliases=("soft_root_sign",),
)
def srs(x, alpha: Positive = learned(2.0), beta: Positive = learned(3.0)):
    """The input over x/alpha + e^(-x/beta): bounded, with a dip below zero; needs alpha > beta/e."""
    below = x * exp(x / beta) / (1 + x * exp(x / beta) / alpha)  # times e^(x/beta) above and below
    return where(x > 0, x / (x / alpha + exp(-x / beta)), below)


@activation(
    arxiv="1805.08878",
    claims=Claims(lower=-0.06997764, upper=inf, monotone=False, smoothness=inf, slope_bound=1.141147, zero=True),
)
def aria2(x, alpha=1.5, beta=2.0):
    """Gates its input by a Richards curve (1 + e^(-beta x))^-alpha; alpha 1 gives Swish."""
    return x * exp(alpha * logsigmoid(beta * x))


@activation(
    arxiv="2507.10560",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.199679, zero=True),
)
def tangma(x, alpha=learned(0.0), gamma=learned(0.0)):
    """The input times a learned shift of its tanh, plus a learned slope; starts as LiSHT."""
    return x * tanh(x + alpha) + gamma * x


@activation(
    arxiv="2605.25704",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=1, slope_bound=6.384818, zero=True),
)
def powlu_unary(x, m: Positive = 3.0):
    """SiLU's gate times x^(1 + m / (1 + sqrt x)) above zero and x^2 below: a power that fades to one."""
    base = where(x > 0, x, 1)  # the power of the other side has no gradient in m
    return sigmoid(x) * where(x > 0, exp((1 + m / (sqrt(base) + 1)) * log(base)), x**2)


@activation(
    arxiv="2009.04759",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.074879, zero=True),
)
def acon_b(x, p=learned(0.25), beta=learned(1.0)):
    """A smooth maximum of x and p x, its sharpness learned: a smooth PReLU."""
    return (1 - p) * x * sigmoid(beta * (1 - p) * x) + p * x


@activation(arxiv="2009.04759", claims=SWISH)
def acon_c(x, p1=learned(1.0), p2=learned(0.0), beta=learned(1.0)):
    """A smooth maximum of p1 x and p2 x, all learned; starts as SiLU here, the authors draw p1 and p2."""
    return (p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x


@activation(
    arxiv="2405.20768",
    claims=Claims(lower=-1 / pi, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True),
)
def xatlu(x, alpha=learned(0.0)):
    """ATLU whose gate learns to range over (-alpha, 1 + alpha)."""
    gate = where(x > -1, atan(x) / pi + 1 / 2, -atan(1 / x) / pi)  # the second form does not cancel
    return x * (gate * (1 + 2 * alpha) - alpha)


@activation(
    arxiv="2405.20768",
    claims=Claims(lower=-0.169971, upper=inf, monotone=False, smoothness=inf, slope_bound=1.12890, zero=True),
)
def xgelu(x, alpha=learned(0.0)):
    """GELU whose gate learns to range over (-alpha, 1 + alpha)."""
    return x * (normal_cdf(x) * (1 + 2 * alpha) - alpha)


@activation(arxiv="2405.20768", claims=SWISH)
def xsilu(x, alpha=learned(0.0)):
    """SiLU whose gate learns to range over (-alpha, 1 + alpha)."""
    return x * (sigmoid(x) * (1 + 2 * alpha) - alpha)


@activation(
    arxiv="2407.08567",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=inf, slope_bound=0.25, zero=False),
)
def apa(x, kappa=learned(1.0), lambd=learned(1.0)):
    """The generalised logistic (lambda e^(-kappa x) + 1)^(-1/lambda), both learned; starts as the sigmoid here."""
    lambd = maximum(lambd, 1e-4)  # as the authors clamp it
    return exp(logsigmoid(kappa * x - log(lambd)) / lambd)


@activation(arxiv="2407.08567", claims=SWISH)
def aglu(x, kappa=learned(1.0), lambd=learned(1.0)):
    """Gates its input by the generalised logistic APA; starts as SiLU here."""
    lambd = maximum(lambd, 1e-4)  # as the authors clamp it
    return x * exp(logsigmoid(kappa * x - log(lambd)) / lambd)


@activation(
    paper="Bodyanskiy & Kostiuk, Int. J. Computing 2023",
    claims=SWISH,
)
def leaf(x, p1=learned(1.0), p2=learned(0.0), p3=learned(1.0), p4=learned(0.0)):
    """A learned line, gated by a learned sigmoid and shifted: SiLU, ReLU, tanh and sigmoid are members."""
    return (p1 * x + p2) * sigmoid(p3 * x) + p4


@activation(paper="Bodyanskiy & Kostiuk 2022, Adaptive hybrid activation function", claims=SWISH)
def ahaf(x, beta=learned(1.0), gamma=learned(1.0)):
    """Swish with learned amplitude and sharpness."""
    return beta * x * sigmoid(gamma * x)


@activation(
    arxiv="2603.22154",
    claims=Claims(lower=-0.308843, upper=inf, monotone=False, smoothness=inf, slope_bound=1.08850, zero=True),
)
def dyn_act(x, alpha=learned(1.0), beta=learned(0.0)):
    """A learned blend of Mish and the identity: (alpha - beta) mish(x) + beta x."""
    return (alpha - beta) * x * tanh(softplus(x)) + beta * x


@activation(
    arxiv="2303.02640",
    claims=Claims(lower=-0.3002831, upper=inf, monotone=False, smoothness=inf, slope_bound=1.044331, zero=True),
)
def swim(x, k=0.5):
    """Gates its input by (1 + kx / sqrt(1 + k^2 x^2)) / 2; k 1 gives PFLU."""
    return x * sigmoid(2 * asinh(k * x))  # the same gate, without cancelling below zero


@activation(
    arxiv="2607.24653",
    claims=Claims(lower=-0.2697690, upper=4.0, monotone=False, smoothness=inf, slope_bound=0.9263888, zero=True),
)
def soft_capped_silu(x, cap: Positive = 4.0):
    """SiLU whose linear factor is capped softly by a tanh, the gate of Kimi K3's SiTU-GLU (x-transformers' softclamp_silu)."""
    return cap * tanh(x / cap) * sigmoid(x)


@activation(
    paper="x-transformers 2.31, softclamp_gelu (the GELU twin of arXiv:2607.24653)",
    claims=Claims(lower=-0.1680284, upper=4.0, monotone=False, smoothness=inf, slope_bound=1.036928, zero=True),
)
def soft_capped_gelu(x, cap: Positive = 4.0):
    """GELU whose linear factor is capped softly by a tanh."""
    return cap * tanh(x / cap) * normal_cdf(x)


@activation(
    arxiv="2602.05688",
    claims=Claims(lower=-0.2440450, upper=inf, monotone=False, smoothness=inf, slope_bound=1.154382, zero=True),
    aliases=("gelusine",),
)
def gelu_sine(x, amplitude=0.1):
    """GELU plus a tenth of the sine (found by AlphaEvolve)."""
    return x * normal_cdf(x) + amplitude * sin(x)


@activation(
    arxiv="2602.05688",
    claims=Claims(lower=-0.2062675, upper=inf, monotone=False, smoothness=inf, slope_bound=1.574149, zero=True),
    aliases=("gelusinc",),
)
def gelu_sinc(x, amplitude=0.5):
    """GELU times one plus half the normalised cardinal sine (found by AlphaEvolve)."""
    return x * normal_cdf(x) * (1 + amplitude * sinc(pi * x))


@activation(
    arxiv="2509.22562",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.029952, zero=True),
)
def smooth_leaky(x, alpha=0.7, c=1.0, p: NonZero = 1.0):
    """A line of slope alpha plus the rest of the slope times Swish: a leaky ReLU without a kink, for continual learning."""
    return alpha * x + (1 - alpha) * x * sigmoid(c * x / p)
