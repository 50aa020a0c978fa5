"""Activations along a dimension, by groups, norms, top-k, statistics, concatenated parts or spikes.

For images, ``dim=1`` selects the channels, as in the papers; the default is the last dimension.
"""

from math import pi

from actlab.functions.activation import Claims, Count, Dim, Flag, Fraction, Positive, Share, activation, learned

PERMUTES = Claims(norm="kept", zero=True)


@activation(kind="vector", arxiv="1302.4389", width="n/k", claims=Claims(zero=True))
def maxout(x, k: Count = 2, dim: Dim = -1):
    """The largest of each group of k neighbours (its linear maps are the layer before)."""
    from actlab.functions.tensor_code.groups import split_groups

    return split_groups(x, k, dim).amax(-1)


@activation(
    kind="vector", paper="Zhang et al. 2014, ICASSP (generalized maxout)", width="n/k", claims=Claims(zero=False)
)
def soft_maxout(x, k: Count = 2, dim: Dim = -1):
    """The logarithm of the summed exponentials of each group of k neighbours."""
    from actlab.functions.tensor_code.groups import split_groups

    return split_groups(x, k, dim).logsumexp(-1)


@activation(
    kind="vector",
    paper="Zhang et al. 2014, ICASSP (generalized maxout)",
    width="n/k",
    claims=Claims(lower=0.0, zero=True),
)
def pnorm(x, k: Count = 2, dim: Dim = -1):
    """The Euclidean norm of each group of k neighbours (the paper's p = 2, which is best in it)."""
    from actlab.functions.tensor_code.groups import split_groups

    return split_groups(x, k, dim).norm(dim=-1)


@activation(kind="vector", arxiv="1811.05381", claims=PERMUTES)
def group_sort(x, group_size: Count = 2, dim: Dim = -1):
    """Each group of neighbours in ascending order; keeps norms and gradients."""
    from actlab.functions.tensor_code.groups import merge_groups, split_groups

    return merge_groups(split_groups(x, group_size, dim).sort(-1).values, dim)


@activation(kind="vector", arxiv="1604.02313", claims=PERMUTES, aliases=("oplu",))
def maxmin(x, dim: Dim = -1):
    """The larger ones of the two halves, then the smaller ones; GroupSort of pairs, in the order of the SOC code."""
    from actlab.functions.tensor_code.groups import larger_then_smaller

    return larger_then_smaller(x, dim)


@activation(kind="vector", arxiv="2108.04062", claims=PERMUTES)
def householder(x, theta=learned(pi / 2), dim: Dim = -1):
    """The halves as points of a plane, mirrored to one side of the line at angle theta / 2; theta = pi / 2 sorts each pair."""
    from actlab.functions.tensor_code.groups import reflect_halves

    return reflect_halves(x, theta, dim)


@activation(
    kind="vector", paper="Srivastava et al. 2013, NIPS (Compete to Compute)", claims=Claims(norm="shrunk", zero=True)
)
def lwta(x, block: Count = 2, dim: Dim = -1):
    """The largest of each block of neighbours, zero for the others."""
    from actlab.functions.tensor_code.groups import group_winners

    return group_winners(x, block, dim)


@activation(kind="vector", arxiv="1905.10510", claims=Claims(norm="shrunk", zero=True, equivariant=True))
def kwta(x, sparse_ratio: Share = 0.5, dim: Dim = -1):
    """The share of the largest elements, zero for the others."""
    from actlab.functions.tensor_code.groups import k_winners

    return k_winners(x, max(1, int(sparse_ratio * x.shape[dim])), dim)


@activation(kind="vector", paper="Google 2025, Gemma 3n", claims=Claims(lower=0.0, zero=True, equivariant=True))
def gaussian_topk(x, sparsity: Fraction = 0.95, dim: Dim = -1):
    """What exceeds the mean by as many deviations as leave that share of a normal sample at zero; before the GELU of its GLU."""
    from actlab.functions.tensor_code.groups import excess_over_quantile

    return excess_over_quantile(x, sparsity, dim)


@activation(
    kind="vector",
    arxiv="1603.05201",
    width="2*n",
    claims=Claims(lower=0.0, norm="kept", zero=True),
    aliases=("concatenated_relu",),
)
def crelu(x, dim: Dim = -1):
    """The positive part, then the negative part as positive numbers (not the complex ReLU of the same name)."""
    import torch

    return torch.cat([x.relu(), (-x).relu()], dim)


@activation(
    kind="vector",
    arxiv="1706.00388",
    width="2*n",
    claims=Claims(norm="kept", zero=True),
    aliases=("negative_concatenated_relu",),
)
def nc_relu(x, dim: Dim = -1):
    """The positive part, then the negative part (DiracNets)."""
    import torch

    return torch.cat([x.relu(), -(-x).relu()], dim)


@activation(kind="vector", arxiv="1701.05517", width="2*n", claims=Claims(lower=-1.0, zero=True))
def concat_elu(x, dim: Dim = -1):
    """The ELU of the input, then that of the negated input (PixelCNN++)."""
    import torch

    return torch.nn.functional.elu(torch.cat([x, -x], dim))


