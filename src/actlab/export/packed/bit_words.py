"""The word: 32 bits of a binary vector, lowest first, and the products of such vectors by exclusive or and counting ones."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WORD", "ones", "pack_words", "product", "unpack_words"]

WORD = 32
_ROWS = 2**22  # words that a product makes at a time: 16 MiB


def pack_words(bits: Tensor) -> Tensor:
    """Pack the last dimension: bit i of word j is element 32 j + i, and what is missing in the last word is zero.

    Args:
        bits: bool, shape (..., n).

    Returns:
        int32, shape (..., ceil(n / 32)); the sign bit is element 31.

    Example:
        >>> pack_words(torch.tensor([True, False, True]))
        tensor([5], dtype=torch.int32)
    """
    padded = torch.nn.functional.pad(bits, (0, -bits.shape[-1] % WORD))
    places = torch.arange(WORD, device=bits.device)
    by_word = padded.reshape(*padded.shape[:-1], padded.shape[-1] // WORD, WORD)
    sums = (by_word.long() << places).sum(-1)
    return torch.where(sums >= 2**31, sums - 2**32, sums).to(torch.int32)


def unpack_words(words: Tensor, size: int) -> Tensor:
    """Return the bits, bool, shape (..., size).

    Example:
        >>> unpack_words(torch.tensor([5], dtype=torch.int32), 3)
        tensor([ True, False,  True])
    """
    places = torch.arange(WORD, device=words.device, dtype=torch.int32)
    return ((words[..., None] >> places) & 1).bool().flatten(-2)[..., :size]


def ones(words: Tensor) -> Tensor:
    """Count the ones of each word, int32, by adding neighbours: pairs, nibbles, bytes.

    Example:
        >>> ones(torch.tensor([5, -1, 0], dtype=torch.int32))
        tensor([ 2, 32,  0], dtype=torch.int32)
    """
    pairs = words - ((words >> 1) & 0x55555555)
    nibbles = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    return (((nibbles + (nibbles >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24


def product(inputs: Tensor, weights: Tensor, size: int, low: float) -> Tensor:
    """Multiply packed vectors by packed signs.

    For inputs of -1 and 1 that is ``size - 2 ones(a xor w)``: where bits agree the product is 1. For inputs of 0 and 1 it is
    ``2 ones(a and w) - ones(a)``.

    Args:
        inputs: int32, shape (n, words).
        weights: int32, shape (m, words); bit 1 is weight 1, bit 0 is weight -1.
        size: number of elements of each vector.
        low: what a zero bit of the inputs means, -1 or 0.

    Returns:
        int32, shape (n, m).

    Example:
        >>> a, w = pack_words(torch.tensor([[True, False, True]])), pack_words(torch.tensor([[True, True, False]]))
        >>> product(a, w, 3, -1.0), product(a, w, 3, 0.0)
        (tensor([[-1]], dtype=torch.int32), tensor([[0]], dtype=torch.int32))
    """
    rows = max(1, _ROWS // max(1, weights.numel()))
    parts = [_product(part, weights, size, low) for part in torch.split(inputs, rows)]
    return torch.cat(parts) if parts else torch.zeros(0, len(weights), dtype=torch.int32)


def _product(inputs: Tensor, weights: Tensor, size: int, low: float) -> Tensor:
    if low == 0:
        made = 2 * ones(inputs[:, None] & weights).sum(-1) - ones(inputs).sum(-1)[:, None]
    else:
        made = size - 2 * ones(inputs[:, None] ^ weights).sum(-1)
    return made.to(torch.int32)
