"""Recompute a layer's input in the backward pass instead of saving it.

For ``y = act(x)``, ``z = linear(y)`` autograd saves ``x`` for the activation and ``y`` for the layer. Here only ``x`` is saved. The
backward pass computes ``y`` again, uses it for the gradient of the weight, and propagates the gradient of ``y`` through the activation
that it has just run. The operations and numbers are the same, so the result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from actlab.codegen.eager_mode import is_batch

__all__ = [
    "AutocastState",
    "Consumer",
    "ConvolutionConsumer",
    "LinearConsumer",
    "TensorFunction",
    "apply_with_recompute",
]

TensorFunction = Callable[..., Tensor]


class AutocastState(NamedTuple):
    """State of autocast on a device.

    Attributes:
        device: device type.
        dtype: what it casts to; None where it is off.
    """

    device: str
    dtype: torch.dtype | None

    @classmethod
    def current(cls, device: str) -> AutocastState:
        """Return the current state; devices without autocast (meta) count as off."""
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return cls(device=device, dtype=torch.get_autocast_dtype(device))
        return cls.off(device)

    @classmethod
    def off(cls, device: str) -> AutocastState:
        """Return the state in which autocast is off."""
        return cls(device=device, dtype=None)

    def restored(self) -> AbstractContextManager[None]:
        """Return a context manager that restores this state."""
        if AutocastState.current(self.device) == self:
            return nullcontext()
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None, cache_enabled=False)


class Consumer(Protocol):
    """A layer as a function of its input ``y``, a weight and a bias, linear in each."""

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
        output_padding = [0] * len(self.stride)
        gradients: Any = torch.ops.aten.convolution_backward(
            grad,
            y,
            weight,
            sizes,
            self.stride,
            self.padding,
            self.dilation,
            False,
            output_padding,
            self.groups,
            list(needed),
        )
        return tuple(gradient if need else None for gradient, need in zip(gradients, needed, strict=True))  # type: ignore[return-value]  # as many as autograd asks for


def apply_with_recompute(
    recipe: TensorFunction, tensors: Sequence[Tensor], consumer: Consumer, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return ``consumer(recipe(*tensors), weight, bias)``, with ``recipe(*tensors)`` computed again in the backward pass.

    Args:
        recipe: deterministic, without random numbers or side effects.
        tensors: its arguments, learned parameters included.
        consumer: the layer applied to the result.
        weight: of the consumer.
        bias: of the consumer, or None.

    Example:
        >>> x, weight = torch.ones(1, 2, requires_grad=True), torch.ones(3, 2, requires_grad=True)
        >>> apply_with_recompute(torch.square, [x], LinearConsumer(), weight, None).sum().backward()
        >>> x.grad
        tensor([[6., 6.]])
    """
    autocast = AutocastState.current(weight.device.type)
    if autocast.dtype is not None:  # outside the Function, so that autograd casts the gradient back
        weight, bias = weight.to(autocast.dtype), None if bias is None else bias.to(autocast.dtype)
    z: Tensor = _Recompute.apply(recipe, consumer, autocast, weight, bias, *tensors)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return z


class _Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        recipe, consumer, autocast, weight, bias, *tensors = args
        ctx.recipe, ctx.consumer, ctx.autocast = recipe, consumer, autocast
        ctx.save_for_backward(weight, *tensors)
        y = _cast(recipe(*tensors), autocast)
        with AutocastState.off(autocast.device).restored():
            z: Tensor = consumer(y, weight, bias)
        return z

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        gradients = _differentiable_gradients if torch.is_grad_enabled() or is_batch(grad) else _gradients
        return (None, None, None, *gradients(ctx, grad, weight, tensors, needed))


def _cast(y: Tensor, autocast: AutocastState) -> Tensor:
    return y if autocast.dtype is None else y.to(autocast.dtype)


def _gradients(
    ctx: Any, grad: Tensor, weight: Tensor, tensors: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    leaves = [tensor.detach().requires_grad_(need) for tensor, need in zip(tensors, needed[2:], strict=True)]
    inputs = [leaf for leaf in leaves if leaf.requires_grad]
    with torch.enable_grad(), ctx.autocast.restored():
        y = ctx.recipe(*leaves)
    edge = torch.autograd.graph.get_gradient_edge(y) if y.requires_grad else None
    dtype, y = y.dtype, _cast(y.detach(), ctx.autocast)
    of_y, of_weight, of_bias = ctx.consumer.gradients(grad, y, weight, (bool(inputs), *needed[:2]))
    del y  # its gradient does not need its values, which would raise peak memory by a copy
    of_leaves = iter(torch.autograd.grad([edge], inputs, [of_y.to(dtype)], allow_unused=True) if edge else ())
    return [of_weight, of_bias, *(next(of_leaves, None) if leaf.requires_grad else None for leaf in leaves)]


def _differentiable_gradients(
    ctx: Any, grad: Tensor, weight: Tensor, tensors: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Differentiate plain tensor code, for gradients of gradients (``create_graph=True``) and batches of gradients (``vmap``)."""
    with torch.enable_grad():
        views = [tensor.view_as(tensor) for tensor in (weight, *tensors)]  # the same tensor may occur twice: x * act(x)
        with ctx.autocast.restored():
            y = _cast(ctx.recipe(*views[1:]), ctx.autocast)
        with AutocastState.off(ctx.autocast.device).restored():
            z = ctx.consumer(y, views[0], None)
    with AutocastState.off(ctx.autocast.device).restored():
        of_bias = ctx.consumer.gradients(grad, y, views[0], (False, False, needed[1]))[2]
    inputs = [tensor for tensor, need in zip(views, (needed[0], *needed[2:]), strict=True) if need]
    again = torch.is_grad_enabled()
    grads = iter(torch.autograd.grad(z, inputs, grad, create_graph=again, allow_unused=True) if inputs else ())
    of_weight = next(grads) if needed[0] else None
    return [of_weight, of_bias, *(next(grads) if need else None for need in needed[2:])]
