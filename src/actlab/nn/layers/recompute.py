"""Recomputing: a layer with weights whose input is not kept but computed again in the backward pass.

``y = act(x)``, ``z = linear(y)``: autograd keeps ``x`` for the activation and ``y`` for the layer. Here ``x`` alone is kept. The backward
pass computes ``y`` once more, takes the gradient of the weight from it, and sends the gradient of ``y`` through the activation it has just
run. The same operations on the same numbers: the result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["AutocastState", "Consumer", "ConvolutionConsumer", "LinearConsumer", "Recipe", "apply_with_recompute"]

Recipe = Callable[..., Tensor]


class AutocastState(NamedTuple):
    """What autocast does at a moment on a device.

    Attributes:
        device: type of the device.
        dtype: what it casts to; None where it is off.
    """

    device: str
    dtype: torch.dtype | None

    @classmethod
    def now(cls, device: str) -> AutocastState:
        """Look at it; devices that autocast does not know (meta) count as off."""
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return cls(device=device, dtype=torch.get_autocast_dtype(device))
        return cls.off(device)

    @classmethod
    def off(cls, device: str) -> AutocastState:
        """Return what it is where it does nothing."""
        return cls(device=device, dtype=None)

    def again(self) -> AbstractContextManager[None]:
        """Run what is inside as it was at that moment."""
        if AutocastState.now(self.device) == self:
            return nullcontext()
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None, cache_enabled=False)


class Consumer(Protocol):
    """A function of ``y``, a weight and a bias, linear in each."""

    def __call__(self, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Apply it."""

    def gradients(
        self, grad: Tensor, y: Tensor, weight: Tensor, needed: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of ``y``, of the weight and of the bias, those that are needed."""


@dataclass(frozen=True)
class LinearConsumer:
    """``F.linear``: ``y`` of shape ``(..., inputs)``, a weight of shape ``(outputs, inputs)``."""

    def __call__(self, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Apply it."""
        return F.linear(y, weight, bias)

    def gradients(
        self, grad: Tensor, y: Tensor, weight: Tensor, needed: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of ``y``, of the weight and of the bias, those that are needed."""
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            grad @ weight if needed[0] else None,
            rows.t() @ y.reshape(-1, y.shape[-1]) if needed[1] else None,
            rows.sum(0) if needed[2] else None,
        )


@dataclass(frozen=True, kw_only=True)
class ConvolutionConsumer:
    """``F.conv1d``, ``conv2d`` or ``conv3d`` of a batch."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def __call__(self, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Apply it."""
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.stride) - 1]
        return convolve(y, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def gradients(
        self, grad: Tensor, y: Tensor, weight: Tensor, needed: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the gradients of ``y``, of the weight and of the bias, those that are needed."""
        sizes = [weight.shape[0]] if needed[2] else None
        nowhere = [0] * len(self.stride)
        made: Any = torch.ops.aten.convolution_backward(
            grad, y, weight, sizes, self.stride, self.padding, self.dilation, False, nowhere, self.groups, list(needed)
        )
        return tuple(gradient if need else None for gradient, need in zip(made, needed, strict=True))  # type: ignore[return-value]  # as many as autograd asks for


def apply_with_recompute(
    recipe: Recipe, tensors: Sequence[Tensor], consumer: Consumer, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return ``consumer(recipe(*tensors), weight, bias)``, with ``recipe(*tensors)`` computed again in the backward pass.

    Args:
        recipe: deterministic; draws nothing, changes nothing.
        tensors: all that it computes with, learned parameters included.
        consumer: what takes the result.
        weight: of the consumer.
        bias: of the consumer, or None.

    Example:
        >>> x, weight = torch.ones(1, 2, requires_grad=True), torch.ones(3, 2, requires_grad=True)
        >>> apply_with_recompute(torch.square, [x], LinearConsumer(), weight, None).sum().backward()
        >>> x.grad
        tensor([[6., 6.]])
    """
    autocast = AutocastState.now(weight.device.type)
    if autocast.dtype is not None:  # outside the Function, where autograd sees it and casts the gradient back
        weight, bias = weight.to(autocast.dtype), None if bias is None else bias.to(autocast.dtype)
    made: Tensor = _Recomputed.apply(recipe, consumer, autocast, weight, bias, *tensors)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        recipe, consumer, autocast, weight, bias, *tensors = args
        ctx.recipe, ctx.consumer, ctx.autocast = recipe, consumer, autocast
        ctx.save_for_backward(weight, *tensors)
        y = _cast(recipe(*tensors), autocast)
        with AutocastState.off(autocast.device).again():
            made: Tensor = consumer(y, weight, bias)
        return made

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        gradients = _through_plain_code if torch.is_grad_enabled() else _by_hand
        return (None, None, None, *gradients(ctx, grad, weight, tensors, needed))


def _cast(y: Tensor, autocast: AutocastState) -> Tensor:
    return y if autocast.dtype is None else y.to(autocast.dtype)


def _by_hand(
    ctx: Any, grad: Tensor, weight: Tensor, tensors: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    leaves = [tensor.detach().requires_grad_(need) for tensor, need in zip(tensors, needed[2:], strict=True)]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    with torch.enable_grad(), ctx.autocast.again():
        y = ctx.recipe(*leaves)
    edge = torch.autograd.graph.get_gradient_edge(y) if y.requires_grad else None
    dtype, y = y.dtype, _cast(y.detach(), ctx.autocast)
    of_y, of_weight, of_bias = ctx.consumer.gradients(grad, y, weight, (bool(wanted), *needed[:2]))
    del y  # its gradient needs no values of it, and would otherwise raise the peak by a copy
    made = iter(torch.autograd.grad([edge], wanted, [of_y.to(dtype)], allow_unused=True) if edge else ())
    return [of_weight, of_bias, *(next(made, None) if leaf.requires_grad else None for leaf in leaves)]


def _through_plain_code(
    ctx: Any, grad: Tensor, weight: Tensor, tensors: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Differentiate plain tensor code, so that the gradient has a gradient itself (``create_graph=True``)."""
    apart = [tensor.view_as(tensor) for tensor in (weight, *tensors)]  # one tensor may come twice: x * act(x)
    with ctx.autocast.again():
        y = _cast(ctx.recipe(*apart[1:]), ctx.autocast)
    with AutocastState.off(ctx.autocast.device).again():
        z = ctx.consumer(y, apart[0], None)
        of_bias = ctx.consumer.gradients(grad, y, apart[0], (False, False, needed[1]))[2]
    wanted = [tensor for tensor, need in zip(apart, (needed[0], *needed[2:]), strict=True) if need]
    made = iter(torch.autograd.grad(z, wanted, grad, create_graph=True, allow_unused=True) if wanted else ())
    of_weight = next(made) if needed[0] else None
    return [of_weight, of_bias, *(next(made) if need else None for need in needed[2:])]
