"""Softmax and its variants, such as sparsemax, entmax and log-softmax.

Tensor code along a dimension; ``softmax2d`` of torch is ``softmax(dim=-3)``.
"""

from math import log

from actlab.functions.activation import AboveOne, Claims, Count, Dim, Entropic, Positive, activation, learned

SIMPLEX = Claims(lower=0.0, upper=1.0, simplex=True, equivariant=True, zero=False)
WEIGHTS = Claims(lower=0.0, upper=1.0, equivariant=True)


@activation(
    kind="vector",
    paper="Bridle 1990",
    torch="torch.softmax(x, dim=-1)",
    module="torch.nn.Softmax(dim=-1)",
    claims=SIMPLEX,
    aliases=("softargmax",),
)
def softmax(x, temperature: Positive = 1.0, dim: Dim = -1):
    """Exponentials along a dimension, normalised to sum 1."""
    return (x / temperature).softmax(dim=dim)


@activation(
    kind="vector",
    paper="Bridle 1990",
    torch="torch.log_softmax(x, dim=-1)",
    module="torch.nn.LogSoftmax(dim=-1)",
    claims=Claims(upper=0.0, equivariant=True, zero=False),
)
def log_softmax(x, dim: Dim = -1):
    """The logarithm of the softmax, without its underflow."""
    return x.log_softmax(dim=dim)


@activation(
    kind="vector",
    paper="folklore (Torch7)",
    torch="torch.softmax(-x, dim=-1)",
    module="torch.nn.Softmin(dim=-1)",
    claims=SIMPLEX,
)
def softmin(x, dim: Dim = -1):
    """The softmax of the negated input."""
    return (-x).softmax(dim=dim)


@activation(
    kind="vector",
    paper="Miller 2023, Attention Is Off By One",
    claims=WEIGHTS,
    aliases=("quiet_softmax", "softmax_plus_one"),
)
def softmax1(x, dim: Dim = -1):
    """Softmax with a one added to the sum, so that a row may attend to nothing."""
    shift = x.amax(dim, keepdim=True).relu().detach()
    return (x - shift).exp() / ((-shift).exp() + (x - shift).exp().sum(dim, keepdim=True))


@activation(kind="vector", arxiv="1602.02068", claims=SIMPLEX)
def sparsemax(x, dim: Dim = -1):
    """The point of the simplex nearest to the input: a softmax with exact zeros."""
    from actlab.functions.tensor_code import simplex

    return simplex.sparsemax(x, dim)


@activation(kind="vector", arxiv="1905.05702", claims=SIMPLEX)
def entmax15(x, dim: Dim = -1):
    """Half-way between softmax and sparsemax: the 1.5-entmax."""
    from actlab.functions.tensor_code import simplex

    return simplex.entmax15(x, dim)


@activation(
    kind="vector",
    paper="Peters et al. 2019 (arXiv:1905.05702); learned: Correia et al. 2019 (arXiv:1909.00015)",
    claims=SIMPLEX,
)
def alpha_entmax(x, alpha: Entropic = 1.5, dim: Dim = -1):
    """The family from softmax (alpha to 1) to sparsemax (alpha = 2)."""
    from actlab.functions.tensor_code import simplex

    return simplex.alpha_entmax(x, alpha, dim)


@activation(kind="vector", arxiv="1511.05042", claims=SIMPLEX)
def taylor_softmax(x, order: Count = 2, dim: Dim = -1):
    """Softmax with the Taylor polynomial of the exponential, positive for even orders."""
    term = powers = x**0
    for k in range(1, order + 1):
        term = term * x / k
        powers = powers + term
    return powers / powers.sum(dim, keepdim=True)


@activation(kind="vector", arxiv="1511.05042", claims=WEIGHTS)
def spherical_softmax(x, eps: Positive = 1e-8, dim: Dim = -1):
    """Squares along a dimension, normalised to sum 1."""
    return x**2 / ((x**2).sum(dim, keepdim=True) + eps)


@activation(kind="vector", arxiv="2504.20966", claims=Claims(lower=0.0, upper=1.0, equivariant=True, zero=True))
def softpick(x, eps: Positive = 1e-8, dim: Dim = -1):
    """The positive part of e^x - 1 over the sum of its absolute values: no attention sink."""
    shift = x.amax(dim, keepdim=True).relu().detach()
    # e^(x - shift) - e^-shift for both signs of x, without cancellation.
    raised = x.clamp(max=0).expm1() * (-shift).exp() - (-x.relu()).expm1() * (x - shift).exp()
    return raised.relu() / (raised.abs().sum(dim, keepdim=True) + eps)


