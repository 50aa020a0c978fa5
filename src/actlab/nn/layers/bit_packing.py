"""Pack small integers or level indices into bit planes, unpack them, and multiply by packed levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log2
from typing import cast

import numpy as np
import torch
from torch import Tensor

__all__ = ["multiply_by_levels", "pack", "pack_levels", "unpack"]


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack integers below ``2**bits`` into bit planes, lowest bits first.

    Args:
        codes: bool or uint8 tensor of any shape.
        bits: number of planes.

    Returns:
        uint8 tensor of shape ``(bits, ceil(n / 8))`` on the same device.

    Example:
        >>> pack(torch.tensor([1, 0, 3, 2], dtype=torch.uint8), 2).tolist()
        [[160], [48]]
    """
    flat = codes.reshape(-1)
    planes = [flat] if flat.dtype == torch.bool else [(flat >> plane) & 1 for plane in range(bits)]
    return (
        torch.stack([_pack_plane(plane) for plane in planes[:bits]])
        if bits
        else flat.new_empty((0, 0), dtype=torch.uint8)
    )


def unpack(packed: Tensor, bits: int, shape: torch.Size) -> Tensor:
    """Return the numbers that :func:`pack` packed: bool for one bit, uint8 otherwise.

    Example:
        >>> unpack(torch.tensor([[160], [48]], dtype=torch.uint8), 2, torch.Size([4])).tolist()
        [1, 0, 3, 2]
    """
    planes = [_unpack_plane(plane, shape.numel()) for plane in packed]
    if bits == 1:
        return planes[0].view(torch.bool).reshape(shape)
    codes = torch.zeros(shape.numel(), dtype=torch.uint8, device=packed.device)
    for number, plane in enumerate(planes):
        codes |= plane << number
    return codes.reshape(shape)


def _pack_plane(plane: Tensor) -> Tensor:
    if _is_cpu(plane):  # one pass; the arithmetic below uses a byte for each bit
        return torch.from_numpy(np.packbits(plane.detach().numpy()))
    padded = torch.nn.functional.pad(plane.to(torch.uint8), (0, -len(plane) % 8)).view(-1, 8)
    return (padded << torch.arange(7, -1, -1, dtype=torch.uint8, device=plane.device)).sum(-1, dtype=torch.uint8)


def _unpack_plane(plane: Tensor, count: int) -> Tensor:
    if _is_cpu(plane):
        return torch.from_numpy(np.unpackbits(plane.numpy(), count=count))
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=plane.device)
    return ((plane[:, None] >> shifts) & 1).reshape(-1)[:count]


def _is_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def pack_levels(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Return the index of the level nearest to each value, packed: ``ceil(log2 n)`` bits each.

    Args:
        values: floating tensor of any shape.
        levels: ascending.

    Example:
        >>> packed = pack_levels(torch.tensor([1.0, 0.1, 1.0]), (0.1, 1.0))
        >>> multiply_by_levels(torch.tensor([2.0, 2.0, 4.0]), packed, (0.1, 1.0))
        tensor([2.0000, 0.2000, 4.0000])
    """
    above = [values > (low + high) / 2 for low, high in pairwise(levels)]
    codes = above[0] if len(above) == 1 else sum(above, torch.zeros_like(values, dtype=torch.uint8))
    return pack(codes, ceil(log2(len(levels))))


def multiply_by_levels(grad: Tensor, packed: Tensor, levels: Sequence[float]) -> Tensor:
    """Return a gradient times the level of each element; level 0 gives 0, also for an infinite gradient.

    Args:
        grad: in the shape of the values that were packed.
        packed: from :func:`pack_levels`.
        levels: the same as there.
    """
    codes = unpack(packed, ceil(log2(len(levels))), grad.shape)
    result = multiply_by_level(grad, levels[0])
    for number, level in enumerate(levels[1:], start=1):
        result = torch.where(codes if len(levels) == 2 else codes == number, multiply_by_level(grad, level), result)
    return cast("Tensor", result)


def multiply_by_level(grad: Tensor, level: float) -> Tensor | float:
    """Return a gradient times one level."""
    if level == 0.0:
        return 0.0
    return grad if level == 1.0 else grad * level
