"""Saved bytes: what autograd keeps of a forward pass until the backward pass, counted to the byte."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects

__all__ = ["SavedTensors", "saved_bytes"]


class _Slip:
    """Stands in the graph for a tensor that is kept, and lives as long."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class SavedTensors:
    """Counts what autograd keeps of the operations inside: every storage once, however many tensors look at it, as long as it is kept.

    Args:
        known: tensors that are there anyway (parameters, inputs) and do not count.

    Example:
        >>> x = torch.ones(256, requires_grad=True)
        >>> with SavedTensors([x]) as ledger:
        ...     y = x.sigmoid().exp()
        >>> ledger.bytes
        2048
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        self._known = {address(tensor) for tensor in known}
        self._slips: WeakSet[_Slip] = WeakSet()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._note, lambda slip: slip.tensor)

    @property
    def bytes(self) -> int:
        """How much is kept at this moment."""
        return sum(self.sizes.values())

    @property
    def sizes(self) -> dict[int, int]:
        """Size of every storage that is kept at this moment, by its address."""
        found = {address(slip.tensor): slip.tensor.untyped_storage().nbytes() for slip in self._slips}
        return {where: size for where, size in found.items() if where not in self._known}

    def _note(self, tensor: Tensor) -> _Slip:
        slip = _Slip(tensor.detach())
        self._slips.add(slip)
        return slip

    def __enter__(self) -> SavedTensors:
        self._hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hooks.__exit__(kind, error, at)


def address(tensor: Tensor) -> int:
    """Return the address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()


def saved_bytes(model: nn.Module, example_inputs: Inputs) -> int:
    """Return the bytes that autograd keeps of one training step's forward pass; parameters, buffers and inputs do not count.

    Args:
        model: any module. It is left as it was.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.

    Raises:
        SiteError: the model raises on the example inputs.

    Example:
        >>> mlp = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 2))
        >>> saved_bytes(mlp, torch.zeros(16, 2))  # 128 hidden elements, twice, of 4 bytes
        1024
    """
    arguments = copy_inputs(example_inputs)
    inputs = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
    with no_side_effects(model, training=True), SavedTensors([*model.parameters(), *model.buffers(), *inputs]) as ledger:
        output = run(model, arguments)
        kept = ledger.bytes
    del output  # until here: it holds the graph
    return kept
