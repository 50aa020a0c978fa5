"""Corruptions of tokens."""

from __future__ import annotations

import pytest
import torch

from actlab.evaluate.corruptions.by_kind import CORRUPTIONS
from actlab.evaluate.corruptions.corruption import Reference
from actlab.evaluate.corruptions.text_corruptions import padding_of

TEXT = CORRUPTIONS["text"]
PAD, START, LENGTH = 99, 77, 20


def padded(n: int = 200) -> torch.Tensor:
    """Rows that begin with a token of their own and end in padding; tokens rise by one from place to place."""
    made = torch.Generator().manual_seed(0)
    x = torch.arange(LENGTH).repeat(n, 1) + torch.randint(0, 30, (n, 1), generator=made)
    x[:, 0] = START
    ends = torch.randint(8, LENGTH + 1, (n, 1), generator=made)
    return torch.where(torch.arange(LENGTH) < ends, x, PAD)


@pytest.mark.parametrize("name", list(TEXT))
def test_padding_and_the_start_stay_and_no_new_token_appears(name: str) -> None:
    x = padded()
    y = TEXT[name](x, 1.0, Reference(x, "text"))
    assert torch.equal(y[:, 0], x[:, 0])
    assert set(y.flatten().tolist()) <= set(x.flatten().tolist())
    if name != "dropped":
        assert torch.equal(y == PAD, x == PAD)
    assert not torch.equal(x, y)


def test_swaps_move_a_token_by_one_place_and_lose_none() -> None:
    x = padded()
    y = TEXT["swapped"](x, 1.0, Reference(x, "text"))
    assert torch.equal(y.sort(1).values, x.sort(1).values)
    moved = (y != x) & (y != PAD)
    assert int((y - x)[moved].abs().max()) == 1


def test_dropped_tokens_leave_no_gap() -> None:
    x = padded()
    y = TEXT["dropped"](x, 1.0, Reference(x, "text"))
    left = torch.where(y == PAD, 10_000, y)
    assert bool((left[:, 1:].diff(dim=1) >= 0).all())  # the order stays, and padding is at the end
    lengths = ((y[:, 1:] != PAD).sum(1).double(), (x[:, 1:] != PAD).sum(1).double())
    assert float((lengths[0] / lengths[1]).mean()) == pytest.approx(0.7, abs=0.05)


def test_repeated_tokens_are_those_before_them_where_they_were() -> None:
    x = torch.arange(50).repeat(20, 1) + torch.arange(20)[:, None]
    y = TEXT["repeated"](x, 1.0, Reference(x, "text"))
    assert set((x - y).flatten().tolist()) == {0, 1}


def test_text_without_padding_has_none() -> None:
    made = torch.Generator().manual_seed(0)
    assert padding_of(torch.randint(0, 60, (500, 30), generator=made)) is None
    assert padding_of(torch.zeros(5, 1, dtype=torch.int64)) is None
    assert padding_of(padded()) == PAD
