"""Distance of features to those of the training examples that are nearest in direction."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["neighbour_distance"]

_NEIGHBOURS: Final = 10
_BLOCK: Final = 2_048  # rows at a time, so that distances to 2,000 examples take 33 MB


def neighbour_distance(features: Tensor, reference: Tensor, *, neighbours: int = _NEIGHBOURS) -> Tensor:
    """Return the distance of each row to its k-th nearest row of a reference, both scaled to length 1, float64, shape (n,).

    Args:
        features: shape (n, d).
        reference: features of training examples, shape (m, d).
        neighbours: k; at most m.

    Source: Sun et al. 2022, Out-of-Distribution Detection with Deep Nearest Neighbors (arXiv:2204.06507).

    Example:
        >>> reference = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> neighbour_distance(torch.tensor([[5.0, 0.0]]), reference, neighbours=2)
        tensor([0.], dtype=torch.float64)
    """
    own, other = (functional.normalize(part.double(), dim=1) for part in (features, reference))
    k = min(neighbours, len(other))
    # Of vectors of length 1, the nearest have the largest product, and a product of matrices has no array of all differences.
    parts = [(block @ other.T).topk(k, dim=1).values[:, -1] for block in torch.split(own, _BLOCK)]
    return (2 - 2 * torch.cat(parts)).clamp_min(0).sqrt()
