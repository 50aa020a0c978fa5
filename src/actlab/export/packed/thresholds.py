"""The threshold: a norm and a binary activation in one comparison per channel.

A BatchNorm at inference is monotone in its input, in floating point too: a product and a sum, each rounded, keep the order. So what follows
it switches once, and where it does is found among all float32 numbers by bisection on the modules themselves, not by solving the formula,
whose rounding would differ from theirs. Where gamma is negative, the unit is high below its threshold; where it is zero, always or never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from actlab.errors import PackError

__all__ = ["LARGEST_SUM", "Thresholds", "fold"]

#: Up to here float32 holds every whole number.
LARGEST_SUM = 2**24
_LARGEST_FLOAT = 0x7F7FFFFF  # bits of the largest finite float32


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """Where each channel is high.

    Attributes:
        value: shape (C,), or (1,) for all channels alike; float32, or int32 for inputs that are whole numbers.
        above: shape as ``value``, bool: high from the value up; otherwise from the value down.

    Example:
        >>> t = Thresholds(value=torch.tensor([0.5, 0.5]), above=torch.tensor([True, False]))
        >>> t(torch.tensor([[0.5, 0.5], [1.0, 1.0]]))
        tensor([[ True,  True],
                [ True, False]])
    """

    value: Tensor
    above: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return which elements are high, bool; channels lie in dimension 1. NaN is low."""
        shape = (-1, *([1] * (x.dim() - 2)))
        value, above = self.value.to(x.dtype).view(shape), self.above.view(shape)
        return torch.where(above, x >= value, x <= value)

    def whole(self) -> Thresholds:
        """Return the same for inputs that are whole numbers up to 2**24 in size, as int32.

        Example:
            >>> Thresholds(value=torch.tensor([0.5, 0.5]), above=torch.tensor([True, False])).whole().value
            tensor([1, 0], dtype=torch.int32)
        """
        rounded = torch.where(self.above, self.value.ceil(), self.value.floor())
        # one beyond every sum: always or never, as infinity was; float32 cannot hold it, float64 can
        bounded = rounded.double().clamp(-LARGEST_SUM - 1, LARGEST_SUM + 1)
        return Thresholds(value=bounded.to(torch.int32), above=self.above)


@torch.no_grad()
def fold(
    function: Callable[[Tensor], Tensor], high: float, channels: int, dimensions: int, *, whole: bool = False
) -> Thresholds:
    """Find where a function of each channel takes its high value.

    Args:
        function: monotone in every channel, elementwise otherwise; maps shape (1, C, ...) to itself, float32.
        high: the value that counts as high; every other one is low.
        channels: C.
        dimensions: of the tensors that the function takes, the others of size 1.
        whole: look no further than the whole numbers that float32 holds.

    Returns:
        Thresholds, float32; equal to the function on every float32 number (up to 2**24 in size, if whole).

    Raises:
        PackError: the function gives NaN.

    Example:
        >>> norm = torch.nn.BatchNorm1d(2).eval()
        >>> _ = norm.weight.data.copy_(torch.tensor([1.0, -1.0])), norm.running_mean.copy_(torch.tensor([3.0, 3.0]))
        >>> t = fold(lambda x: torch.where(norm(x) >= 0, 1.0, -1.0), 1.0, 2, 2)
        >>> t.value, t.above
        (tensor([3., 3.]), tensor([ True, False]))
    """
    shape = (1, channels, *([1] * (dimensions - 2)))
    end = int(torch.tensor(float(LARGEST_SUM)).view(torch.int32)) if whole else _LARGEST_FLOAT

    def is_high(order: Tensor) -> Tensor:
        made = function(_float(order).view(shape))
        if bool(made.isnan().any()):
            raise PackError(
                "What follows a layer gives NaN; its norm has running statistics or weights that are no numbers."
            )
        return made.view(-1) == high

    low, top = torch.full((channels,), -end), torch.full((channels,), end)
    below, above = is_high(low), is_high(top)
    rising = above  # of the two ends, this one is high, if only one is
    no, yes = torch.where(rising, low, top), torch.where(rising, top, low)
    while bool(((yes - no).abs() > 1).any()):
        middle = (no + yes) // 2
        found = is_high(middle)
        yes, no = torch.where(found, middle, yes), torch.where(found, no, middle)
    value = _float(yes)
    value = torch.where(below & above, -torch.inf, torch.where(below | above, value, torch.inf))
    return Thresholds(value=value, above=rising | ~below)


def _float(order: Tensor) -> Tensor:
    """Return the float32 with this place in the order of all of them, 0 being zero: int64 to float32."""
    bits = torch.where(order < 0, -order - 2**31, order)
    return bits.to(torch.int32).view(torch.float32)
