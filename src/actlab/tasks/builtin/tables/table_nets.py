"""Nets for tables, from an MLP to attention over features of quadratic and linear cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FeatureAttention", "GatedMLP", "mlp"]


def mlp(features: int, classes: int, *, width: int = 64, dropout: float = 0.5, missing: float = 0.2) -> nn.Sequential:
    """Return a net with two hidden layers, of which a share ``dropout`` is left out in training, and a share ``missing`` of the features.

    Example:
        >>> mlp(5, 2)(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """
    return nn.Sequential(
        nn.Dropout(missing),
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, classes),
    )


class _GatedBlock(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.value, self.gate = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)
        self.back = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(x)
        return x + self.back(self.dropout(self.activation(self.gate(inner)) * self.value(inner)))  # type: ignore[no-any-return]


class GatedMLP(nn.Module):
    """MLP of two residual blocks whose hidden layer is a product with an activation of a second linear map (arXiv:2002.05202).

    Example:
        >>> GatedMLP(5, 2)(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """

    def __init__(self, features: int, classes: int, *, width: int = 48, hidden: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Dropout(0.2), nn.Linear(features, width))
        self.blocks = nn.Sequential(*(_GatedBlock(width, hidden, dropout) for _ in range(2)))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, features), to logits, shape (n, classes)."""
        return self.last(self.blocks(self.first(x)))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Multi-head attention; linear ones cost tokens x width^2 (arXiv:1812.01243), others tokens^2 x width."""

    def __init__(self, width: int, heads: int, *, is_linear: bool) -> None:
        super().__init__()
        self.heads, self.is_linear = heads, is_linear
        self.joint, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        query, key, value = self.joint(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.is_linear:
            query, key = query.softmax(-1), key.softmax(-2)
            mixed = query @ (key.transpose(-1, -2) @ value)
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.back(mixed.transpose(1, 2).reshape(n, tokens, width))  # type: ignore[no-any-return]


class _AttentionBlock(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float, *, is_linear: bool) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), _Attention(width, heads, is_linear=is_linear))
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.feed_forward(x)  # type: ignore[no-any-return]


class FeatureAttention(nn.Module):
    """Transformer whose tokens are the features of a row, as FT-Transformer (arXiv:2106.11959), with the mean of the tokens at its end.

    Args:
        features: number of numeric features.
        classes: number of outputs.
        width: of a token.
        heads: of the attention.
        dropout: in the feed-forward layers.
        is_linear: whether the cost of attention grows with the number of features and not with its square: softmax over the parts of a
            query and over the tokens of a key (arXiv:1812.01243).

    Example:
        >>> FeatureAttention(5, 2, is_linear=True)(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, features: int, classes: int, *, width: int = 16, heads: int = 2, dropout: float = 0.1, is_linear: bool
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(features, width) / width**0.5)
        self.shift = nn.Parameter(torch.randn(features, width) / width**0.5)
        self.blocks = nn.Sequential(*(_AttentionBlock(width, heads, dropout, is_linear=is_linear) for _ in range(2)))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, features), to logits, shape (n, classes)."""
        return self.last(self.blocks(x[:, :, None] * self.scale + self.shift).mean(1))  # type: ignore[no-any-return]
