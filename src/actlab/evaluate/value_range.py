"""Range and spread of training inputs, by the channel of images and by the entry of all else."""

from __future__ import annotations

import torch
from torch import Tensor

from actlab.evaluate.input_kind import InputKind

__all__ = ["deviation", "value_range"]


def value_range(train: Tensor, kind: InputKind) -> tuple[Tensor, Tensor]:
    """Return the smallest and largest value of each channel of images, of each entry of all else, float64, shape (1, ...).

    Entries that are never a number have the range from minus to plus infinity.

    Args:
        train: inputs, shape (n, channels, height, width), (n, height, width) or (n, ...).
        kind: of the inputs.

    Example:
        >>> low, high = value_range(torch.tensor([[1.0, 5.0], [3.0, float("nan")]]), "table")
        >>> low.tolist(), high.tolist()
        ([[1.0, 5.0]], [[3.0, 5.0]])
    """
    values = train.detach().double()
    dims = [0, *range(2 if train.ndim == 4 else 1, train.ndim)] if kind == "image" else [0]
    is_number = values.isfinite()
    low = torch.where(is_number, values, torch.inf).amin(dims, keepdim=True)
    high = torch.where(is_number, values, -torch.inf).amax(dims, keepdim=True)
    known = low <= high
    return torch.where(known, low, -torch.inf), torch.where(known, high, torch.inf)


def deviation(train: Tensor) -> Tensor:
    """Return the standard deviation of each entry over the examples where it is a number, float64, shape (1, ...); 0 where none is.

    Example:
        >>> deviation(torch.tensor([[1.0, 5.0], [3.0, float("nan")]])).tolist()
        [[1.0, 0.0]]
    """
    values = train.detach().double()
    known = torch.where(values.isfinite(), values, torch.nan)
    spread = (known - known.nanmean(0, keepdim=True)).square().nanmean(0, keepdim=True).sqrt()
    return spread.nan_to_num(0.0)
