"""Distribution of the inputs of a model's layers, which outliers make hard to round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from actlab.evaluate.rounding.changed_layers import changed_inputs
from actlab.evaluate.rounding.formats import affine_int8
from actlab.evaluate.undefined_axis import UndefinedAxisError

__all__ = ["LayerInput", "layer_inputs"]

_SAMPLE: Final = 200_000  # numbers of a layer of which median and quantiles are taken
_LEVELS: Final = (0.1, 0.25, 0.4, 0.5, 0.65, 0.8, 0.9)


@dataclass(frozen=True, kw_only=True)
class LayerInput:
    """Inputs of one layer over a set of examples.

    Attributes:
        low: smallest.
        high: largest.
        kurtosis: fourth central moment over the squared variance; 3 for a normal distribution.
        max_over_median: largest magnitude over the median magnitude of those that are not zero.
        zeros: share of exact zeros.
        error: relative error of rounding to 8 bits and back: root mean square of the difference over that of the numbers.
        thresholds: magnitude below which a share of the numbers lies, by share.
    """

    low: float
    high: float
    kurtosis: float
    max_over_median: float
    zeros: float
    error: float
    thresholds: dict[float, float]

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return max(abs(self.low), abs(self.high))


def layer_inputs(model: nn.Module, inputs: Tensor) -> dict[str, LayerInput]:
    """Return the distribution of the inputs of every linear and convolutional layer, by path.

    Args:
        model: in the mode in which it is to run.
        inputs: of the model, shape (n, ...); all at once.

    Raises:
        UndefinedAxisError: a number is NaN or infinite.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> found = layer_inputs(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), torch.randn(500, 2))
        >>> found["2"].low, 0.2 < found["2"].zeros < 0.8
        (0.0, True)
    """
    seen: dict[str, list[Tensor]] = {}

    def note(path: str, x: Tensor) -> Tensor:
        seen.setdefault(path, []).append(x.detach().float().flatten())
        return x

    with torch.no_grad(), changed_inputs(model, note):
        model(inputs)
    for path, parts in seen.items():
        if not all(bool(part.isfinite().all()) for part in parts):
            raise UndefinedAxisError(f"the inputs of the layer {path} are not all finite")
    return {path: _described(torch.cat(parts)) for path, parts in seen.items()}


def _described(values: Tensor) -> LayerInput:
    low, high = float(values.min()), float(values.max())
    centred = values.double() - values.double().mean()
    variance = float(centred.square().mean())
    sample = values[:: max(1, len(values) // _SAMPLE)].abs()
    median = float(sample[sample > 0].median()) if bool((sample > 0).any()) else 0.0
    size = float(values.double().square().mean().sqrt())
    rounding = float((affine_int8(values, low, high).double() - values.double()).square().mean().sqrt())
    return LayerInput(
        low=low,
        high=high,
        kurtosis=float(centred.pow(4).mean()) / variance**2 if variance > 0 else float("nan"),
        max_over_median=max(abs(low), abs(high)) / median if median > 0 else float("nan"),
        zeros=float((values == 0).double().mean()),
        error=rounding / size if size > 0 else 0.0,
        thresholds={level: float(torch.quantile(sample, level)) for level in _LEVELS},
    )
