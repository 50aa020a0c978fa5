"""Levels: tensors that take a few values, kept as small whole numbers, and gradients multiplied by them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log2
from typing import cast

import torch
from torch import Tensor

from actlab.models.bits import pack, unpack

__all__ = ["keep_levels", "times_levels"]


def keep_levels(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Return which of the levels each value is nearest to, packed: ``ceil(log2 n)`` bits each.

    Args:
        values: floating tensor of any shape.
        levels: ascending.

    Example:
        >>> kept = keep_levels(torch.tensor([1.0, 0.1, 1.0]), (0.1, 1.0))
        >>> times_levels(torch.tensor([2.0, 2.0, 4.0]), kept, (0.1, 1.0))
        tensor([2.0000, 0.2000, 4.0000])
    """
    above = [values > (low + high) / 2 for low, high in pairwise(levels)]
    codes = above[0] if len(above) == 1 else sum(above, torch.zeros_like(values, dtype=torch.uint8))
    return pack(codes, ceil(log2(len(levels))))


def times_levels(grad: Tensor, packed: Tensor, levels: Sequence[float]) -> Tensor:
    """Return a gradient times the level of each element; times level 0 it is 0, be it infinite.

    Args:
        grad: in the shape of the values that were kept.
        packed: from :func:`keep_levels`.
        levels: the same as there.
    """
    codes = unpack(packed, ceil(log2(len(levels))), grad.shape)
    made = scaled(grad, levels[0])
    for number, level in enumerate(levels[1:], start=1):
        made = torch.where(codes if len(levels) == 2 else codes == number, scaled(grad, level), made)
    return cast("Tensor", made)


def scaled(grad: Tensor, level: float) -> Tensor | float:
    """Return a gradient times one level."""
    if level == 0.0:
        return 0.0
    return grad if level == 1.0 else grad * level
