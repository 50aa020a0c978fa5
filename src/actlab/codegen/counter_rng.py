"""Counter-based random numbers, recomputed from a key and an element's index.

A key is drawn from torch's generator when a layer runs forward. The numbers are a hash of key and index, so nothing is stored, and the
backward pass, a second backward pass, and a forward pass that checkpointing repeats (it restores the generator) see the same noise.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Final

import torch
from torch import Tensor

__all__ = ["FIXED_KEY", "draw_key", "normal", "permutation", "uniform"]

GOLDEN: Final = -1640531527  # 2^32 / golden ratio, as a signed number
FIXED_KEY: Final = (0x5EED, 0x0AC7)  # for noise that is fixed for each unit


def draw_key(device: torch.device | str = "cpu") -> Tensor:
    """Draw a key, 64 bits in an int32 tensor of shape (2,), from torch's generator of the device.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> draw_key().shape
        torch.Size([2])
    """
    return torch.randint(-(2**31), 2**31 - 1, (2,), dtype=torch.int32, device=device)


def uniform(key: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return float32 numbers uniform on (0, 1), 23 bits each, both ends excluded.

    Args:
        key: int32 tensor of shape (2,), see :func:`draw_key`; the result is on its device.
        shape: shape of the result; the noise repeats after 2^32 elements.

    Example:
        >>> a, b = uniform(torch.tensor([1, 2], dtype=torch.int32), (3,)), uniform(torch.tensor([1, 2], dtype=torch.int32), (5,))
        >>> torch.equal(a, b[:3])
        True
    """
    bits = _hash(key, shape)
    return ((bits >> 9) & 0x7FFFFF).to(torch.float32).add_(0.5).mul_(2.0**-23)


def normal(key: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return float32 numbers from N(0, 1), by inversion of the distribution function.

    Example:
        >>> round(float(normal(torch.tensor([1, 2], dtype=torch.int32), (100_000,)).std()), 1)
        1.0
    """
    return torch.erfinv(uniform(key, shape).mul_(2.0).sub_(1.0)).mul_(sqrt(2.0))


def permutation(key: Tensor, count: int) -> Tensor:
    """Return a random order of ``count`` elements, an int64 tensor.

    Example:
        >>> sorted(permutation(torch.tensor([1, 2], dtype=torch.int32), 4).tolist())
        [0, 1, 2, 3]
    """
    return torch.argsort(_hash(key, (count,)))


def _hash(key: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return 32 bits for each index, as int32 that wraps around: two rounds of lowbias32, each after adding a word of the key."""
    index = torch.arange(prod(shape), device=key.device).to(torch.int32).reshape(shape)
    return _lowbias32(_lowbias32(index * GOLDEN + key[0]) + key[1])


def _lowbias32(bits: Tensor) -> Tensor:
    """Return the finalizer lowbias32 of the bits (C. Wellons' hash prospector; its bias is 0.17 of an ideal hash's)."""
    bits = bits ^ ((bits >> 16) & 0xFFFF)
    bits = bits * 0x7FEB352D
    bits = bits ^ ((bits >> 15) & 0x1FFFF)
    bits = bits * -2073254261  # 0x846CA68B
    return bits ^ ((bits >> 16) & 0xFFFF)
