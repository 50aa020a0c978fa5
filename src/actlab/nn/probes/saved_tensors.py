"""Count the bytes that autograd saves in the forward pass for the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.nn.passes.model_argument import takes_model
from actlab.nn.passes.values import storages
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run

__all__ = ["SavedTensors", "address", "saved_bytes"]


class _SavedTensor:
    """Holds a saved tensor in the graph, and lives as long as the graph needs it."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class SavedTensors:
    """Count the storages that autograd saves for the operations of a ``with`` block, each once and as long as it is saved.

    Args:
        known: tensors that exist anyway (parameters, inputs) and do not count.

    Example:
        >>> x = torch.ones(256, requires_grad=True)
        >>> with SavedTensors([x]) as saved:
        ...     y = x.sigmoid().exp()
        >>> saved.bytes
        2048
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        self._known = {storage.data_ptr() for tensor in known for storage in storages(tensor)}
        self._saved: WeakSet[_SavedTensor] = WeakSet()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved.tensor)

    @property
    def bytes(self) -> int:
        """Number of bytes that are saved at the moment."""
        return sum(self.sizes.values())

    @property
    def sizes(self) -> dict[int, int]:
        """Bytes of every storage that is saved at the moment, by its address."""
        kept = [storage for saved in self._saved for storage in storages(saved.tensor)]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in kept}
        return {where: size for where, size in sizes.items() if where not in self._known}

    def _pack(self, tensor: Tensor) -> _SavedTensor:
        saved = _SavedTensor(tensor.detach())
        self._saved.add(saved)
        return saved

    def __enter__(self) -> SavedTensors:
        self._hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hooks.__exit__(kind, error, at)


def address(tensor: Tensor) -> int:
    """Return the address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()


@takes_model
def saved_bytes(model: nn.Module, example_inputs: Inputs) -> int:
    """Return the bytes that autograd saves in the forward pass of one training step, without parameters, buffers and inputs.

    Args:
        model: any module; left unchanged.
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
    with no_side_effects(model, training=True), SavedTensors([*model.parameters(), *model.buffers(), *inputs]) as saved:
        output = run(model, arguments)
        count = saved.bytes
    del output  # held the graph until here
    return count
