"""Model inputs and target of a loader's batches, their transfer to a device, and endless batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.errors import SiteError
from actlab.nn.sites.dry_run import Inputs
from actlab.system.plural import plural

__all__ = ["cycle_batches", "first_inputs", "input_of", "target_of", "to_device"]


def input_of(batch: Any) -> Inputs:
    """Return the model's input: a tensor, keyword arguments, or the first element of a sequence.

    Raises:
        SiteError: the batch has another type.

    Example:
        >>> input_of([torch.zeros(2), torch.ones(2)])
        tensor([0., 0.])
    """
    if isinstance(batch, (Tensor, Mapping)):
        return batch
    if isinstance(batch, Sequence) and batch and not isinstance(batch, str):
        first: Inputs = batch[0]
        return first
    raise SiteError(
        f"A batch is a {type(batch).__name__}; allowed are a tensor, a mapping of keyword arguments, and a sequence whose first element "
        "is the model's input. For any other type pass a function that picks it: inputs=lambda batch: batch.x."
    )


def target_of(batch: Any) -> Any:
    """Return the target for the loss: the second element of a sequence, or the batch itself.

    Example:
        >>> target_of((torch.zeros(2), torch.ones(2)))
        tensor([1., 1.])
    """
    return batch[1] if isinstance(batch, Sequence) and len(batch) > 1 else batch


def to_device(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device.

    Example:
        >>> to_device({"x": torch.zeros(1)}, torch.device("meta"))["x"].device
        device(type='meta')
    """
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)


def first_inputs(model: nn.Module, loader: Iterable[Any], count: int, inputs: Callable[[Any], Inputs]) -> list[Inputs]:
    """Return the inputs of a loader's first batches, on the model's device.

    Args:
        model: the model.
        loader: batches.
        count: most batches to take.
        inputs: picks the input from a batch.

    Raises:
        SiteError: there is no batch.

    Example:
        >>> len(first_inputs(nn.Linear(1, 1), [torch.zeros(1)] * 5, 3, input_of))
        3
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    batches = [inputs(to_device(batch, device)) for batch in islice(loader, count)]
    if not batches:
        raise SiteError(
            "The loader gave no batch. A generator that was read before is empty; pass a list or a DataLoader."
        )
    return batches


def cycle_batches(loader: Iterable[Any], steps: int) -> Iterator[Any]:
    """Yield batches endlessly, starting over where the loader ends.

    Args:
        loader: batches.
        steps: number of batches that may be needed; named in the error.

    Raises:
        SiteError: the loader cannot be read again.

    Example:
        >>> batches = cycle_batches([1, 2], 3)
        >>> [next(batches) for _ in range(3)]
        [1, 2, 1]
    """
    count = 0
    while True:
        before = count
        for batch in loader:
            count += 1
            yield batch
        if count == before:
            raise SiteError(
                f"The loader ended after {plural(count, 'batch')} and cannot be read again, but up to {steps} batches are needed. "
                "Pass a list or a DataLoader, which can be read again."
            )
