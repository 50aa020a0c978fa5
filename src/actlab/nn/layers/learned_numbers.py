"""Learned scalars as tensors of shape ``(1,)``, and conversion of 0-d ones from old checkpoints.

A learned number has one dimension, as the weight of ``nn.PReLU``: fully sharded training (FSDP) refuses 0-d parameters. Checkpoints of
0.1.0 have 0-d numbers, which :func:`unsqueeze_numbers` changes while they are loaded. The other direction needs nothing: torch loads a
tensor of shape ``(1,)`` into a 0-d parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["clamp_to_finite", "number", "unsqueeze_numbers", "unsqueeze_parameters"]


def number(value: float) -> Tensor:
    """Return a learned number in float64.

    Example:
        >>> number(1.5)
        tensor([1.5000], dtype=torch.float64)
    """
    return torch.full((1,), value, dtype=torch.float64)


def clamp_to_finite(value: Tensor) -> Tensor:
    """Replace infinite numbers by the largest of the dtype, in place: 1e6 converted to float16 is infinite, and trains to NaN.

    Example:
        >>> clamp_to_finite(torch.tensor([1e6, 2.0]).half())
        tensor([6.5504e+04, 2.0000e+00], dtype=torch.float16)
    """
    if value.dtype.itemsize == 2 and value.device.type != "meta":
        largest = torch.finfo(value.dtype).max
        with torch.no_grad():
            value.clamp_(-largest, largest)
    return value


def unsqueeze_numbers(names: Iterable[str], state_dict: dict[str, Any], prefix: str) -> None:
    """Give the 0-d tensors of a ``state_dict`` that belong to these parameters the shape ``(1,)``, in place.

    Args:
        names: of the parameters of one module.
        state_dict: as ``_load_from_state_dict`` gets it, which is a copy of the user's.
        prefix: of the module's keys.
    """
    for name in names:
        value = state_dict.get(prefix + name)
        if isinstance(value, Tensor) and value.dim() == 0:
            state_dict[prefix + name] = value.reshape(1)


def unsqueeze_parameters(module: nn.Module) -> None:
    """Give the 0-d parameters of a module that an earlier build pickled the shape ``(1,)``."""
    for name, parameter in module._parameters.items():
        if parameter is not None and parameter.dim() == 0:
            module._parameters[name] = nn.Parameter(parameter.detach().reshape(1), parameter.requires_grad)
