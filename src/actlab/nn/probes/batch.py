"""The batch: what a loader gives, told apart into the model's input and the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from actlab.errors import SiteError
from actlab.nn.sites.dry_run import Inputs

__all__ = ["endless", "first_inputs", "input_of", "moved", "target_of"]


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
    if isinstance(batch, Sequence) and batch and not isinstance(batch, str):
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


def first_inputs(model: nn.Module, loader: Iterable[Any], count: int, inputs: Callable[[Any], Inputs]) -> list[Inputs]:
    """Return the inputs of a loader's first batches, on the model's device.

    Args:
        model: the model.
        loader: batches.
        count: how many, at most.
        inputs: picks the input from a batch.

    Raises:
        SiteError: there is no batch.

    Example:
        >>> len(first_inputs(nn.Linear(1, 1), [torch.zeros(1)] * 5, 3, input_of))
        3
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    batches = [inputs(moved(batch, device)) for batch in islice(loader, count)]
    if not batches:
        raise SiteError(
            "The loader gave no batch. A generator that was read before is empty: give a list or a DataLoader."
        )
    return batches


def endless(loader: Iterable[Any], steps: int) -> Iterator[Any]:
    """Yield batches, from the beginning again where the loader ends.

    Args:
        loader: batches.
        steps: how many may be asked for; said in the error.

    Raises:
        SiteError: the loader cannot be read again.

    Example:
        >>> given = endless([1, 2], 3)
        >>> [next(given) for _ in range(3)]
        [1, 2, 1]
    """
    given = 0
    while True:
        before = given
        for batch in loader:
            given += 1
            yield batch
        if given == before:
            raise SiteError(
                f"The loader ended after {given} batches and gives none from its beginning, and there may be {steps} steps. "
                "Give a list or a DataLoader, which can be read again."
            )
