"""Digest of a task's data, equal for equal splits to the bit."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from actlab.tasks.data import Data

__all__ = ["bits", "data_digest"]


def data_digest(data: Data) -> str:
    """Return a hexadecimal digest of dtypes, shapes and values of all splits.

    It takes 0.5 s per GB on one core with SHA instructions.

    Example:
        >>> from actlab.tasks.data import as_data
        >>> pair = torch.zeros(3, 2), torch.zeros(3)
        >>> same, other = as_data((pair, pair)), as_data((pair, (pair[0] + 1, pair[1])))
        >>> data_digest(as_data((pair, pair))) == data_digest(same) != data_digest(other)
        True
    """
    digest = hashlib.sha256()
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        for tensor in () if split is None else (split.x, split.y):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(bits(tensor).numpy().data)
    return digest.hexdigest()


def bits(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor's values, shape (bytes,), on the CPU; two tensors of one dtype are equal to the bit if these are.

    Example:
        >>> bits(torch.tensor(1.0)).tolist()
        [0, 0, 128, 63]
    """
    strided = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    return strided.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
