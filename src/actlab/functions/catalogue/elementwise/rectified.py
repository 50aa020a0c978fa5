"""Piecewise linear rectifiers, such as ReLU, leaky ReLU, PReLU and hardtanh, and absolute values."""

from math import inf, log

from actlab.functions.activation import Claims, NonZero, Positive, activation, learned
from actlab.functions.formula import absolute, log1p, maximum, minimum, softplus, tanh, where

LINEAR = Claims(lower=-inf, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=True)
KINK = Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)


@activation(paper="the control in every comparison", module="torch.nn.Identity", claims=LINEAR, aliases=("linear",))
def identity(x):
    """The input itself: what a network without this nonlinearity does."""
    return x


@activation(
    paper="Fukushima 1969; Nair & Hinton, ICML 2010",
    torch="torch.nn.functional.relu",
    module="torch.nn.ReLU",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def relu(x):
    """The positive part."""
    return maximum(x, 0)


@activation(
    paper="Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10",
    torch="torch.nn.functional.relu6",
    module="torch.nn.ReLU6",
    claims=Claims(lower=0.0, upper=6.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def relu6(x):
    """The positive part, capped at 6."""
    return minimum(maximum(x, 0), 6)


@activation(
    paper="Maas, Hannun & Ng, ICML workshop 2013",
    torch="torch.nn.functional.leaky_relu",
    module="torch.nn.LeakyReLU",
    claims=KINK,
    aliases=("lrelu",),
)
def leaky_relu(x, negative_slope=0.01):
    """A small slope below zero keeps units alive (torch and JAX default 0.01; Keras 0.2 or 0.3)."""
    return where(x > 0, x, negative_slope * x)


@activation(arxiv="1502.01852", torch="torch.nn.functional.prelu", module="torch.nn.PReLU", claims=KINK)
def prelu(x, weight=learned(0.25)):
    """A rectifier whose slope below zero is learned."""
    return where(x > 0, x, weight * x)


@activation(
    arxiv="1402.3337",
    torch="torch.nn.functional.threshold",
    module="torch.nn.Threshold",
    claims=Claims(lower=0.0, upper=inf, smoothness=-1, zero=True),
)
def threshold(x, threshold=1.0, value=0.0):
    """The input where it exceeds the threshold, else a constant; jumps unless the two are equal."""
    return where(x <= threshold, value, x)


@activation(
    paper="Collobert 2004",
    torch="torch.nn.functional.hardtanh",
    module="torch.nn.Hardtanh",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("hard_tanh",),
)
def hardtanh(x, min_val=-1.0, max_val=1.0):
    """The input clipped to an interval."""
    return minimum(maximum(x, min_val), max_val)


@activation(
    arxiv="1905.02244",
    torch="torch.nn.functional.hardsigmoid",
    module="torch.nn.Hardsigmoid",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1 / 6, zero=False),
    aliases=("hard_sigmoid",),
)
def hardsigmoid(x):
    """A line of slope 1/6 clipped to [0, 1] (torch, JAX, Keras 3; slope 0.2 in Keras 2 and ONNX)."""
    return minimum(maximum(x + 3, 0), 6) / 6


@activation(
    arxiv="1905.02244",
    torch="torch.nn.functional.hardswish",
    module="torch.nn.Hardswish",
    claims=Claims(lower=-0.375, upper=inf, monotone=False, smoothness=0, slope_bound=1.5, zero=True),
    aliases=("hard_swish", "hard_silu"),
)
def hardswish(x):
    """SiLU with the piecewise linear sigmoid (MobileNetV3)."""
    return x * minimum(maximum(x + 3, 0), 6) / 6


@activation(
    paper="Liew, Khalil-Hani & Bakhteri, Neurocomputing 2016",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("bounded_relu", "clipped_relu", "relu1", "satlin"),
)
def relu_n(x, n: Positive = 1.0):
    """The positive part, capped at n."""
    return minimum(maximum(x, 0), n)


@activation(
    paper="Liew, Khalil-Hani & Bakhteri, Neurocomputing 2016",
    claims=KINK,
    aliases=("blrelu",),
)
def bounded_leaky_relu(x, a=0.1, b: Positive = 1.0):
    """The identity on [0, b] with slope a outside."""
    return where(x < 0, a * x, where(x > b, a * (x - b) + b, x))


@activation(
    arxiv="1511.07289",
    claims=Claims(lower=-1.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("displaced_relu",),
)
def shifted_relu(x, delta=1.0):
    """The identity held above -delta (the ELU paper's SReLU with 1; displaced ReLU with 0.05)."""
    return maximum(x, -delta)


@activation(
    paper="Kunc & Klema 2024, arXiv:2402.09092 (survey)",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def delay_relu(x, delta=1.0):
    """The positive part of what exceeds delta."""
    return maximum(x - delta, 0)


@activation(
    arxiv="1809.09534",
    claims=KINK,
)
def plu(x, alpha=0.1, c: Positive = 1.0):
    """The identity on [-c, c] with slope alpha outside: a leaky hard tanh (the fixed PLU, not the polynomial one)."""
    return where(x < -c, alpha * (x + c) - c, where(x > c, alpha * (x - c) + c, x))


@activation(
    arxiv="2301.05993",
    torch="torch.abs",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("absolute_value", "modulus", "vrelu"),
)
def abs_(x):
    """The absolute value."""
    return absolute(x)


@activation(
    arxiv="2301.05993",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=1, slope_bound=4 / 3, zero=True),
)
def soft_modulus_q(x):
    """The modulus with a cubic in place of its kink."""
    return where(absolute(x) < 1, x**2 * (2 - absolute(x)), absolute(x))


@activation(
    arxiv="2301.05993",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.19968, zero=True),
)
def soft_modulus_t(x, a: NonZero = 0.01):
    """The modulus rounded by a tanh; LiSHT at a = 1."""
    return x * tanh(x / a)


@activation(
    paper="Li, Li, Zhang & Dai, 2013 (bi-firing deep neural networks)",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("huber",),
)
def bi_firing(x, a: Positive = 1.0):
    """The modulus with a parabola in place of its kink: Huber's function."""
    return where(absolute(x) < a, x**2 / (2 * a), absolute(x) - a / 2)


@activation(
    paper="Kunc & Klema 2024, arXiv:2402.09092 (survey)",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=0, slope_bound=1.0, zero=True),
    aliases=("eps_insensitive",),
)
def pan(x, a=1.0):
    """By how much the modulus exceeds a."""
    return maximum(absolute(x) - a, 0)


@activation(
    arxiv="1908.02435",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=0, slope_bound=1.0, zero=False),
    aliases=("tribas", "mirrored_relu"),
)
def tent(x, delta=learned(1.0)):
    """A triangle over [-delta, delta], zero elsewhere: bounded, and zero far from the training data."""
    return maximum(delta - absolute(x), 0)


