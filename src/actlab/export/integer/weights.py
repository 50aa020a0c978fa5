"""Integer weights, biases, multipliers and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LARGEST_SUM", "Rows", "is_coarse", "multipliers", "quantize_rows", "thresholds"]

Floats = np.ndarray[Any, Any]
LARGEST_SUM = 2**31 - 1
LARGEST_SHIFT = 62


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Weights and bias of a product.

    Attributes:
        weight: int8, shape as of the float weights.
        bias: int32 of shape (out,).
        scale: what one step of a sum stands for, float64 of shape (out,).
        bound: largest magnitude of a sum without the bias, int64 of shape (out,).
    """

    weight: Any
    bias: Any
    scale: Floats
    bound: Any


def multipliers(factor: Floats) -> tuple[Any, Any]:
    """Return the multiplier and the shift of factors: ``factor = multiplier / 2 ** shift`` to 31 bits.

    Example:
        >>> [int(each[0]) for each in multipliers(np.array([0.75]))]
        [1610612736, 31]
    """
    factor = np.atleast_1d(np.asarray(factor, np.float64))
    part, exponent = np.frexp(factor)
    multiplier, shift = np.rint(part * 2.0**31), 31 - exponent.astype(np.int64)
    shift = np.where(multiplier == 2**31, shift - 1, shift)
    multiplier = np.where(multiplier == 2**31, 2.0**30, multiplier)
    small = shift > LARGEST_SHIFT  # fewer bits, down to none
    multiplier = np.where(small, np.rint(np.ldexp(factor, LARGEST_SHIFT)), multiplier)
    large = shift < 1  # every sum but 0 saturates
    multiplier, shift = np.where(large, LARGEST_SUM, multiplier), np.clip(shift, 1, LARGEST_SHIFT)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def quantize_rows(weight: Floats, bias: Floats, step: float, largest: int) -> Rows:
    """Return integer weights, symmetric for each output.

    Where the weights of each output have one magnitude, zeros apart, they become -1, 0 and 1. The scale of an output whose sums or bias
    would exceed 32 bits is made coarser.

    Args:
        weight: float of shape (out, ...).
        bias: float of shape (out,).
        step: what one step of the input stands for.
        largest: largest magnitude of the input's values.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    magnitude = np.abs(rows)
    top = magnitude.max(1, initial=0.0)
    single = ((magnitude == 0) | (magnitude == top[:, None])).all()
    scale = top if single else top / 127
    bias = bias.astype(np.float64)
    constant = np.where(bias == 0, 1.0, np.abs(bias) / (2.0**24 * step))  # of outputs without weights
    scale = np.where(scale == 0, constant, scale)
    while True:
        codes = np.clip(np.rint(rows / scale[:, None]), -127, 127)
        bound = np.abs(codes).sum(1) * largest
        room = LARGEST_SUM - bound
        with np.errstate(over="ignore"):
            need = np.abs(np.rint(bias / (scale * step)))
        over = need > room
        if not over.any():
            break
        scale = np.where(over, scale * np.clip(need / np.maximum(room, 1), 2.0, 1e30), scale)
    return Rows(
        weight=codes.reshape(weight.shape).astype(np.int8),
        bias=np.rint(bias / (scale * step)).astype(np.int32),
        scale=scale * step,
        bound=bound.astype(np.int64),
    )


def is_coarse(rows: Rows) -> bool:
    """Whether sums have so few steps that a bias in these steps is not exact enough."""
    return bool((rows.bound < 2**14).any() and (np.abs(rows.weight) <= 1).all())


def thresholds(high: Callable[[Any], Any], bound: Any) -> tuple[Any, Any] | None:
    """Return from which sum on a binary function is high, by channel; None where it switches twice.

    Args:
        high: from sums, int64 of shape (channels, n), to bool.
        bound: largest magnitude of a sum, int64 of shape (channels,).

    Returns:
        int32 thresholds, and bool whether high is above them, as in :class:`~actlab.export.integer.layers.Threshold`.
    """
    low, top = -bound - 1, bound + 1
    grid = np.unique(np.linspace(-1, 1, 1025))
    on_grid = high(np.rint(grid * top[:, None]).astype(np.int64))
    if ((on_grid[:, 1:] != on_grid[:, :-1]).sum(1) > 1).any():
        return None
    at_low, at_top = high(low[:, None])[:, 0], high(top[:, None])[:, 0]
    no, yes = low.copy(), top.copy()
    while ((yes - no) > 1).any():
        middle = (no + yes) // 2
        moved = high(middle[:, None])[:, 0] != at_low
        yes, no = np.where(moved, middle, yes), np.where(moved, no, middle)
    constant = at_low == at_top
    value = np.where(constant, -(2**31), yes)
    return np.clip(value, -(2**31), LARGEST_SUM).astype(np.int32), np.where(constant, at_low, at_top)
