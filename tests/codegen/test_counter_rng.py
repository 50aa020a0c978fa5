"""Distribution, independence and reproducibility of counter-based random numbers."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from actlab.codegen.counter_rng import draw_key, normal, permutation, uniform

N = 1 << 18
KEYS = [(0, 0), (1, 0), (0, 1), (-1, -1), (123456, -98765), (2**31 - 1, -(2**31))]


def key(a: int, b: int) -> torch.Tensor:
    return torch.tensor([a, b], dtype=torch.int32)


@pytest.mark.parametrize("pair", KEYS)
def test_it_is_uniform(pair):
    u = uniform(key(*pair), (N,)).double().numpy()

    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert u.min() > 0
    assert u.max() < 1
    bits = (u * 2**23).astype(int)
    for bit in range(23):
        ones = int(((bits >> bit) & 1).sum())
        assert abs(ones - N / 2) < 5 * (N**0.5) / 2, bit


def test_neighbours_rows_and_neighbouring_keys_are_not_related():
    base = uniform(key(7, 8), (N,)).double() - 0.5
    others = [
        base.roll(1),
        base.roll(2),
        base.roll(512),
        uniform(key(8, 8), (N,)).double() - 0.5,
        uniform(key(7, 9), (N,)).double() - 0.5,
        uniform(key(8, 7), (N,)).double() - 0.5,
    ]
    for other in others:
        assert abs(float((base * other).mean()) * 12) < 5 / N**0.5


def test_pairs_fill_the_square():
    u = uniform(key(3, 4), (N, 2))
    cells = ((u[:, 0] * 32).long() * 32 + (u[:, 1] * 32).long()).bincount(minlength=1024).double()

    assert stats.chisquare(cells.numpy()).pvalue > 1e-4


def test_it_depends_on_the_place_and_not_on_the_shape():
    assert torch.equal(uniform(key(1, 2), (6,)), uniform(key(1, 2), (2, 3)).reshape(-1))
    assert torch.equal(uniform(key(1, 2), (6,)), uniform(key(1, 2), (60,))[:6])
    assert uniform(key(1, 2), ()).shape == ()


def test_it_is_normal():
    assert stats.kstest(normal(key(5, 6), (N,)).double().numpy(), "norm").pvalue > 1e-4


def test_a_permutation_deals_out_every_place():
    order = permutation(key(1, 1), 1000)

    assert sorted(order.tolist()) == list(range(1000))
    assert not torch.equal(order, permutation(key(1, 2), 1000))


def test_keys_come_from_the_generator_and_differ():
    torch.manual_seed(3)
    first = [draw_key() for _ in range(100)]
    torch.manual_seed(3)
    again = [draw_key() for _ in range(100)]

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({tuple(k.tolist()) for k in first}) == 100
