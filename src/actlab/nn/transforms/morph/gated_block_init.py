"""Initialize a gated MLP block to approximate the ungated block it replaces.

At equal parameters a gated block has about two thirds of the hidden units. Its value branch starts as the constant 1 (weights 0, bias 1),
so that each unit is the gate's function of one number. The gate's rows are those of the most informative units, found by a QR decomposition
with pivoting of the old hidden values, weighted by the next layer. The rows are multiplied by the factor k at which the gate's function
comes nearest to the old one (silu(4z)/4 is nearer to relu than silu). The next layer gets the weights that reproduce its old sums best, by
least squares with an intercept on calibration data.

Selecting units and letting the next layer reconstruct the others is a pruning method: Luo et al. 2017 (ThiNet, arXiv:1707.06342).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from scipy.linalg import qr
from torch import Tensor, nn

__all__ = ["GatedBlockInit", "init_gated_block_"]

# Factors of the gate's rows that are tried; silu(1.702 z) / 1.702 is GELU to 0.02.
_STRETCHES: Final = (0.5, 0.7, 1.0, 1.4, 1.702, 2.0, 2.8, 4.0, 5.6, 8.0)
# Ridge penalty, relative to the mean variance of a unit: keeps the weights small where units are collinear.
_RIDGE: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class GatedBlockInit:
    """How well a gated block reproduces the block it replaces, before any training.

    Attributes:
        units: hidden units before.
        kept: hidden units of the gated block.
        stretch: factor of the gate's rows.
        explained: share of the variance of the next layer's sums that the gated block reproduces on the calibration data.

    Example:
        >>> GatedBlockInit(units=12, kept=8, stretch=4.0, explained=0.98).kept
        8
    """

    units: int
    kept: int
    stretch: float
    explained: float


@torch.no_grad()
def init_gated_block_(
    *,
    old: tuple[nn.Linear, nn.Linear],
    new: tuple[nn.Linear, nn.Linear],
    function: Callable[[Tensor], Tensor],
    sums: Tensor,
    values: Tensor,
) -> GatedBlockInit:
    """Set the weights of the two layers of a gated block; value and gate are packed in this order.

    Args:
        old: the layer with weights ``(units, inputs)`` that fed the old function, and the layer ``(outputs, units)`` that consumed its
            output.
        new: the layer ``(2 width, inputs)`` that computes value and gate, with a bias; and the layer ``(outputs, width)`` that consumes the
            gated values.
        function: the gated function of its gate, with the value fixed at 1.
        sums: inputs of the old function over calibration data, shape (n, units).
        values: its outputs, the same shape.

    Returns:
        How well the block fits.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> old, new = (nn.Linear(4, 12), nn.Linear(12, 2)), (nn.Linear(4, 16), nn.Linear(8, 2))
        >>> z = old[0](torch.randn(500, 4))
        >>> fit = init_gated_block_(old=old, new=new, function=torch.relu, sums=z, values=z.relu())
        >>> fit.kept, fit.explained > 0.9
        (8, True)
    """
    (before, after), (new_before, new_after) = old, new
    width = new_after.in_features
    z, a = sums.double(), values.double()
    outgoing = after.weight.double()
    chosen = _informative_units(a, outgoing, width)
    stretch = min(_STRETCHES, key=lambda k: _residual(function(k * z[:, chosen]), a[:, chosen]))
    features = function(stretch * z[:, chosen])
    mixing, shift = _least_squares(features, a, intercept=after.bias is not None)
    _set_gate(before, new_before, chosen, stretch)
    new_after.weight.copy_(outgoing @ mixing)
    if after.bias is not None and new_after.bias is not None:
        new_after.bias.copy_(after.bias.double() + outgoing @ shift)
    error = (a - features @ mixing.T - shift) @ outgoing.T
    total = (a - a.mean(0)) @ outgoing.T
    explained = 1 - float(error.square().sum() / total.square().sum().clamp_min(1e-300))
    return GatedBlockInit(units=a.shape[1], kept=width, stretch=stretch, explained=explained)


def _informative_units(a: Tensor, outgoing: Tensor, width: int) -> Tensor:
    """Return the units that determine the others best: the first pivots of a QR decomposition, in ascending order."""
    weighted = (a - a.mean(0)) * outgoing.norm(dim=0)
    order = qr(weighted.cpu().numpy(), mode="r", pivoting=True)[1]
    return torch.as_tensor(order[:width].copy(), device=a.device).sort().values


def _residual(features: Tensor, a: Tensor) -> float:
    """Return the squared error of the best line from each unit's feature to its old value, summed over units."""
    f, y = features - features.mean(0), a - a.mean(0)
    slope = (f * y).sum(0) / f.square().sum(0).clamp_min(1e-300)
    return float((y - slope * f).square().sum())


def _least_squares(features: Tensor, a: Tensor, *, intercept: bool) -> tuple[Tensor, Tensor]:
    """Return the matrix (units, width) and the shift (units,) that reproduce the old values from the features."""
    f_mean = features.mean(0) if intercept else torch.zeros_like(features[0])
    a_mean = a.mean(0) if intercept else torch.zeros_like(a[0])
    f, y = features - f_mean, a - a_mean
    gram = f.T @ f
    ridge = _RIDGE * gram.diagonal().mean().clamp_min(1e-12)
    mixing = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), f.T @ y).T
    return mixing, a_mean - mixing @ f_mean


def _set_gate(before: nn.Linear, new_before: nn.Linear, chosen: Tensor, stretch: float) -> None:
    width = len(chosen)
    new_before.weight[:width].zero_()
    new_before.bias[:width].fill_(1.0)
    new_before.weight[width:].copy_(stretch * before.weight[chosen])
    new_before.bias[width:].copy_(stretch * before.bias[chosen])