@activation(
    arxiv="2208.04924",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=0, slope_bound=1.0, zero=True),
)
def hat(x):
    """A triangle over [0, 2], zero elsewhere: the linear B-spline of finite elements."""
    return where(x < 1, maximum(x, 0), maximum(2 - x, 0))


@activation(
    paper="Keras, ops.relu and layers.ReLU",
    claims=Claims(lower=0.0, upper=6.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def keras_relu(x, negative_slope=0.0, max_value: Positive = 6.0, threshold=0.0):
    """Keras' general ReLU: a line below the threshold, the input above it, capped (at 6 as in MobileNet; Keras' default is no cap)."""
    return where(x <= threshold, negative_slope * (x - threshold), minimum(x, max_value))


@activation(
    arxiv="1912.04958",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=2**0.5, zero=True),
    aliases=("fused_leaky_relu",),
)
def scaled_leaky_relu(x, negative_slope=0.2, scale=2**0.5):
    """Leaky ReLU times the square root of 2, which keeps the second moment (StyleGAN2; its bias belongs to the layer before)."""
    return scale * where(x > 0, x, negative_slope * x)


@activation(
    paper="Core ML, clamped_relu",
    claims=Claims(lower=-inf, upper=6.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def clamped_relu(x, alpha=0.1, beta=6.0):
    """Leaky ReLU, capped at beta (Core ML has no defaults)."""
    return minimum(where(x > 0, x, alpha * x), beta)


@activation(
    paper="NNlib.jl, logcosh",
    claims=Claims(lower=0.0, upper=inf, monotone=False, smoothness=inf, slope_bound=1.0, zero=True),
    aliases=("log_cosh",),
)
def logcosh(x):
    """The logarithm of the hyperbolic cosine: the modulus with a rounded kink, less log 2; its slope is tanh."""
    near = -log1p(-(tanh(x) ** 2)) / 2  # the same, without cancelling at zero
    return where(absolute(x) < 1, near, absolute(x) + softplus(-2 * absolute(x)) - log(2))
