"""The batch: what a loader gives, told apart into the model's input and the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from actlab.errors import SiteError
from actlab.models.undisturbed import Inputs

__all__ = ["input_of", "moved", "target_of"]


def input_of(batch: Any) -> Inputs:
    """Return what a model takes: a tensor, keyword arguments, or the first element of a sequence.

    Raises:
        SiteError: the batch is none of these.

    Example:
        >>> input_of([torch.zeros(2), torch.ones(2)])
        tensor([0., 0.])
    """
    if isinstance(batch, (Tensor, Mapping)):
        return batch
    if isinstance(batch, Sequence) and batch:
        first: Inputs = batch[0]
        return first
    raise SiteError(
        f"A batch is a {type(batch).__name__}; allowed are a tensor, a mapping of keyword arguments, and a sequence whose first element "
        "is the model's input. For anything else say how to take it: inputs=lambda batch: batch.x."
    )


def target_of(batch: Any) -> Any:
    """Return what a loss takes beside the output: the second element of a sequence, or the batch itself.

    Example:
        >>> target_of((torch.zeros(2), torch.ones(2)))
        tensor([1., 1.])
    """
    return batch[1] if isinstance(batch, Sequence) and len(batch) > 1 else batch


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device.

    Example:
        >>> moved({"x": torch.zeros(1)}, torch.device("meta"))["x"].device
        device(type='meta')
    """
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)
