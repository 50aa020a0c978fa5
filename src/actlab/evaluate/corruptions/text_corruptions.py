"""Corruptions of text as token or character numbers, inside the vocabulary of training.

Padding, which is the token that ends many rows more than once, and places that are the same in every training example, such as a token for
the start, are left alone.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from actlab.evaluate.corruptions.corruption import Corruption, Reference, drawn

__all__ = ["TEXT_CORRUPTIONS", "is_free", "padding_of"]

_PADDED_ROWS: Final = 0.05  # least share of rows that end in the same token twice


def padding_of(train: Tensor) -> int | None:
    """Return the token that fills up short rows, or None where there is none.

    Args:
        train: tokens, int, shape (m, length).

    Example:
        >>> padding_of(torch.tensor([[5, 3, 0, 0], [4, 0, 0, 0], [1, 2, 3, 4]]))
        0
    """
    rows = train.reshape(len(train), -1)
    if rows.shape[1] < 2:
        return None
    ends = rows[rows[:, -1] == rows[:, -2], -1]
    if len(ends) < max(2, _PADDED_ROWS * len(rows)):
        return None
    values, counts = torch.unique(ends, return_counts=True)
    most = int(counts.argmax())
    return int(values[most]) if int(counts[most]) > 0.5 * len(ends) else None


def is_free(x: Tensor, train: Tensor) -> Tensor:
    """Return which tokens may be changed, bool, shape (n, length)."""
    padding = padding_of(train)
    is_padding = torch.zeros_like(x, dtype=torch.bool)
    if padding is not None:
        is_padding = (x == padding).flip(1).cummin(1).values.flip(1)
    is_constant = (train == train[:1]).all(0, keepdim=True) if len(train) > 1 else torch.zeros_like(is_padding[:1])
    return ~is_padding & ~is_constant


def _flat(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)


def _hit(x: Tensor, share: float, reference: Reference, generator: torch.Generator) -> Tensor:
    return (drawn(x.shape, generator) < share) & is_free(x, _flat(reference.train))


def _replaced(inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    x, train = _flat(inputs), _flat(reference.train)
    known = train[is_free(train, train)]
    is_hit = _hit(x, 0.3 * severity, reference, generator)
    places = torch.randint(0, max(len(known), 1), x.shape, generator=generator)
    return (torch.where(is_hit, known[places], x) if len(known) else x).view_as(inputs)


def _swapped(inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    """Swap neighbours, one pair at a time from the left; a token moves by one place at most."""
    x = _flat(inputs)
    free = is_free(x, _flat(reference.train))
    starts = (drawn(x.shape, generator) < 0.4 * severity)[:, :-1] & free[:, :-1] & free[:, 1:]
    order = torch.arange(x.shape[1]).repeat(len(x), 1)
    taken = torch.zeros(len(x), dtype=torch.bool)
    for place in range(x.shape[1] - 1):
        taken = starts[:, place] & ~taken
        order[:, place] += taken
        order[:, place + 1] -= taken.long()
    return x.gather(1, order).view_as(inputs)


def _repeated(inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    x = _flat(inputs)
    is_hit = _hit(x, 0.3 * severity, reference, generator)
    before = torch.cat((x[:, :1], x[:, :-1]), dim=1)
    return torch.where(is_hit, before, x).view_as(inputs)


def _dropped(inputs: Tensor, severity: float, reference: Reference, generator: torch.Generator) -> Tensor:
    """Take tokens out, close the gap and fill up with padding; with the last token of the row where there is no padding."""
    x = _flat(inputs)
    is_lost = _hit(x, 0.3 * severity, reference, generator)
    order = is_lost.long().argsort(dim=1, stable=True)
    padding = padding_of(_flat(reference.train))
    left = x.shape[1] - is_lost.sum(1, keepdim=True)
    closed = x.gather(1, order)
    last = closed.gather(1, (left - 1).clamp_min(0)) if padding is None else torch.full_like(x[:, :1], padding)
    return torch.where(torch.arange(x.shape[1]) < left, closed, last).view_as(inputs)


_CORRUPTIONS: Final = (
    Corruption(name="replaced", corrupt=_replaced, description="30 % of the tokens are random ones of training"),
    Corruption(
        name="swapped", corrupt=_swapped, description="up to 40 % of the tokens change places with the next", moves=True
    ),
    Corruption(name="repeated", corrupt=_repeated, description="30 % of the tokens are the ones before them"),
    Corruption(name="dropped", corrupt=_dropped, description="30 % of the tokens are left out", moves=True),
)
#: By name.
TEXT_CORRUPTIONS: Final = {corruption.name: corruption for corruption in _CORRUPTIONS}
