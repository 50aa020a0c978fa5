"""Layer that interpolates from an old function to a new one, with a scheduled or learned weight.

It computes ``(1 - t) old + t new``. At t = 0 only the old function runs and at t = 1 only the new one, so that both ends are exact to the
bit. In between, t is the share of the schedule, or ``share ** exp(pace)`` with a learned pace: each site learns to change early or late,
and the ends stay exact.

Where the new function has another width (a gated block has two thirds of the hidden units), two blocks run side by side: the first layer
returns both widths concatenated, the function in between works on each part, and the last layer adds the two results.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actlab.errors import LayerError
from actlab.nn.layers.learned_numbers import number, unsqueeze_numbers, unsqueeze_parameters

__all__ = ["PACE_LIMIT", "Blend"]

#: Learned exponents stay between exp(-2) and exp(2): beyond, a site would change within a few steps, like a plain swap.
PACE_LIMIT = 2.0


class Blend(nn.Module):
    """An old function and a new one, and the weight of the new one.

    Args:
        old: the function to fade out; if it is a module, its parameters stay trainable.
        new: the function to fade in.
        learned: learn the pace, a parameter that starts at 0 (t equals the share) and has no penalty.
        overwrites: whether ``old`` works in place; it then gets a copy while both run.
        split: index in the last dimension at which the input is split into parts for ``old`` and ``new``; None where both get all of it.
        joins: whether the results are added; otherwise they are concatenated in the last dimension.
        like: a tensor with the device and dtype of the layer's own numbers.

    Raises:
        LayerError: :meth:`set_share` or :meth:`set_scale` gets a number out of range.

    Example:
        >>> blend = Blend(nn.ReLU(), nn.Tanh())
        >>> x = torch.tensor([-1.0, 2.0])
        >>> blend(x)
        tensor([0., 2.])
        >>> blend.set_share(0.5)
        >>> blend(x)
        tensor([-0.3808,  1.4820])
    """

    old: Callable[..., Tensor]
    new: nn.Module
    share: Tensor
    scale: Tensor

    def __init__(
        self,
        old: Callable[..., Tensor],
        new: nn.Module,
        *,
        learned: bool = False,
        overwrites: bool = False,
        split: int | None = None,
        joins: bool = True,
        like: Tensor | None = None,
    ) -> None:
        super().__init__()
        like = torch.empty(()) if like is None else like
        self.old = old
        self.new = new
        self.overwrites = overwrites
        self.split = split
        self.joins = joins
        self.keeps_scale = False
        self.stage: Literal["old", "both", "new"] = "old"
        self.register_buffer("share", torch.zeros((), dtype=like.dtype, device=like.device))
        self.register_buffer("scale", torch.ones((), dtype=like.dtype, device=like.device))
        self.pace = nn.Parameter(number(0.0).to(like.device, like.dtype)) if learned else None
        self._is_matched = False

    def set_share(self, share: float) -> None:
        """Set the share of the new function, from 0 to 1, from the next forward pass on."""
        if not 0.0 <= share <= 1.0:
            raise LayerError(f"The share of a blend is from 0 (the old function) to 1 (the new one); got {share!r}.")
        self.share.fill_(share)
        self.stage = "old" if share == 0 else "new" if share == 1 else "both"

    def set_scale(self, scale: float, *, keep: bool = False) -> None:
        """Set a factor of the new function's output.

        Args:
            scale: above 0.
            keep: whether it stays constant, to be folded into later weights; otherwise it decays to 1 as ``scale ** (1 - t)``.
        """
        if not (isfinite(scale) and scale > 0):
            raise LayerError(f"The scale of a blend is a number above 0; got {scale!r}.")
        self.scale.fill_(scale)
        self.keeps_scale = keep
        self._is_matched = scale != 1.0

    @property
    def weight_of_new(self) -> Tensor:
        """The weight t, a 0-d tensor, with a gradient where the pace is learned."""
        if self.pace is None:
            return self.share
        return self.share ** self.pace.squeeze(0).clamp(-PACE_LIMIT, PACE_LIMIT).exp()

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the old function, the new one, or both.

        Args:
            x: input of the functions; where the input is split and both run, ``(..., split + rest)``.
            others: further inputs of both functions.

        Returns:
            The output of one function, or the weighted sum of both.
        """
        if self.stage == "old":
            return self.old(x, *others)
        if self.stage == "new":
            return self._apply_scale(self.new(x, *others), None)
        first, second = (x, x) if self.split is None else (x[..., : self.split], x[..., self.split :])
        old = self.old(first.clone() if self.overwrites else first, *others)
        t = self.weight_of_new
        new = self._apply_scale(self.new(second, *others), t)
        return (1 - t) * old + t * new if self.joins else torch.cat([old, new], dim=-1)

    def _apply_scale(self, new: Tensor, t: Tensor | None) -> Tensor:
        if not self._is_matched or (t is None and not self.keeps_scale):
            return new
        return new * (self.scale if self.keeps_scale or t is None else self.scale ** (1 - t))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        unsqueeze_parameters(self)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        unsqueeze_numbers(self._parameters, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        share, scale = float(self.share), float(self.scale)
        self.stage = "old" if share == 0 else "new" if share == 1 else "both"
        self._is_matched = scale != 1.0

    def extra_repr(self) -> str:
        """Return share and pace."""
        pace = "" if self.pace is None else f", pace={float(self.pace.detach()):.3g}"
        return f"share={float(self.share):.3g}{pace}"
