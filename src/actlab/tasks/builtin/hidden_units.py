"""Numbers of the hidden units of a chain of layers (dead, stuck and dormant shares, mean, variance)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from actlab.nn.probes.probe import probe

__all__ = ["DORMANT", "hidden_units"]

#: Score up to which a unit is dormant, as in the axis "dynamics".
DORMANT: Final = 0.1
_NOT_HIDDEN: Final = (nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.AlphaDropout, nn.Flatten)


def hidden_units(model: nn.Sequential, inputs: Tensor) -> dict[str, float]:
    """Return numbers of the hidden units over all inputs, in eval mode; the model is left unchanged.

    Args:
        model: layers with weights and activations in turn, with norms and dropout where wanted.
        inputs: all examples, shape (n, features).

    Returns:
        By name, as shares of the hidden units: ``dead``, whose output and slope are zero on every example; ``stuck``, which are dead, or
        on a flat end of the function for 95 % of the examples (both as in :mod:`actlab.nn.probes.unit_states`); ``dormant``, whose mean
        size is at most 0.1 of that of their layer (arXiv:2302.12902).

        ``mean`` and ``variance`` of the outputs of a layer, as means over the layers; ``farthest mean``, the largest size of the mean of
        a layer; ``offset``, the mean over the units of the size of their mean, relative to the root mean square of their layer: 1 for
        units that are constant, 0 for units with mean 0.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> with torch.no_grad():
        ...     _ = net[0].weight.fill_(1.0), net[0].bias.copy_(torch.tensor([0.0, -9.0]))
        >>> numbers = hidden_units(net, torch.linspace(-1, 1, 50)[:, None])
        >>> numbers["dead"], numbers["stuck"], numbers["dormant"]
        (0.5, 0.5, 0.5)
    """
    was_training = model.training
    try:
        rows = [row for row in probe(model.eval(), [inputs], rank=False) if row.units]
        outputs = _outputs(model, inputs)
    finally:
        model.train(was_training)
    units = sum(row.units for row in rows)
    means = torch.stack([each.mean() for each in outputs])
    return {
        "dead": sum(row.dead * row.units for row in rows) / units,
        "stuck": sum((row.dead + row.stuck) * row.units for row in rows) / units,
        "dormant": float(torch.cat([_scores(each) <= DORMANT for each in outputs]).double().mean()),
        "mean": float(means.mean()),
        "farthest mean": float(means.abs().max()),
        "variance": float(torch.stack([each.var() for each in outputs]).mean()),
        "offset": float(torch.cat([_offsets(each) for each in outputs]).mean()),
    }


@torch.no_grad()
def _outputs(model: nn.Sequential, inputs: Tensor) -> list[Tensor]:
    """Return the outputs of every activation, float64, shape (n, units)."""
    found, signal = list[Tensor](), inputs
    for layer in model:
        signal = layer(signal)
        if not isinstance(layer, _NOT_HIDDEN):
            found.append(signal.double())
    return found


def _scores(outputs: Tensor) -> Tensor:
    """Return the mean size of each unit over that of the layer, shape (units,); 0 where the whole layer is 0."""
    size = outputs.abs().mean(0)
    return size / size.mean().clamp_min(torch.finfo(size.dtype).tiny)


def _offsets(outputs: Tensor) -> Tensor:
    return outputs.mean(0).abs() / outputs.square().mean().sqrt().clamp_min(torch.finfo(outputs.dtype).tiny)
