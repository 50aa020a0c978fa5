"""Stochastic activations, such as RReLU and Gumbel softmax.

Tensor code that draws from torch's generator in training mode; in evaluation it returns the mean, or the value at the mean noise.
"""

from actlab.functions.activation import Claims, Dim, Fraction, NonZero, Positive, activation


@activation(
    kind="stochastic",
    arxiv="1505.00853",
    torch="torch.nn.functional.rrelu",
    module="torch.nn.RReLU",
    claims=Claims(zero=True),
    aliases=("randomized_leaky_relu",),
)
def rrelu(x, lower=0.125, upper=0.3333333333333333, *, training=False):
    """Leaky ReLU whose slope below zero is drawn per element while training; the mean slope in evaluation."""
    from torch import rand_like, where

    slope = lower + (upper - lower) * rand_like(x) if training else (lower + upper) / 2
    return where(x > 0, x, slope * x)


@activation(kind="stochastic", paper="Nair & Hinton, ICML 2010", claims=Claims(lower=0.0), aliases=("nrelu",))
def noisy_relu(x, *, training=False):
    """ReLU of the input plus normal noise of variance sigmoid(x); its exact mean in evaluation."""
    from actlab.functions.tensor_code import noise

    return noise.rectified_normal(x, noise.logsigmoid(x) / 2, training=training)


@activation(kind="stochastic", paper="Cao et al. 2018, Neurocomputing", claims=Claims(lower=0.0, zero=True))
def rt_relu(x, sigma: Positive = 0.75, *, training=False):
    """ReLU of the input moved by normal noise while training; plain ReLU in evaluation, as in the paper."""
    from torch import randn_like

    return (x + sigma * randn_like(x)).relu() if training else x.relu()


@activation(kind="stochastic", arxiv="1905.10761", claims=Claims(lower=0.0, zero=True))
def prob_act(x, sigma=0.5, *, training=False):
    """ReLU plus normal noise while training; the deviation can be learned."""
    from torch import randn_like

    return x.relu() + sigma * randn_like(x) if training else x.relu()


@activation(kind="stochastic", arxiv="1811.05850", claims=Claims(zero=True), aliases=("dropact",))
def drop_activation(x, p: Fraction = 0.95, *, training=False):
    """ReLU with probability p, else the identity, drawn per element while training; their mean in evaluation."""
    from torch import rand_like

    kept = (rand_like(x) < p).to(x.dtype) if training else p
    return kept * x.relu() + (1 - kept) * x


@activation(
    kind="stochastic",
    paper="Jiang et al. 2018, Neurocomputing",
    claims=Claims(lower=0.0, zero=True),
    aliases=("erelu",),
)
def elastic_relu(x, alpha: Fraction = 0.1, *, training=False):
    """ReLU whose slope above zero is drawn from 1 - alpha to 1 + alpha while training."""
    from torch import rand_like

    return x.relu() * (1 + alpha * (2 * rand_like(x) - 1)) if training else x.relu()


@activation(kind="stochastic", paper="Hendrycks & Gimpel 2016 (arXiv:1606.08415), section 2", claims=Claims(zero=True))
def soi_map(x, *, training=False):
    """Keeps the input with the probability that a standard normal lies below it, else zero; GELU is its mean."""
    from actlab.functions.tensor_code import noise

    return x * noise.bernoulli(x, noise.normal_cdf(x)) if training else x * noise.normal_cdf(x)


@activation(
    kind="stochastic",
    arxiv="1308.3432",
    claims=Claims(lower=0.0, upper=1.0, zero=False),
    aliases=("stochastic_neuron",),
)
def stochastic_binary(x, *, training=False):
    """One with probability sigmoid(x), else zero, with zero slope (gradient estimators are rules); the probability in evaluation."""
    from actlab.functions.tensor_code import noise

    return noise.bernoulli(x, x.sigmoid()) if training else x.sigmoid()


@activation(
    kind="stochastic", arxiv="1611.00712", claims=Claims(lower=0.0, upper=1.0, zero=False), aliases=("gumbel_sigmoid",)
)
def binary_concrete(x, tau: Positive = 0.6666666666666666, *, training=False):
    """Sigmoid of the input plus logistic noise, over a temperature; without the noise in evaluation."""
    from actlab.functions.tensor_code import noise

    return ((x + noise.logistic(x) if training else x) / tau).sigmoid()


@activation(kind="stochastic", arxiv="1712.01312", claims=Claims(lower=0.0, upper=1.0), aliases=("l0_gate",))
def hard_concrete(x, beta: Positive = 0.6666666666666666, gamma=-0.1, zeta=1.1, *, training=False):
    """A stretched binary concrete gate clipped to [0, 1]: zero with positive probability; without noise and beta in evaluation."""
    from actlab.functions.tensor_code import noise

    gate = ((x + noise.logistic(x)) / beta if training else x).sigmoid()
    return (gate * (zeta - gamma) + gamma).clamp(0, 1)


@activation(
    kind="stochastic",
    arxiv="1611.01144",
    claims=Claims(lower=0.0, upper=1.0, simplex=True, equivariant=True),
    aliases=("concrete",),
)
def gumbel_softmax(x, tau: Positive = 1.0, dim: Dim = -1, *, training=False):
    """Softmax of the input plus Gumbel noise, over a temperature; without the noise in evaluation."""
    from actlab.functions.tensor_code import noise

    return ((x + noise.gumbel(x) if training else x) / tau).softmax(dim)


@activation(kind="stochastic", arxiv="2509.22562", claims=Claims(zero=True), aliases=("rand_smooth_leaky",))
def randomized_smooth_leaky(x, lower=0.6, upper=0.9, c=1.0, p: NonZero = 1.0, *, training=False):
    """Smooth-Leaky whose slope alpha is drawn per element while training; the mean slope in evaluation."""
    from torch import rand_like

    alpha = lower + (upper - lower) * rand_like(x) if training else (lower + upper) / 2
    return alpha * x + (1 - alpha) * x * (c * x / p).sigmoid()
