"""Rectifiers: piecewise linear or quadratic."""

from math import inf

from actlab.functions.activation import Claims, NonNegative, activation, learned
from actlab.functions.formula import absolute, maximum, minimum, sign, sqrt, where

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
    paper="Donoho & Johnstone 1994 (wavelet shrinkage)",
    torch="torch.nn.functional.softshrink",
    module="torch.nn.Softshrink",
    claims=KINK,
)
def softshrink(x, lambd: NonNegative = 0.5):
    """Moves the input towards zero by lambda, to zero at most."""
    return where(absolute(x) <= lambd, 0, x - lambd * sign(x))


@activation(
    paper="Donoho & Johnstone 1994 (wavelet shrinkage)",
    torch="torch.nn.functional.hardshrink",
    module="torch.nn.Hardshrink",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=-1, zero=True),
)
def hardshrink(x, lambd: NonNegative = 0.5):
    """Zero within lambda of zero, the input outside."""
    return where(absolute(x) <= lambd, 0, x)


@activation(
    arxiv="2112.11687",
    claims=Claims(lower=0.0, upper=inf, monotone=True, smoothness=inf, slope_bound=1.0, zero=False),
)
def squareplus(x, b: NonNegative = 4.0):
    """An algebraic softplus; b = 4 gives slope 1/2 and value 1 at zero."""
    return where(x > 0, (x + sqrt(x**2 + b)) / 2, b / 2 / (sqrt(x**2 + b) - x))  # the second form does not cancel
