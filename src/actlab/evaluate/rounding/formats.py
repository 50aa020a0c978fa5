"""Rounding of tensors to number formats of 4 and 8 bits, returned in the dtype that they had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Rounding", "affine_int8", "float8", "mxfp4", "symmetric_int"]

#: Of a tensor, returns one of the same shape and dtype whose numbers are those of a format.
Rounding: TypeAlias = Callable[[Tensor], Tensor]

#: Magnitudes of the 4-bit float with 2 bits of exponent and 1 of mantissa (OCP Microscaling Formats 1.0).
_E2M1: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BLOCK: Final = 32  # numbers that share a scale in MXFP4
_TINY: Final = 1e-30


def symmetric_int(values: Tensor, bits: int = 8, *, per_channel: bool = False) -> Tensor:
    """Round to signed integers times a scale that maps the largest magnitude to the largest code.

    Args:
        values: any shape; with ``per_channel`` the first dimension has the channels.
        bits: 8 for codes from -127 to 127.
        per_channel: one scale for each channel, and not for the tensor.

    Example:
        >>> symmetric_int(torch.tensor([1.27, 0.004, 0.006, -1.27]))
        tensor([ 1.2700,  0.0000,  0.0100, -1.2700])
    """
    largest = 2 ** (bits - 1) - 1
    rows = values.reshape(len(values), -1) if per_channel and values.ndim > 1 else values.reshape(1, -1)
    scale = rows.abs().amax(1, keepdim=True).clamp_min(_TINY) / largest
    rounded: Tensor = (rows / scale).round().clamp(-largest, largest) * scale
    return rounded.reshape(values.shape)


def affine_int8(values: Tensor, low: float, high: float) -> Tensor:
    """Round to 256 equidistant numbers from ``low`` to ``high``, of which one is zero; values outside become the nearest of them.

    Args:
        values: any shape.
        low: smallest value of the calibration, moved to at most 0.
        high: largest value, moved to at least 0.

    Example:
        >>> affine_int8(torch.tensor([-5.0, 0.0, 0.3, 3.0]), 0.0, 2.55)
        tensor([0.0000, 0.0000, 0.3000, 2.5500])
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / 255, _TINY)
    zero = round(-low / scale)
    return ((values / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)


def float8(values: Tensor, dtype: torch.dtype, largest: float | None = None) -> Tensor:
    """Round to an 8-bit float, with a scale that maps the largest magnitude to the largest finite number of the format.

    Args:
        values: any shape.
        dtype: ``torch.float8_e4m3fn`` or ``torch.float8_e5m2``.
        largest: magnitude to which the scale is set; by default that of the values. Larger ones are cut.

    Example:
        >>> float8(torch.tensor([448.0, 17.0]), torch.float8_e4m3fn)
        tensor([448.,  16.])
    """
    top = float(values.detach().abs().amax()) if largest is None else largest
    limit = torch.finfo(dtype).max
    scale = max(top, _TINY) / limit
    return (values / scale).clamp(-limit, limit).to(dtype).to(values.dtype) * scale


def mxfp4(values: Tensor) -> Tensor:
    """Round to 4-bit floats (E2M1) with one power of two as scale for each 32 numbers of a row.

    Args:
        values: shape (rows, ...); the rest is one row.

    Source: OCP Microscaling Formats 1.0, sections 5.3 and 6.3.

    Example:
        >>> mxfp4(torch.tensor([[6.0, 2.4, 0.2, -5.1]]))
        tensor([[ 6.,  2.,  0., -6.]])
    """
    rows = values.reshape(len(values), -1)
    padded = functional.pad(rows, (0, -rows.shape[1] % _BLOCK)).reshape(-1, _BLOCK)
    top = padded.abs().amax(1, keepdim=True).clamp_min(_TINY)
    scale = torch.exp2(torch.floor(torch.log2(top)) - 2)  # 2 is the largest exponent of E2M1
    codes = torch.tensor(_E2M1, dtype=values.dtype, device=values.device)
    nearest = (padded.abs() / scale).unsqueeze(-1).sub(codes).abs().argmin(-1)
    rounded: Tensor = (codes[nearest] * padded.sign() * scale).reshape(len(rows), -1)[:, : rows.shape[1]]
    return rounded.reshape(values.shape)
