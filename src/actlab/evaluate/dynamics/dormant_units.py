"""Share of dormant and of inactive units of a model's activations."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side

__all__ = ["THRESHOLD", "UnitShares", "unit_shares"]

#: Score up to which a unit is dormant; 0.025 in Sokar et al. 2023 for their nets with ReLU, 0.1 in the text of the same paper.
THRESHOLD: Final = 0.1


class UnitShares(NamedTuple):
    """Shares of units over all activations.

    Attributes:
        dormant: with a score up to the threshold.
        inactive: whose output is zero on every example.
        units: number of units.
        by_site: share of dormant units by path of the activation.
    """

    dormant: float
    inactive: float
    units: int
    by_site: dict[str, float]


class _Sizes:
    """Observer that sums the absolute outputs of each unit."""

    def __init__(self) -> None:
        self.sums: dict[Hashable, Tensor] = {}
        self.paths: dict[Hashable, str] = {}

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:  # noqa: ARG002 # the protocol has them
        if point.dim is None:
            return
        size = y.detach().abs().double()
        found = size.movedim(point.dim, -1).reshape(-1, size.shape[point.dim]).sum(0)
        self.sums[point.key] = found + self.sums.get(point.key, 0)
        self.paths[point.key] = point.path

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Ignore gradients."""


def unit_shares(
    model: nn.Module, inputs: Tensor, *, threshold: float = THRESHOLD, batch: int = 1024
) -> UnitShares | None:
    """Return the shares of dormant and of inactive units, or None for a model without activations that have units.

    The score of a unit is the mean of its absolute output over examples and places, divided by the mean of that over the units of the same
    activation. A unit of GELU or tanh is never exactly zero, so that a count of inactive units misses those that contribute nothing.

    Args:
        model: in the mode in which it is to run; without gradients.
        inputs: shape (n, ...).
        threshold: score up to which a unit is dormant.
        batch: examples at a time.

    Source: Sokar et al. 2023, The Dormant Neuron Phenomenon in Deep Reinforcement Learning (arXiv:2302.12902).

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 2), nn.GELU())
        >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [0.001]])), net[0].bias.data.zero_()
        >>> unit_shares(net, torch.linspace(0, 2, 50)[:, None])[:3]
        (0.5, 0.0, 2)
    """
    sizes = _Sizes()
    with torch.no_grad(), Hooks(model, sizes):
        for part in torch.split(inputs, batch):
            model(part)
    if not sizes.sums:
        return None
    scores = {
        key: total / total.mean() if float(total.mean()) > 0 else torch.zeros_like(total)
        for key, total in sizes.sums.items()
    }
    dormant = {key: score <= threshold for key, score in scores.items()}
    every = torch.cat(list(dormant.values()))
    inactive = torch.cat([total == 0 for total in sizes.sums.values()])
    by_site = {sizes.paths[key]: float(found.double().mean()) for key, found in dormant.items()}
    return UnitShares(float(every.double().mean()), float(inactive.double().mean()), every.numel(), by_site)
