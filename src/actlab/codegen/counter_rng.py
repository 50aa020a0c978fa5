"""Counter noise: random numbers that follow from a key and an element's place, so that none is kept and all can be had again.

A key is drawn from torch's generator when a layer runs forward. The numbers follow from it by a hash of the place, so that the backward
pass, a second backward pass, and a forward pass that checkpointing repeats (it restores the generator) all see the same noise.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import torch
from torch import Tensor

__all__ = ["FIXED_KEY", "draw_key", "normal", "permutation", "uniform"]

GOLDEN: Final = -1640531527  # 2^32 / golden ratio, as a signed number
FIXED_KEY: Final = (0x5EED, 0x0AC7)  # of the noise that stays the same for a unit


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
        key: int32 tensor of shape (2,), see :func:`draw_key`; the result lies on its device.
        shape: of the result; the noise repeats after 2^32 elements.

    Example:
        >>> a, b = uniform(torch.tensor([1, 2], dtype=torch.int32), (3,)), uniform(torch.tensor([1, 2], dtype=torch.int32), (5,))
        >>> torch.equal(a, b[:3])
        True
    """
    bits = _hashed(key, shape)
    return ((bits >> 9) & 0x7FFFFF).to(torch.float32).add_(0.5).mul_(2.0**-23)


def normal(key: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return float32 numbers from N(0, 1), by the inverse of the distribution function.

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
    return torch.argsort(_hashed(key, (count,)))


def _hashed(key: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return 32 bits for each place, as int32 that wraps around: two rounds of the finalizer lowbias32, keyed before each."""
    count = 1
    for size in shape:
        count *= size
    place = torch.arange(count, device=key.device).to(torch.int32).reshape(shape)
    return _mixed(_mixed(place * GOLDEN + key[0]) + key[1])


def _mixed(bits: Tensor) -> Tensor:
    """Return the bits mixed: constants of C. Wellons' hash prospector, whose bias is 0.17 of an ideal hash's."""
    bits = bits ^ ((bits >> 16) & 0xFFFF)
    bits = bits * 0x7FEB352D
    bits = bits ^ ((bits >> 15) & 0x1FFFF)
    bits = bits * -2073254261  # 0x846CA68B
    return bits ^ ((bits >> 16) & 0xFFFF)
