"""Saved state of one tensor (memory, shape, flags and gradient).

The memory is saved and compared as bytes of the storage. So expanded and overlapping tensors, inference tensors and NaN are restored, and a
tensor that is unchanged is not written: its version counter stays, and a backward pass that is still to come works.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["TensorState", "inner_tensors"]

_SPARSE = {torch.sparse_csr: "crow", torch.sparse_bsr: "crow", torch.sparse_csc: "ccol", torch.sparse_bsc: "ccol"}


def inner_tensors(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the tensors of which a tensor without memory of its own is made: a DTensor, a jagged or a sparse tensor.

    Example:
        >>> [len(inner) for inner in inner_tensors(torch.eye(3).to_sparse())], list(inner_tensors(torch.eye(3)))
        ([2, 3], [])
    """
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        yield from (getattr(tensor, name) for name in names)
    elif tensor.layout is torch.sparse_coo:
        yield from (tensor._indices(), tensor._values())
    elif tensor.layout in _SPARSE:
        rows = _SPARSE[tensor.layout] == "crow"
        yield from (
            (tensor.crow_indices(), tensor.col_indices())
            if rows
            else (
                tensor.ccol_indices(),
                tensor.row_indices(),
            )
        )
        yield tensor.values()


class TensorState:
    """State of a tensor, and how it is put back.

    Args:
        tensor: any tensor; of one without memory of its own (meta, sparse, jagged, DTensor) only the flags are saved, see
            :func:`inner_tensors`.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None
        self._alias: Tensor | None = None
        self._bytes: Tensor | None = None
        if _has_memory(tensor):
            self._alias = tensor.detach()
            self._geometry = _geometry(tensor)
            self._range = _byte_range(tensor)
            self._bytes = _memory(tensor, self._range).clone()

    def restore(self) -> None:
        """Put back what has changed."""
        tensor = self.tensor
        if self._alias is not None and self._bytes is not None:
            if not _has_memory(tensor) or _geometry(tensor) != self._geometry:
                with torch.inference_mode(tensor.is_inference()):
                    tensor.data = self._alias
            storage = tensor.untyped_storage()
            if storage.nbytes() < self._range[1]:
                storage.resize_(self._range[1])
            memory = _memory(tensor, self._range)
            if not _equal(memory, self._bytes):
                memory.copy_(self._bytes)
        if tensor.requires_grad != self.requires_grad and tensor.is_leaf:
            tensor.requires_grad_(self.requires_grad)
        if tensor.is_leaf and tensor.grad is not self.grad:
            tensor.grad = self.grad


def _has_memory(tensor: Tensor) -> bool:
    is_plain = tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_nested
    return (
        is_plain
        and not hasattr(tensor, "__tensor_flatten__")
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def _geometry(tensor: Tensor) -> tuple[object, ...]:
    storage = tensor.untyped_storage()._cdata
    return storage, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset()


def _byte_range(tensor: Tensor) -> tuple[int, int]:
    """Return where the elements of a tensor begin and end in its storage, in bytes."""
    size = tensor.element_size()
    start = int(tensor.storage_offset()) * size
    if not tensor.numel():
        return start, start
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return start, start + (sum((int(length) - 1) * int(stride) for length, stride in steps) + 1) * size


def _memory(tensor: Tensor, span: tuple[int, int]) -> Tensor:
    """Return a part of a tensor's memory as bytes that share it."""
    whole = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
    return whole[slice(*span)]


def _equal(first: Tensor, second: Tensor) -> bool:
    count = len(first) // 8 * 8  # as int64 where that is aligned: 8 times as fast
    if first.data_ptr() % 8 or second.data_ptr() % 8:
        return torch.equal(first, second)
    return torch.equal(first[:count].view(torch.int64), second[:count].view(torch.int64)) and torch.equal(
        first[count:], second[count:]
    )
