"""Codings of a tensor in an integer net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Bits", "Codes", "Coding", "Index"]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """Whole numbers, of which each step stands for the same difference: number = scale * (code - zero).

    Attributes:
        scale: what one step stands for; above 0.
        zero: code of 0.
        width: bits of a code: 8, from -128 to 127, or 32, for outputs that are too fine for 8.
    """

    scale: float
    zero: int = 0
    width: Literal[8, 32] = 8


@dataclass(frozen=True, kw_only=True)
class Bits:
    """One of two numbers for each element, as binary activations make them: scale * 1 and scale * low.

    Attributes:
        low: -1 or 0.
        scale: the larger number; above 0.
    """

    low: Literal[-1, 0]
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Index:
    """Index of an element, as an argmax makes it; int32."""


Coding: TypeAlias = Codes | Bits | Index
