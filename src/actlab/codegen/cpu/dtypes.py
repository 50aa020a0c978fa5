"""Storage: how numbers lie in memory, and what is computed in when they do."""

from __future__ import annotations

from typing import Literal, TypeAlias

from actlab.codegen.cpu.ir_builder import Precision

__all__ = ["BYTES", "STORED", "Reach", "Storage", "precision_of"]

Storage: TypeAlias = Literal["float32", "float64", "bfloat16", "float16"]
# Where numbers are and go to: in the cache; in memory, so that what comes next is fetched in time; and so many that the cache is passed by.
Reach: TypeAlias = Literal["cache", "memory", "past"]
STORED = {"float32": "float", "float64": "double", "bfloat16": "i16", "float16": "half"}  # as LLVM has them
BYTES = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}


def precision_of(storage: Storage) -> Precision:
    """Return what numbers of a storage are computed in.

    Example:
        >>> precision_of("bfloat16")
        'float32'
    """
    return "float64" if storage == "float64" else "float32"
