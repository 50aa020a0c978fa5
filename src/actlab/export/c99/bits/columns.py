"""Weights of layers with bits, packed as bit columns, rows of bytes, or signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actlab.export.integer.layers import Threshold
from actlab.export.net.layers import Window

__all__ = ["Columns", "Sums", "bit_columns", "byte_rows", "inside_of", "pack_bits", "thresholds_above"]

Integers = np.ndarray[Any, Any]
MINIMUM_SLICES = 3  # that the kernel reads behind the one to which a plane is added


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """What a layer adds up: ``sum = factor * (sum of the weights of active inputs) + constant``.

    Attributes:
        weight: int64 of shape (out, rows), a row for each input.
        constants: int64 of shape (tables, out): one table, or several where the padding matters.
        has_complement: whether a second table is for the sum over the inputs that are 0 in place of those that are 1.
        factor: 2 of bits of -1 and 1, else 1.
        largest: of an input: 1 of bits, 255 of codes.
    """

    weight: Integers
    constants: Integers
    factor: int = 1
    largest: int = 1
    has_complement: bool = False

    def with_complement(self) -> Sums:
        """Return these sums with a second table: ``sum = constant - factor * (sum of the weights of the inputs that are 0)``."""
        other = self.constants + self.factor * self.weight.sum(1)
        return replace(self, constants=np.concatenate([self.constants, other]), has_complement=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """Weights and thresholds as words of 32 outputs.

    Attributes:
        weight: uint32 of shape (words, planes, rows + 1), of which the last row is zero.
        start: uint32 of shape (tables, words, levels), or None where all are zero.
        levels: slices of 32 outputs.
        first: slice to which a plane is added.
        bound: what a sum with its start is compared with, without the total of the inputs.
    """

    weight: Integers
    start: Integers | None
    levels: int
    first: int
    bound: int = 0


def pack_bits(bits: Integers) -> Integers:
    """Return the words of bits, packed along the last dimension, the first bit lowest.

    Example:
        >>> pack_bits(np.array([[True, False, True]])).tolist()
        [[5]]
    """
    filled = np.pad(bits.astype(np.uint64), [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 32)])
    by_word = filled.reshape(*bits.shape[:-1], -1, 32)
    words: Integers = (by_word << np.arange(32, dtype=np.uint64)).sum(-1).astype(np.uint32)
    return words


def inside_of(window: Window, sizes: Sequence[int], outs: Sequence[int]) -> tuple[list[list[int]], Integers]:
    """Return for each dimension the kind of each position of a window, and which of its elements are inside of the input for each kind.

    Returns:
        Kinds by dimension and position; bool of shape (kinds, elements of the window), kinds in row-major order.
    """
    kinds, masks = [], []
    for size, out, length, stride, before, step in zip(
        sizes, outs, window.size, window.stride, window.before, window.dilation, strict=True
    ):
        at = np.arange(out)[:, None] * stride - before + np.arange(length) * step
        found, of_position = np.unique((at >= 0) & (at < size), axis=0, return_inverse=True)
        kinds.append(of_position.reshape(-1).tolist())
        masks.append(found)
    inside = masks[0]
    for other in masks[1:]:
        inside = (inside[:, None, :, None] & other[None, :, None, :]).reshape(
            len(inside) * len(other), inside.shape[1] * other.shape[1]
        )
    return kinds, inside


def thresholds_above(sums: Sums, ending: Threshold) -> tuple[Sums, Integers]:
    """Return sums and thresholds of which bits are 1 from the threshold up, for all outputs; those of the others change their sign."""
    out = len(sums.weight)
    value = np.broadcast_to(ending.value.astype(np.int64), out)
    above = np.broadcast_to(ending.above, out)
    sign = np.where(above, 1, -1)
    changed = replace(sums, weight=sums.weight * sign[:, None], constants=sums.constants * sign)
    return changed, np.where(above, value, 1 - value)


def bit_columns(sums: Sums, ending: Threshold | None) -> Columns:
    """Return the columns of weights -1, 0 and 1.

    The kernel adds ``weight + 1`` of active inputs, so that the sum of the weights is what it finds without the total of the inputs: one
    plane that counts twice where no weight is zero, else two planes.

    Args:
        sums: what the layer adds up.
        ending: thresholds; None where the sums themselves are wanted.
    """
    start, bound = None, 0
    rows = sums.weight.shape[1]
    most = rows * sums.largest
    if ending is not None:
        sums, value = thresholds_above(sums, ending)
        least = -((sums.constants - value) // sums.factor)  # of the sum of weights at which the bit is 1
        if sums.has_complement:  # there the bit is 0 from a sum of weights on
            least[1] = sums.weight.sum(1) - least[0] + 1
        bound = most + 1
        start = bound - np.clip(least, -most, bound)
    weight = sums.weight
    planes = [weight == 1] if (weight != 0).all() else [weight >= 0, weight == 1]
    first = 2 - len(planes)
    top = 2 * most + (2 * most + 1 if start is not None else 0)
    levels = max(top.bit_length(), first + MINIMUM_SLICES + (7 if sums.largest > 1 else 0))
    words = [np.pad(pack_bits(plane.T).T, [(0, 0), (0, 1)]) for plane in planes]
    slices = None
    if start is not None:
        bits = start[..., None] >> np.arange(levels) & 1
        slices = pack_bits(np.moveaxis(bits, 1, -1)).swapaxes(1, 2)
    return Columns(weight=np.stack(words, 1), start=slices, levels=levels, first=first, bound=bound)


def byte_rows(weight: Integers) -> Integers:
    """Return int8 weights of shape (out, rows) as words of four outputs, plus 128, by eight outputs and row, with a row of zeros."""
    filled = np.pad(weight.astype(np.int64), [(0, -len(weight) % 8), (0, 1)]) + 128
    by_four = filled.reshape(-1, 2, 4, filled.shape[1])
    words = (by_four << (8 * np.arange(4)).reshape(4, 1)).sum(2)
    packed: Integers = np.moveaxis(words, 1, -1).astype(np.uint32)
    return packed
