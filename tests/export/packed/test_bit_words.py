"""Packing equals NumPy's, bit counts equal Python's, products equal matrix products of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actlab.export.packed.bit_words import binary_matmul, count_ones, pack_words, unpack_words

SIZES = [1, 31, 32, 33, 64, 100]


def random_bits(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5


@pytest.mark.parametrize("size", SIZES)
def test_packing_is_numpys_in_little_endian_order(size):
    bits = random_bits(3, size)

    padded = np.pad(bits.numpy(), ((0, 0), (0, -size % 32)))
    expected = np.packbits(padded, axis=1, bitorder="little").view("<i4")

    assert np.array_equal(pack_words(bits).numpy(), expected)
    assert torch.equal(unpack_words(pack_words(bits), size), bits)


def test_ones_are_counted_as_python_counts_them():
    words = torch.cat(
        [
            torch.randint(-(2**31), 2**31, (500,), generator=torch.Generator().manual_seed(0)),
            torch.tensor([0, -1, -(2**31), 2**31 - 1]),
        ]
    )

    expected = [int(word % 2**32).bit_count() for word in words.tolist()]

    assert count_ones(words.to(torch.int32)).tolist() == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_products_are_those_of_the_numbers(size, low):
    a, w = random_bits(6, size, seed=1), random_bits(4, size, seed=2)
    values, signs = torch.where(a, 1.0, low), torch.where(w, 1.0, -1.0)

    assert torch.equal(binary_matmul(pack_words(a), pack_words(w), size, low).float(), values @ signs.T)


def test_products_are_the_same_in_several_parts(monkeypatch):
    a, w = random_bits(50, 70, seed=1), random_bits(9, 70, seed=2)
    whole = binary_matmul(pack_words(a), pack_words(w), 70, -1.0)
    monkeypatch.setattr("actlab.export.packed.bit_words._MOST_WORDS", 27 * 4)

    assert torch.equal(binary_matmul(pack_words(a), pack_words(w), 70, -1.0), whole)
    assert binary_matmul(pack_words(a[:0]), pack_words(w), 70, -1.0).shape == (0, 9)
