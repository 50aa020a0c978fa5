"""Placement of batches (tensors, tuples, mappings and objects with ``to``) on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["placed"]


def placed(value: Any, device: str) -> Any:
    """Return a batch whose tensors are on a device; on the CPU, and where they are there already, the batch itself.

    Args:
        value: a tensor; a tuple, named tuple, list or mapping of such; an object with a method ``to(device)``, such as a packed
            sequence or a graph; anything else is returned as it is.
        device: a torch device.

    Example:
        >>> import torch
        >>> batch = placed({"x": torch.zeros(2), "names": ["a", "b"]}, "meta")
        >>> batch["x"].device.type, batch["names"]
        ('meta', ['a', 'b'])
    """
    if device == "cpu":
        return value  # user code made it, on the CPU or not; nothing is asked of each batch
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping) and not hasattr(value, "to"):
        parts = {name: placed(part, device) for name, part in value.items()}
        return parts if isinstance(value, dict) and type(value) is dict else type(value)(parts)  # type: ignore[call-arg] # as dict
    if isinstance(value, tuple) and hasattr(value, "_fields") and not hasattr(value, "to"):
        return type(value)(*(placed(part, device) for part in value))
    if isinstance(value, tuple | list) and not hasattr(value, "to"):
        return type(value)(placed(part, device) for part in value)
    return value.to(device) if callable(getattr(value, "to", None)) else value
