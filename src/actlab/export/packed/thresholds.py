"""Per-channel thresholds that replace a norm and a binary activation, found by bisection.

A BatchNorm in eval mode is monotone in its input, in floating point too, because a product and a sum keep the order when they are rounded.
So its activation switches at most once, and the switching point among all float32 numbers is found by bisection on the modules themselves.
Solving the formula would round differently. Where gamma is negative, the unit is high below its threshold; where gamma is zero, it is high
always or never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from actlab.errors import PackError

__all__ = ["LARGEST_SUM", "Thresholds", "find_thresholds"]

LARGEST_SUM = 2**24
"""Largest magnitude up to which float32 holds every integer."""

_LARGEST_FLOAT = 0x7F7FFFFF  # bits of the largest finite float32


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """Comparison of each channel with a threshold.

    Attributes:
        value: shape (C,), or (1,) for all channels; float32, or int32 for integer inputs.
        above: bool, shape as ``value``: high from the value up; otherwise from the value down.

    Example:
        >>> t = Thresholds(value=torch.tensor([0.5, 0.5]), above=torch.tensor([True, False]))
        >>> t(torch.tensor([[0.5, 0.5], [1.0, 1.0]]))
        tensor([[ True,  True],
                [ True, False]])
    """

    value: Tensor
    above: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return which elements are high, bool; dimension 1 has the channels. NaN is low."""
        shape = (-1, *([1] * (x.dim() - 2)))
        value, above = self.value.to(x.dtype).view(shape), self.above.view(shape)
        return torch.where(above, x >= value, x <= value)

    def to_integers(self) -> Thresholds:
        """Return equivalent int32 thresholds for inputs that are integers of magnitude up to 2**24.

        Example:
            >>> Thresholds(value=torch.tensor([0.5, 0.5]), above=torch.tensor([True, False])).to_integers().value
            tensor([1, 0], dtype=torch.int32)
        """
        rounded = torch.where(self.above, self.value.ceil(), self.value.floor())
        # infinite thresholds become one beyond every sum, which float64 holds and float32 does not
        bounded = rounded.double().clamp(-LARGEST_SUM - 1, LARGEST_SUM + 1)
        return Thresholds(value=bounded.to(torch.int32), above=self.above)


@torch.no_grad()
def find_thresholds(
    function: Callable[[Tensor], Tensor], high: float, channels: int, dimensions: int, *, integers: bool = False
) -> Thresholds:
    """Find where a function of each channel takes its high value.

    Args:
        function: elementwise, and monotone in every channel; maps float32 of shape (1, C, ...) to the same shape.
        high: the value that counts as high; every other value is low.
        channels: C.
        dimensions: number of dimensions of the function's input; those after the second have size 1.
        integers: search only the range in which float32 holds every integer.

    Returns:
        Thresholds, float32; equal to the function on every float32 number (of magnitude up to 2**24 with ``integers``).

    Raises:
        PackError: the function gives NaN.

    Example:
        >>> norm = torch.nn.BatchNorm1d(2).eval()
        >>> _ = norm.weight.data.copy_(torch.tensor([1.0, -1.0])), norm.running_mean.copy_(torch.tensor([3.0, 3.0]))
        >>> t = find_thresholds(lambda x: torch.where(norm(x) >= 0, 1.0, -1.0), 1.0, 2, 2)
        >>> t.value, t.above
        (tensor([3., 3.]), tensor([ True, False]))
    """
    shape = (1, channels, *([1] * (dimensions - 2)))
    end = int(torch.tensor(float(LARGEST_SUM)).view(torch.int32)) if integers else _LARGEST_FLOAT

    def is_high(order: Tensor) -> Tensor:
        output = function(_float(order).view(shape))
        if bool(output.isnan().any()):
            raise PackError("The norm after a layer gives NaN: its running statistics or weights contain NaN.")
        return output.view(-1) == high

    low, top = torch.full((channels,), -end), torch.full((channels,), end)
    below, above = is_high(low), is_high(top)
    rising = above  # where only one end is high
    no, yes = torch.where(rising, low, top), torch.where(rising, top, low)
    while bool(((yes - no).abs() > 1).any()):
        middle = (no + yes) // 2
        high_there = is_high(middle)
        yes, no = torch.where(high_there, middle, yes), torch.where(high_there, no, middle)
    value = _float(yes)
    value = torch.where(below & above, -torch.inf, torch.where(below | above, value, torch.inf))
    return Thresholds(value=value, above=rising | ~below)


def _float(order: Tensor) -> Tensor:
    """Return the float32 of a rank (int64) in the order of all float32 numbers, where rank 0 is zero."""
    bits = torch.where(order < 0, -order - 2**31, order)
    return bits.to(torch.int32).view(torch.float32)
