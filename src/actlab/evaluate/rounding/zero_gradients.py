"""Share of exactly zero gradients at each activation, in the model's dtype and in mixed precision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side

__all__ = ["zero_gradients"]


class _Zeros:
    """Observer that counts gradients at inputs of activations, and those that are zero although the one at the output is not."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:
        """Ignore values."""

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        if side == "input":
            count = self.counts[point.path]
            count[0] += int((gradient == 0).sum())
            count[1] += gradient.numel()


def zero_gradients(
    model: nn.Module, loss_of: Callable[[nn.Module], Tensor], *, dtype: torch.dtype | None = None
) -> dict[str, float]:
    """Return the share of exactly zero gradients at the input of each activation, by path.

    In bfloat16 torch computes the gradient of functions that are saved by their output from the rounded output: that of tanh is zero from
    3.47 on, and that of sigmoid, as of the gate of ``F.glu``, from 6.25 on (torch 2.13.0, CPU).

    Args:
        model: its ``.grad`` is changed; call it inside :func:`actlab.evaluate.restored_model.restored`.
        loss_of: of the model, returns a scalar.
        dtype: of ``torch.autocast``; None for the model's own.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh())
        >>> _ = net[0].weight.data.fill_(1.0)
        >>> x = torch.tensor([[1.0], [5.0]])
        >>> [zero_gradients(net, lambda model: model(x).sum(), dtype=dtype) for dtype in (None, torch.bfloat16)]
        [{'1': 0.0}, {'1': 0.5}]
    """
    zeros = _Zeros()
    device = next((weight.device.type for weight in model.parameters()), "cpu")
    with Hooks(model, zeros), torch.autocast(device, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        loss_of(model).float().backward()  # type: ignore[no-untyped-call] # torch has no annotation for it
    return {path: zero / total for path, (zero, total) in zeros.counts.items() if total}
