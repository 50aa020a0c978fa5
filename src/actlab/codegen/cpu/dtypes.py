"""Storage dtypes of CPU kernels, and the precision they are computed in."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from actlab.codegen.cpu.ir_builder import Precision

__all__ = ["BYTES", "STORAGES", "STORED", "Reach", "Storage", "precision_of"]

Storage: TypeAlias = Literal["float32", "float64", "bfloat16", "float16"]
# Where a kernel's data is: "cache"; "memory", with prefetching; "past", as memory, with stores that bypass the cache.
Reach: TypeAlias = Literal["cache", "memory", "past"]
STORED = {"float32": "float", "float64": "double", "bfloat16": "i16", "float16": "half"}  # LLVM types
BYTES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}
STORAGES: dict[torch.dtype, Storage] = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


def precision_of(storage: Storage) -> Precision:
    """Return the precision in which numbers of a storage dtype are computed.

    Example:
        >>> precision_of("bfloat16")
        'float32'
    """
    return "float64" if storage == "float64" else "float32"
