"""Net in integer arithmetic, as a list of layers with the shapes and codings of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actlab.export.integer.coding import Coding
from actlab.export.integer.layers import IntegerLayer

__all__ = ["IntegerNet"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNet:
    """A net whose arithmetic is exact. Build it with :func:`actlab.export.integer.quantize.quantize`.

    Attributes:
        name: of the model's class.
        inputs: names of the tensors that it takes.
        outputs: names of those that it returns.
        shapes: of all tensors, without the batch.
        codings: of all tensors.
        layers: in order of execution.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    codings: Mapping[str, Coding]
    layers: tuple[IntegerLayer, ...]
