"""Group-wise tensor operations, such as winner-take-all, k-winners, channel halves and spikes."""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

from actlab.errors import LayerError

__all__ = [
    "excess_over_quantile",
    "group_winners",
    "halves",
    "hardmax",
    "k_winners",
    "larger_then_smaller",
    "merge_groups",
    "reflect_halves",
    "spikes",
    "split_groups",
]


def split_groups(x: Tensor, size: int, dim: int) -> Tensor:
    """Return ``x`` with dimension ``dim`` split into groups of ``size`` neighbours; the elements of a group are the last dimension.

    Raises:
        LayerError: the dimension is not divisible by ``size``.
    """
    if x.shape[dim] % size:
        raise LayerError(f"Dimension {dim} has {x.shape[dim]} elements, which is not divisible into groups of {size}.")
    groups: Tensor = torch.unflatten(x, dim, (x.shape[dim] // size, size))
    return groups.movedim(dim if dim < 0 else dim + 1, -1)


def merge_groups(x: Tensor, dim: int) -> Tensor:
    """Undo :func:`split_groups`."""
    after = x.movedim(-1, dim if dim < 0 else dim + 1)
    return after.flatten(dim - 1, dim) if dim < 0 else after.flatten(dim, dim + 1)


def hardmax(x: Tensor, dim: int) -> Tensor:
    """Return 1 at the first largest element along ``dim``, else 0; the gradient is zero."""
    chosen = torch.zeros_like(x).scatter(dim, x.argmax(dim, keepdim=True), 1.0)
    return chosen + x.sign() * 0.0  # keeps the output in the graph, with gradient zero


def group_winners(x: Tensor, size: int, dim: int) -> Tensor:
    """Return ``x`` with all but the first largest element of every group set to zero."""
    groups = split_groups(x, size, dim)
    return merge_groups(groups * hardmax(groups, -1).detach(), dim)


def k_winners(x: Tensor, count: int, dim: int) -> Tensor:
    """Return ``x`` with all but the ``count`` largest elements along ``dim``, and those tied with them, set to zero."""
    least = x.topk(count, dim).values.amin(dim, keepdim=True)
    return torch.where(x >= least, x, 0.0)


def halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the two halves of a dimension.

    Raises:
        LayerError: it has an odd number of elements.
    """
    if x.shape[dim] % 2:
        raise LayerError(f"Dimension {dim} has {x.shape[dim]} elements; an even number is needed to halve it.")
    first, second = x.chunk(2, dim)
    return first, second


def larger_then_smaller(x: Tensor, dim: int) -> Tensor:
    """Return the larger elements of the two halves, then the smaller ones."""
    a, b = halves(x, dim)
    return torch.cat([a.maximum(b), a.minimum(b)], dim)


def reflect_halves(x: Tensor, theta: Tensor | float, dim: int) -> Tensor:
    """Return the halves of ``x`` as points of a plane, mirrored where they lie on one side of the line at angle ``theta / 2``.

    Source: Singla, Singla & Feizi 2021 (arXiv:2108.04062), order 1.
    """
    a, b = halves(x, dim)
    angle = x.new_zeros(()) + theta
    cos, sin = angle.cos(), angle.sin()
    unchanged = a * (angle / 2).sin() <= b * (angle / 2).cos()
    return torch.cat([torch.where(unchanged, a, a * cos + b * sin), torch.where(unchanged, b, a * sin - b * cos)], dim)


def excess_over_quantile(x: Tensor, share: Tensor | float, dim: int) -> Tensor:
    """Return what exceeds the ``share`` quantile of a normal distribution with the mean and deviation of ``x`` along ``dim``."""
    variance = (x - x.mean(dim, keepdim=True)).square().mean(dim, keepdim=True)
    deviation = torch.where(variance > 0, variance, 1.0).sqrt() * (variance > 0)  # the slope of a root at 0 is infinite
    deviations: Tensor | float = (
        NormalDist().inv_cdf(share)  # a number of the file: ONNX has no such function
        if isinstance(share, float) and torch.compiler.is_exporting()
        else torch.special.ndtri(x.new_zeros(()) + share)
    )
    excess: Tensor = x - x.mean(dim, keepdim=True) - deviations * deviation
    return excess.relu()


def spikes(x: Tensor, beta: Tensor | float, threshold: Tensor | float, dim: int) -> Tensor:
    """Return the spikes (0 or 1) of leaky integrate-and-fire neurons over time, dimension ``dim``; a spike subtracts the threshold."""
    if not x.shape[dim]:
        return x.clone()
    voltage = spike = torch.zeros_like(x.select(dim, 0))
    fired = []
    for current in x.unbind(dim):
        voltage = beta * voltage + current - spike * threshold
        spike = (voltage - threshold).relu().sign()  # 1 above the threshold; its slope is zero
        fired.append(spike)
    return torch.stack(fired, dim)
