"""Corruptions of tables, with features that keep to the values that they have."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from actlab.evaluate.corruptions.corruption import Corrupt, Corruption, Reference, drawn
from actlab.evaluate.value_range import value_range

__all__ = ["TABLE_CORRUPTIONS", "is_category"]


def is_category(train: Tensor) -> Tensor:
    """Return which features have at most two values in training, such as flags and one-hot columns, bool, shape (1, ...).

    Example:
        >>> is_category(torch.tensor([[0.0, 0.1], [1.0, 0.2], [1.0, 0.3]])).tolist()
        [[True, False]]
    """
    low, high = value_range(train, "table")
    return ((train == low) | (train == high) | train.isnan()).all(0, keepdim=True)


def _other_rows(x: Tensor, reference: Reference, generator: torch.Generator) -> Tensor:
    """Return for every value that of a random training example, shape (n, ...)."""
    rows = torch.randint(0, len(reference.train), x.shape, generator=generator)
    return reference.train.gather(0, rows).to(x.dtype)


def _hit(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    return drawn(x.shape, generator) < share


def _kept(corrupt: Corrupt) -> Corrupt:
    """Return a corruption of numbers that leaves features of two values alone, missing values missing, and no feature out of its range."""

    def kept(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
        low, high = reference.range
        changed = corrupt(x.double(), severity, reference, generator)
        changed = changed.maximum(low.minimum(x.double())).minimum(high.maximum(x.double()))
        changed = torch.where(is_category(reference.train) | ~x.isfinite(), x.double(), changed)
        return changed if x.is_floating_point() else changed.round()

    return kept


def _noise(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    return x + severity * reference.spread * torch.randn(x.shape, generator=generator).double()


def _noise_or_other(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    """Add noise to numbers; a flag is that of another example with a probability."""
    is_flag = is_category(reference.train) & _hit(x, 0.5 * severity, generator)
    return torch.where(
        is_flag, _other_rows(x, reference, generator), _kept(_noise)(x, severity, reference, generator).to(x.dtype)
    )


def _missing(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    train = reference.train.double()
    knows_missing = bool(train.isnan().any())
    filled = torch.full_like(train[:1], torch.nan) if knows_missing else train.median(0, keepdim=True).values
    return torch.where(_hit(x, 0.5 * severity, generator), filled.to(x.dtype), x)


def _other(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    return torch.where(_hit(x, 0.5 * severity, generator), _other_rows(x, reference, generator), x)


def _extreme(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    low, high = (end.to(x.dtype) for end in reference.range)
    is_hit = _hit(x, 0.2 * severity, generator) & x.isfinite()
    return torch.where(is_hit, torch.where(_hit(x, 0.5, generator), low, high), x)


def _drift(x: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    side = torch.where(drawn(x[:1].shape, generator) < 0.5, -1.0, 1.0).double()
    return x + severity * side * reference.spread


def _rounding(x: Tensor, severity: float, reference: Reference, _: torch.Generator) -> Tensor:
    step = 2 * severity * reference.spread
    return torch.where(step > 0, (x / step.clamp_min(1e-300)).round() * step, x)


_CORRUPTIONS: Final = (
    Corruption(
        name="noise",
        corrupt=_noise_or_other,
        description="normal noise of one standard deviation of each feature; half of the flags are those of other examples",
    ),
    Corruption(
        name="missing values",
        corrupt=_missing,
        description="half of the values are the median of training, or missing where training has missing values",
    ),
    Corruption(
        name="values of others", corrupt=_other, description="half of the values are those of training examples"
    ),
    Corruption(
        name="extreme values",
        corrupt=_extreme,
        description="a fifth of the values are the smallest or largest of training",
    ),
    Corruption(
        name="drift",
        corrupt=_kept(_drift),
        description="every feature moves by one standard deviation, each to one side",
    ),
    Corruption(name="rounding", corrupt=_kept(_rounding), description="to multiples of two standard deviations"),
)
#: By name.
TABLE_CORRUPTIONS: Final = {corruption.name: corruption for corruption in _CORRUPTIONS}