@activation(kind="vector", arxiv="1710.09829", claims=Claims(lower=-1.0, upper=1.0, norm="shrunk", zero=True))
def squash(x, dim: Dim = -1):
    """The vector with its length n shortened to n^2 / (1 + n^2) (capsules)."""
    norm = x.norm(dim=dim, keepdim=True)
    return x * (norm / (1 + norm**2))


@activation(kind="vector", arxiv="2101.12491", claims=Claims(lower=-1.0, upper=1.0, norm="shrunk", zero=True))
def squash_exp(x, dim: Dim = -1):
    """The vector with its length n shortened to 1 - e^-n (Efficient-CapsNet)."""
    norm = x.norm(dim=dim, keepdim=True)
    return x * (-(-norm).expm1() / norm.clamp_min(1e-12))


@activation(
    kind="vector",
    paper="Worrall et al. 2017 (arXiv:1612.04642); Weiler et al. 2018 (arXiv:1807.02547)",
    claims=Claims(zero=True),
)
def norm_relu(x, bias=learned(0.0), dim: Dim = -1):
    """The vector with the ReLU of its length plus a learned bias as its length: commutes with rotations."""
    norm = x.norm(dim=dim, keepdim=True)
    return x * ((norm + bias).relu() / norm.clamp_min(1e-12))


@activation(
    kind="vector",
    paper="Elhage et al. 2022, Softmax Linear Units",
    claims=Claims(equivariant=True, norm="shrunk", zero=True),
)
def solu(x, dim: Dim = -1):
    """The input times its softmax; the paper puts a LayerNorm behind it."""
    return x * x.softmax(dim=dim)


@activation(kind="vector", arxiv="2411.03884", claims=Claims(equivariant=True, zero=True), aliases=("polycom",))
def poly_norm(
    x, w3=learned(1 / 3), w2=learned(1 / 3), w1=learned(1 / 3), bias=learned(0.0), eps: Positive = 1e-6, dim: Dim = -1
):
    """A learned sum of the input's cube, square and itself, each divided by its root mean square."""
    powers = ((w, x**k) for w, k in ((w3, 3), (w2, 2), (w1, 1)))
    return sum(w * u / ((u**2).mean(dim, keepdim=True) + eps).sqrt() for w, u in powers) + bias


@activation(
    kind="vector",
    arxiv="1804.02051",
    claims=Claims(lower=0.0, equivariant=True, zero=True),
    aliases=("average_biased_relu",),
)
def abrelu(x, dim: Dim = -1):
    """The positive part of the input minus its mean."""
    return (x - x.mean(dim, keepdim=True)).relu()


@activation(
    kind="vector",
    paper="Lapicque 1907; Eshraghian et al. 2021 (arXiv:2109.12894)",
    claims=Claims(lower=0.0, upper=1.0, zero=True),
)
def lif(x, beta: Positive = 0.9, threshold: Positive = 1.0, dim: Dim = -2):
    """Leaky integrate-and-fire spikes over time, reset by subtraction, with zero slope; beta = 1 is integrate-and-fire."""
    from actlab.functions.tensor_code.groups import spikes

    return spikes(x, beta, threshold, dim)


@activation(
    kind="vector",
    arxiv="2410.20634",
    width="2*n",
    claims=Claims(lower=-1.0, upper=1.0, zero=False),
    aliases=("deep_fourier",),
)
def fourier_pair(x, dim: Dim = -1):
    """The sines, then the cosines (deep Fourier features: one of the two always has a slope)."""
    import torch

    return torch.cat([x.sin(), x.cos()], dim)


@activation(
    kind="vector",
    arxiv="1706.06978",
    claims=Claims(zero=True),
    aliases=("data_adaptive_activation",),
)
def dice(x, alpha=learned(0.0), eps: Positive = 1e-8, dim: Dim = -2):
    """PReLU that turns, smoothly, at the mean of the batch: dimension -2, of which each feature's mean and variance are taken.

    The statistics are those of the input, in evaluation as well: there are no running averages.
    """
    mean = x.mean(dim, keepdim=True)
    variance = (x - mean).square().mean(dim, keepdim=True)
    share = ((x - mean) / (variance + eps).sqrt()).sigmoid()
    return share * x + (1 - share) * alpha * x


@activation(
    kind="vector",
    paper="Google 2025, Gemma 3n; vLLM, GeluAndMulSparse",
    width="n/2",
    claims=Claims(zero=True),
    aliases=("gelu_and_mul_sparse",),
)
def gaussian_topk_geglu(x, sparsity: Fraction = 0.95, gate_first: Flag = 0, approximate: Flag = 0, dim: Dim = -1):
    """GEGLU whose gate passes `gaussian_topk` first; the gate is the second half (the first one in vLLM: gate_first=1)."""
    from actlab.functions.tensor_code.groups import excess_over_quantile, halves

    first, second = halves(x, dim)
    gate, value = (first, second) if gate_first else (second, first)
    import torch

    kept = excess_over_quantile(gate, sparsity, dim)
    return torch.nn.functional.gelu(kept, approximate="tanh" if approximate else "none") * value
