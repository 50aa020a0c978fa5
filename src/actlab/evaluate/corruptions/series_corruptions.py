"""Corruptions of series, along the longest of their dimensions as time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor

from actlab.evaluate.corruptions.corruption import Corruption, Reference, drawn

__all__ = ["SERIES_CORRUPTIONS"]

#: Function of series, shape (n, time, rest), of a severity, the spread by channel, shape (1, 1, rest), and a generator.
_Change: TypeAlias = Callable[[Tensor, float, Tensor, torch.Generator], Tensor]


class _AlongTime:
    """A change of series of shape (n, time, rest) as one of inputs of any shape and dtype."""

    def __init__(self, change: _Change) -> None:
        self.change = change

    def __call__(self, inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
        x, train = _by_time(inputs).double(), _by_time(reference.train).double()
        spread = train.std((0, 1), keepdim=True, correction=0).nan_to_num(0.0)
        changed = self.change(x, severity, spread, generator)
        changed = torch.where(x.isfinite(), changed, x)
        found = _as_before(changed, inputs)
        return found if inputs.is_floating_point() else found.round()


def _by_time(x: Tensor) -> Tensor:
    """Return inputs with time second and all other dimensions last, shape (n, time, rest)."""
    if x.ndim == 1:
        return x[:, None, None]
    return x.movedim(_time_of(x), 1).flatten(2) if x.ndim > 2 else x[:, :, None]


def _time_of(x: Tensor) -> int:
    return max(range(1, x.ndim), key=lambda dim: (x.shape[dim], dim))


def _as_before(x: Tensor, like: Tensor) -> Tensor:
    if like.ndim <= 2:
        return x.reshape(like.shape)
    time = _time_of(like)
    moved = like.movedim(time, 1).shape
    return x.reshape(moved).movedim(1, time)


def _noise(x: Tensor, severity: float, spread: Tensor, generator: torch.Generator) -> Tensor:
    return x + severity * spread * torch.randn(x.shape, generator=generator).double()


def _dropped(x: Tensor, severity: float, _spread: Tensor, generator: torch.Generator) -> Tensor:
    is_lost = drawn(x.shape[:2], generator) < 0.7 * severity
    return _held(x, is_lost)


def _gap(x: Tensor, severity: float, _spread: Tensor, generator: torch.Generator) -> Tensor:
    n, time = x.shape[:2]
    centre = drawn((n, 1), generator) * time
    return _held(x, (torch.arange(time) - centre).abs() <= 0.25 * severity * time)


def _held(x: Tensor, is_lost: Tensor) -> Tensor:
    """Return series whose lost places, shape (n, time), have the last value before them; the first place is never lost."""
    places = torch.arange(x.shape[1]).expand(x.shape[:2])
    last = torch.where(is_lost & (places > 0), 0, places).cummax(1).values
    return x.gather(1, last[:, :, None].expand_as(x))


def _scaling(x: Tensor, severity: float, _spread: Tensor, generator: torch.Generator) -> Tensor:
    side = torch.where(drawn((len(x), 1, 1), generator) < 0.5, -1.0, 1.0).double()
    return x * 2 ** (severity * side)


def _drift(x: Tensor, severity: float, spread: Tensor, generator: torch.Generator) -> Tensor:
    side = torch.where(drawn((len(x), 1, x.shape[2]), generator) < 0.5, -1.0, 1.0).double()
    return x + 2 * severity * spread * side * torch.linspace(0, 1, x.shape[1]).double()[None, :, None]


def _spikes(x: Tensor, severity: float, spread: Tensor, generator: torch.Generator) -> Tensor:
    is_hit = drawn(x.shape, generator) < 0.1 * severity
    side = torch.where(drawn(x.shape, generator) < 0.5, -1.0, 1.0).double()
    return torch.where(is_hit, x + 5 * spread * side, x)


def _delay(x: Tensor, severity: float, _spread: Tensor, _: torch.Generator) -> Tensor:
    late = round(0.2 * severity * x.shape[1])
    return x[:, (torch.arange(x.shape[1]) - late).clamp_min(0)]


def _smoothing(x: Tensor, severity: float, _spread: Tensor, _: torch.Generator) -> Tensor:
    reach = 0.1 * severity * x.shape[1]
    ends = torch.arange(-int(reach) - 1, int(reach) + 2)
    weights = (reach + 1 - ends.abs()).clamp(0, 1).double()
    places = torch.arange(x.shape[1])
    parts = [weight * x[:, (places + end).clamp(0, x.shape[1] - 1)] for end, weight in zip(ends, weights, strict=True)]
    return torch.stack(parts).sum(0) / weights.sum()


def _series(name: str, description: str, change: _Change) -> Corruption:
    return Corruption(name=name, corrupt=_AlongTime(change), description=description)


_CORRUPTIONS: Final = (
    _series("noise", "normal noise of one standard deviation of each channel", _noise),
    _series("dropped samples", "70 % of the places hold the last value before them", _dropped),
    _series("gap", "half of the series holds the last value before it", _gap),
    _series("scaling", "each series is halved or doubled", _scaling),
    _series("drift", "a line from 0 to two standard deviations is added or taken away", _drift),
    _series("spikes", "five standard deviations at a tenth of the places", _spikes),
    _series("delay", "by a fifth of the series", _delay),
    _series("smoothing", "mean over a fifth of the series", _smoothing),
)
#: By name.
SERIES_CORRUPTIONS: Final = {corruption.name: corruption for corruption in _CORRUPTIONS}
