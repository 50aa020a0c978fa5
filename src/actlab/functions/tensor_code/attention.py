"""Softmax, kernel and decayed attention and running sums, on tensors ``(..., tokens, dim)``.

All but softmax attention take time and memory linear in the number of tokens. Sums over tokens are computed in chunks, so that the operands
of a product stay in the cache for any number of tokens; a causal sum uses a masked product inside a chunk and a running state between
chunks.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from actlab.errors import LayerError

__all__ = [
    "cosine_features",
    "decayed_sum",
    "elu_plus_one",
    "kernel_attention",
    "logsigmoid",
    "merge_heads",
    "retention_decay",
    "running_sum",
    "softmax_attention",
    "split_heads",
    "taylor_attention",
    "taylor_features",
    "two_sided_softmax",
]

CHUNK = 64  # tokens per chunk of plain sums; the masked product inside is as large as the states between chunks
DECAY_CHUNK = 16  # tokens per chunk of sums with a decay per feature, whose inner product is over pairs and features


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return ``(..., tokens, dim)`` as ``(..., heads, tokens, dim / heads)``.

    Raises:
        LayerError: ``dim`` is not divisible by ``heads``, or there is no token dimension.
    """
    if x.dim() < 2 or x.shape[-1] % heads:
        raise LayerError(
            f"Attention takes (..., tokens, dim) with dim divisible by {heads} heads, got {tuple(x.shape)}."
        )
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo :func:`split_heads`."""
    return x.transpose(-3, -2).flatten(-2)


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, *, causal: bool) -> Tensor:
    """Return softmax attention (Vaswani et al. 2017): quadratic in the number of tokens."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return merge_heads(scores.softmax(-1) @ v)


def kernel_attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, eps: float) -> Tensor:
    """Return sum_j (q_i . k_j) v_j / (sum_j q_i . k_j + eps) for nonnegative features, over j <= i if causal.

    Args:
        q: features of the queries, ``(..., tokens, features)``.
        k: features of the keys, of the same shape.
        v: values, ``(..., tokens, dim)``.
        causal: whether a token attends to itself and earlier ones only.
        eps: added to the normaliser.
    """
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)  # the last column sums the weights
    sums = _causal_sum(q, k, v) if causal else q @ _sum(k, v)
    return sums[..., :-1] / (sums[..., -1:] + eps)


def taylor_attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, eps: float) -> Tensor:
    """Return attention with weights 1 + s + s^2/2 for s = q . k / sqrt(dim), by features or by pairs of tokens, whichever are fewer."""
    if k.shape[-2] > q.shape[-1] ** 2:
        return kernel_attention(taylor_features(q), taylor_features(k), v, causal=causal, eps=eps)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    weights = 1 + scores + scores.square() / 2
    weights = weights.tril() if causal else weights
    mean: Tensor = (weights @ v) / (weights.sum(-1, keepdim=True) + eps)
    return mean


def _sum(k: Tensor, v: Tensor) -> Tensor:
    """Return the sum over tokens of k_j v_j, ``(..., features, dim)``."""
    k, v = (_split_chunks(x, CHUNK) for x in (k, v))
    chunks: Tensor = k.transpose(-2, -1) @ v
    return chunks.sum(-3)


