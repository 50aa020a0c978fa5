"""Record of a corruption, a change of inputs that grows with its severity."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from actlab.evaluate.input_kind import InputKind
from actlab.evaluate.value_range import deviation, value_range

__all__ = ["Corrupt", "Corruption", "Reference", "drawn"]


@dataclass(frozen=True, eq=False)
class Reference:
    """What a corruption knows of the data, from training inputs.

    Attributes:
        train: training inputs, shape (m, ...).
        kind: of the inputs.
        by_token: whether every token has its own target, so that none may move.
    """

    train: Tensor
    kind: InputKind
    by_token: bool = field(default=False, kw_only=True)

    @cached_property
    def range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value, see :func:`actlab.evaluate.value_range.value_range`."""
        return value_range(self.train, self.kind)

    @cached_property
    def spread(self) -> Tensor:
        """Standard deviation of each entry, float64, shape (1, ...)."""
        return deviation(self.train)


#: Function of inputs, shape (n, ...), a severity from 0 to 1, the training inputs and a generator.
Corrupt: TypeAlias = Callable[[Tensor, float, Reference, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """A change of inputs that grows with its severity: 0 changes nothing, 1 is the strongest.

    Attributes:
        name: shown and stored.
        corrupt: the function.
        description: what it does, with its strength at severity 1.
        moves: whether it moves tokens to other places.
    """

    name: str
    corrupt: Corrupt
    description: str
    moves: bool = False

    def __call__(self, inputs: Tensor, severity: float, reference: Reference, seed: int = 0) -> Tensor:
        """Return corrupted inputs of the same shape and dtype; the inputs are not changed.

        All severities draw the same random numbers, so that a curve over them is no more ragged than it must be.

        Args:
            inputs: shape (n, ...).
            severity: from 0 to 1.
            reference: training inputs.
            seed: of what it draws.
        """
        if severity == 0:
            return inputs.clone()
        made = torch.Generator().manual_seed(zlib.crc32(f"{seed} corruption {self.name}".encode()))
        return self.corrupt(inputs, severity, reference, made).to(inputs.dtype)


def drawn(shape: torch.Size | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return uniform random numbers in [0, 1), float32."""
    return torch.rand(shape, generator=generator)