@activation(kind="vector", arxiv="2501.19399", claims=SIMPLEX, aliases=("ssmax",))
def scalable_softmax(x, s=learned(0.43), dim: Dim = -1):
    """Softmax sharpened by the logarithm of the number of elements, so that it does not fade as they grow."""
    return (s * log(x.shape[dim]) * x).softmax(dim=dim)


@activation(kind="vector", arxiv="2409.04431", claims=WEIGHTS)
def sigmoid_weights(x, dim: Dim = -1):
    """The weights of sigmoid attention: the sigmoid, shifted by the logarithm of the number of elements."""
    return (x - log(x.shape[dim])).sigmoid()


@activation(kind="vector", arxiv="2309.08586", claims=Claims(lower=0.0, equivariant=True, zero=True))
def relu_weights(x, dim: Dim = -1):
    """The weights of ReLU attention: the positive part over the number of elements."""
    return x.relu() / x.shape[dim]


@activation(kind="vector", paper="DeepSeek-AI 2024 (arXiv:2412.19437), the router's gate", claims=SIMPLEX)
def normalized_sigmoid(x, dim: Dim = -1):
    """Sigmoids along a dimension, normalised to sum 1."""
    from torch.nn.functional import logsigmoid

    return logsigmoid(x).softmax(dim=dim)


@activation(kind="vector", arxiv="2110.14182", claims=SIMPLEX)
def ev_softmax(x, dim: Dim = -1):
    """Softmax over the elements that are not below the mean, zero for the others."""
    # By rounding, the mean of equal numbers can exceed them.
    mean = x.mean(dim, keepdim=True).minimum(x.amax(dim, keepdim=True))
    return x.masked_fill(x < mean, float("-inf")).softmax(dim=dim)


@activation(kind="vector", paper="Shazeer et al. 2017 (arXiv:1701.06538), KeepTopK without its noise", claims=SIMPLEX)
def topk_softmax(x, k: Count = 2, dim: Dim = -1):
    """Softmax over the k largest elements, zero for the others."""
    return x.masked_fill(x < x.topk(min(k, x.shape[dim]), dim).values.amin(dim, keepdim=True), float("-inf")).softmax(
        dim=dim
    )


@activation(kind="vector", paper="folklore (hard attention)", claims=SIMPLEX, aliases=("onehot_argmax",))
def hardmax(x, dim: Dim = -1):
    """One at the largest element, zero elsewhere."""
    from actlab.functions.tensor_code import groups

    return groups.hardmax(x, dim)


@activation(
    kind="vector",
    arxiv="2508.10925",
    claims=WEIGHTS,
    aliases=("softmax_with_sink",),
)
def sink_softmax(x, sink=learned(0.0), dim: Dim = -1):
    """Softmax with a learned logit in the sum that takes weight and gives none (gpt-oss has one per head: learned_per_channel)."""
    from torch import as_tensor, maximum

    logit = as_tensor(sink, dtype=x.dtype, device=x.device)
    shift = maximum(x.amax(dim, keepdim=True), logit).detach()
    return (x - shift).exp() / ((logit - shift).exp() + (x - shift).exp().sum(dim, keepdim=True))


@activation(kind="vector", paper="Santos et al. 2024 (arXiv:2402.13725); entmax, normmax_bisect", claims=SIMPLEX)
def normmax(x, alpha: AboveOne = 2.0, dim: Dim = -1):
    """The point p of the simplex with the largest <p, x> - ||p||_alpha: sparse, and more even than entmax."""
    from actlab.functions.tensor_code import projections

    return projections.normmax(x, alpha, dim)


@activation(
    kind="vector",
    paper="entmax, budget_bisect (deep-spin)",
    claims=Claims(lower=0.0, upper=1.0, equivariant=True, zero=False),
    aliases=("budget_sparsemax",),
)
def budget(x, budget: Count = 2, dim: Dim = -1):
    """The nearest weights in [0, 1] whose sum is a budget: sparsemax for the choice of several elements."""
    from actlab.functions.tensor_code import projections

    return projections.budget(x, budget, dim)