def _causal_sum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return sum over j <= i of (q_i . k_j) v_j."""
    tokens = q.shape[-2]
    q, k, v = (_split_chunks(x, CHUNK) for x in (q, k, v))
    states = k.transpose(-2, -1) @ v
    earlier = states.cumsum(-3) - states
    inside = (q @ k.transpose(-2, -1)).tril() @ v
    return (q @ earlier + inside).flatten(-3, -2).narrow(-2, 0, tokens)


def running_sum(x: Tensor) -> Tensor:
    """Return the sum of every token and all earlier ones.

    ``cumsum`` over tokens reads one feature after the other, which misses the cache from thousands of tokens on.
    """
    chunks = _split_chunks(x, CHUNK)
    inside = x.new_ones(chunks.shape[-2], chunks.shape[-2]).tril() @ chunks
    totals = inside[..., -1:, :]
    sums = inside + (totals.cumsum(-3) - totals)
    return sums.flatten(-3, -2).narrow(-2, 0, x.shape[-2])


def _split_chunks(x: Tensor, size: int) -> Tensor:
    """Return ``(..., tokens, dim)`` as ``(..., chunks, size, dim)``, with zeros after the last token."""
    size = min(size, max(1, x.shape[-2]))
    padding = -x.shape[-2] % size
    padded = torch.nn.functional.pad(x, (0, 0, 0, padding))
    return padded.reshape(*x.shape[:-2], padded.shape[-2] // size, size, x.shape[-1])


def decayed_sum(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    """Return q_i . S_i with S_i = a_i S_(i-1) + k_i v_i, where ``log_decay`` = log a_i <= 0 has one column or one per feature.

    Only differences of summed log decays within a chunk, later minus earlier, are exponentiated, so that nothing overflows.
    """
    tokens = q.shape[-2]
    if not tokens:
        return v
    q, k, v, log_decay = (_split_chunks(x, DECAY_CHUNK) for x in (q, k, v, log_decay))
    since = log_decay.cumsum(-2)  # from the start of the chunk to the token, inclusive
    until = since[..., -1:, :] - since
    pairs = since.unsqueeze(-2) - since.unsqueeze(-3)
    later = torch.ones(pairs.shape[-3:-1], dtype=torch.bool, device=q.device).triu(1).unsqueeze(-1)
    weights = pairs.masked_fill(later, float("-inf")).exp()
    if weights.shape[-1] == 1:
        scores = (q @ k.transpose(-2, -1)) * weights.squeeze(-1)
    else:
        scores = (q.unsqueeze(-2) * k.unsqueeze(-3) * weights).sum(-1)
    states = (k * until.exp()).transpose(-2, -1) @ v
    entering = _states_before(states, since[..., -1, :].exp())
    return ((q * since.exp()) @ entering + scores @ v).flatten(-3, -2).narrow(-2, 0, tokens)


def _states_before(states: Tensor, decay: Tensor) -> Tensor:
    """Return the running state at the start of every chunk, from the states the chunks add and their total decays."""
    running = torch.zeros_like(states.select(-3, 0))
    entering = []
    for state, factor in zip(states.unbind(-3), decay.unbind(-2), strict=True):
        entering.append(running)
        running = factor.unsqueeze(-1) * running + state
    return torch.stack(entering, -3)


def elu_plus_one(x: Tensor) -> Tensor:
    """Return elu(x) + 1, as e^x below zero, because ``expm1`` plus one is 0 in float32 below -17."""
    return x.relu() + x.clamp(max=0).exp()


def taylor_features(x: Tensor) -> Tensor:
    """Return features whose products are 1 + s + s^2/2 for s = q . k / sqrt(dim) (Arora et al. 2024, arXiv:2402.18668)."""
    x = x / x.shape[-1] ** 0.25
    squares = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2) / 2**0.5
    return torch.cat([torch.ones_like(x[..., :1]), x, squares], -1)


def two_sided_softmax(x: Tensor) -> Tensor:
    """Return the softmax over the features and their negatives (Zhang et al. 2024, arXiv:2402.04347)."""
    return torch.cat([x, -x], -1).softmax(-1)


def cosine_features(x: Tensor) -> Tensor:
    """Return features whose products are those of ``x`` times cos(pi/2 (i - j) / tokens) (Qin et al. 2022, arXiv:2202.08791)."""
    tokens = x.shape[-2]
    angle = (pi / 2 / max(tokens, 1)) * torch.arange(1, tokens + 1, device=x.device, dtype=x.dtype).unsqueeze(-1)
    return torch.cat([x * angle.cos(), x * angle.sin()], -1)


def retention_decay(k: Tensor) -> Tensor:
    """Return the logarithm of RetNet's decays, 1 - 2^(-5 - head), for keys ``(..., heads, tokens, dim)`` (arXiv:2307.08621)."""
    heads = torch.arange(k.shape[-3], device=k.device, dtype=k.dtype)
    decay = torch.log1p(-torch.exp2(-5 - heads)).view(-1, 1, 1)
    return decay.expand(*k.shape[:-1], 1)
