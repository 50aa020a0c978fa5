"""Pack bits into 32-bit words, and multiply binary matrices by XOR and population count."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["BITS_PER_WORD", "binary_matmul", "count_ones", "pack_words", "unpack_words"]

BITS_PER_WORD = 32
_MOST_WORDS = 2**22  # of an intermediate result: 16 MiB


def pack_words(bits: Tensor) -> Tensor:
    """Pack the last dimension: bit i of word j is element 32 j + i, and the rest of the last word is zero.

    Args:
        bits: bool, shape (..., n).

    Returns:
        int32, shape (..., ceil(n / 32)); the sign bit is element 31.

    Example:
        >>> pack_words(torch.tensor([True, False, True]))
        tensor([5], dtype=torch.int32)
    """
    padded = torch.nn.functional.pad(bits, (0, -bits.shape[-1] % BITS_PER_WORD))
    shifts = torch.arange(BITS_PER_WORD, device=bits.device)
    by_word = padded.reshape(*padded.shape[:-1], padded.shape[-1] // BITS_PER_WORD, BITS_PER_WORD)
    sums = (by_word.long() << shifts).sum(-1)
    return torch.where(sums >= 2**31, sums - 2**32, sums).to(torch.int32)


def unpack_words(words: Tensor, size: int) -> Tensor:
    """Return the bits, bool, shape (..., size).

    Example:
        >>> unpack_words(torch.tensor([5], dtype=torch.int32), 3)
        tensor([ True, False,  True])
    """
    shifts = torch.arange(BITS_PER_WORD, device=words.device, dtype=torch.int32)
    return ((words[..., None] >> shifts) & 1).bool().flatten(-2)[..., :size]


def count_ones(words: Tensor) -> Tensor:
    """Count the set bits of each word, int32, by adding neighbors: pairs, nibbles, bytes.

    Example:
        >>> count_ones(torch.tensor([5, -1, 0], dtype=torch.int32))
        tensor([ 2, 32,  0], dtype=torch.int32)
    """
    pairs = words - ((words >> 1) & 0x55555555)
    nibbles = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    return (((nibbles + (nibbles >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24


def binary_matmul(inputs: Tensor, weights: Tensor, size: int, low: float) -> Tensor:
    """Multiply packed vectors by packed signs.

    For inputs of -1 and 1 it is ``size - 2 count_ones(a xor w)``, as the product is 1 where bits agree. For inputs of 0 and 1 it is
    ``2 count_ones(a and w) - count_ones(a)``.

    Args:
        inputs: int32, shape (n, words).
        weights: int32, shape (m, words); bit 1 is weight 1, bit 0 is weight -1.
        size: number of elements of each vector.
        low: value of a zero bit of the inputs, -1 or 0.

    Returns:
        int32, shape (n, m).

    Example:
        >>> a, w = pack_words(torch.tensor([[True, False, True]])), pack_words(torch.tensor([[True, True, False]]))
        >>> binary_matmul(a, w, 3, -1.0), binary_matmul(a, w, 3, 0.0)
        (tensor([[-1]], dtype=torch.int32), tensor([[0]], dtype=torch.int32))
    """
    rows = max(1, _MOST_WORDS // max(1, weights.numel()))
    parts = [_matmul(part, weights, size, low) for part in torch.split(inputs, rows)]
    return torch.cat(parts) if parts else torch.zeros(0, len(weights), dtype=torch.int32)


def _matmul(inputs: Tensor, weights: Tensor, size: int, low: float) -> Tensor:
    if low == 0:
        result = 2 * count_ones(inputs[:, None] & weights).sum(-1) - count_ones(inputs).sum(-1)[:, None]
    else:
        result = size - 2 * count_ones(inputs[:, None] ^ weights).sum(-1)
    return result.to(torch.int32)
