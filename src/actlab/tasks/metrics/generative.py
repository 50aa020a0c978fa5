"""Frechet distance (FID), precision and recall of generated samples."""

from __future__ import annotations

import torch
from torch import Tensor

from actlab.errors import TaskError

__all__ = ["frechet_distance", "precision", "recall"]

_NEIGHBOURS = 3  # of arXiv:1904.06991


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Return the Frechet distance between normal distributions of the samples' means and covariances (arXiv:1706.08500).

    It is called FID for features of a classifier: ``|m - n|^2 + tr(A + B - 2 (A B)^(1/2))``, computed in float64.

    Args:
        one: features, shape (n, k), n at least 2.
        other: features, shape (m, k), m at least 2.

    Raises:
        TaskError: the shapes do not fit.

    Example:
        >>> points = torch.tensor([[-1.0], [0.0], [1.0]])
        >>> round(frechet_distance(points, points + 2), 6), round(frechet_distance(points, 3 * points), 6)
        (4.0, 4.0)
    """
    _check_features(one, other, 2)
    a, b = one.double(), other.double()
    first, second = _covariance(a), _covariance(b)
    root = _root(first)
    between = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float((means + first.trace() + second.trace() - 2 * between).clamp(min=0))


def _covariance(points: Tensor) -> Tensor:
    size = points.shape[1]
    return torch.cov(points.mT).reshape(size, size)  # torch returns a scalar for a single feature


def _root(matrix: Tensor) -> Tensor:
    """Return the square root of a symmetric positive semidefinite matrix; eigenvalues below 0 are rounding errors."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    return root


def precision(generated: Tensor, real: Tensor, neighbours: int = _NEIGHBOURS) -> float:
    """Return the share of generated samples that lie in the manifold of the real ones (improved precision, arXiv:1904.06991).

    The manifold is the union of balls around the real samples, each with the distance to its ``neighbours``-th nearest neighbour as radius.

    Args:
        generated: features, shape (n, k).
        real: features, shape (m, k), m above ``neighbours``.
        neighbours: number of nearest neighbours.

    Raises:
        TaskError: the shapes do not fit, or there are too few samples.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
        >>> precision(torch.tensor([[1.5], [90.0]]), real)
        0.5
    """
    _check_features(generated, real, 1)
    if len(real) <= neighbours:
        raise TaskError(
            f"There are {len(real)} samples, and {neighbours} nearest neighbours of each are needed; give more samples."
        )
    radius = torch.cdist(real.double(), real.double()).kthvalue(neighbours + 1, dim=1).values  # the nearest is itself
    inside = torch.cdist(generated.double(), real.double()) <= radius
    return float(inside.any(1).double().mean())


def recall(generated: Tensor, real: Tensor, neighbours: int = _NEIGHBOURS) -> float:
    """Return the share of real samples that lie in the manifold of the generated ones (improved recall, arXiv:1904.06991).

    Args:
        generated: features, shape (n, k), n above ``neighbours``.
        real: features, shape (m, k).
        neighbours: number of nearest neighbours, as in :func:`precision`.

    Raises:
        TaskError: the shapes do not fit, or there are too few samples.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [3.0], [80.0], [81.0]])
        >>> round(recall(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), real), 3)
        0.667
    """
    return precision(real, generated, neighbours)


def _check_features(one: Tensor, other: Tensor, least: int) -> None:
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or min(len(one), len(other)) < least:
        raise TaskError(
            f"The features must have shapes (n, k) and (m, k), with at least {least} rows each; "
            f"got {tuple(one.shape)} and {tuple(other.shape)}."
        )
