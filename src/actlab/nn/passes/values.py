"""Reason why an activation layer cannot compute on a tensor, and shape of a nested tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from torch import Tensor, UntypedStorage

from actlab.nn.passes.tensor_state import inner_tensors

__all__ = ["NESTED", "reason_not_computable", "shape_of", "storages"]

NESTED: Final = "it runs on a nested (jagged) tensor, and activation layers compute on plain ones"


def reason_not_computable(value: Tensor) -> str | None:
    """Return why an activation layer cannot compute on a tensor, or None where it can.

    Example:
        >>> import torch
        >>> reason_not_computable(torch.zeros(1)), reason_not_computable(torch.zeros(1, dtype=torch.int64))
        (None, 'it runs on torch.int64 values, and activation layers compute on floating ones')
    """
    if value.is_nested:
        return NESTED
    if value.is_quantized:
        return f"it runs on quantized values ({value.dtype}), and activation layers compute on floating ones"
    if value.is_complex():
        return (
            f"it runs on {value.dtype} values, and a swap replaces functions of real ones; put a layer there by hand, as "
            "self.act = actlab.layer('modrelu') in __init__"
        )
    if not value.is_floating_point():
        return f"it runs on {value.dtype} values, and activation layers compute on floating ones"
    return None


def shape_of(value: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor; -1 for a dimension in which the parts of a nested tensor differ.

    Example:
        >>> import torch
        >>> parts = [torch.zeros(2, 3), torch.zeros(4, 3)]
        >>> shape_of(torch.nested.nested_tensor(parts, layout=torch.jagged)), shape_of(torch.zeros(2, 3))
        ((2, -1, 3), (2, 3))
    """
    if not value.is_nested:
        return tuple(value.shape)
    sizes = [tuple(part.shape) for part in value.unbind()]
    same = (dims.pop() if len(dims := set(each)) == 1 else -1 for each in zip(*sizes, strict=True))
    return len(sizes), *same


def storages(tensor: Tensor) -> Iterator[UntypedStorage]:
    """Yield the storages in which the values of a tensor lie: of a sparse or jagged one, those of the tensors it is made of.

    Example:
        >>> import torch
        >>> [storage.nbytes() for storage in storages(torch.eye(3).to_sparse())]
        [48, 12]
    """
    inner = list(inner_tensors(tensor))
    for part in inner:
        yield from storages(part)
    if not inner:
        yield tensor.untyped_storage()
