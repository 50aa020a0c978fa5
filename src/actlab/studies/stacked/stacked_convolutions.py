"""Convolutions and pooling of all models of a stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from actlab.studies.stacked.stacked_tensor import StackedTensor

__all__ = ["as_channels", "convolve_images", "has_channels_of_all", "model_by_model", "of_channels"]

_FEW: Final = 8  # channels of an input up to which the models' convolutions are faster as groups of one


def as_channels(x: Tensor) -> Tensor:
    """Return the channels of all models as those of one: (models, n, channels, ...) as (n, models * channels, ...).

    Example:
        >>> as_channels(torch.zeros(3, 5, 2, 8, 8)).shape
        torch.Size([5, 6, 8, 8])
    """
    return x.transpose(0, 1).flatten(1, 2)


def of_channels(x: Tensor, models: int) -> Tensor:
    """Return the tensor of which :func:`as_channels` is ``x``, with the channels of all models next to each other in memory."""
    x = _channels_last(x)
    if x.requires_grad:  # with a gradient in another order torch copies larger tensors
        x.register_hook(_channels_last)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return x.view(len(x), models, -1, *x.shape[2:]).transpose(0, 1)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def has_channels_of_all(x: Tensor) -> bool:
    """Return whether the channels of all models are next to each other in memory, so that :func:`as_channels` copies nothing."""
    return x.dim() > 2 and x.stride(0) < x.stride(1) and x.stride(0) == x.shape[2] * x.stride(2)


def model_by_model(function: Any) -> Callable[..., Any]:
    """Return the stacked form of a function that torch runs as fast for one model after the other, as convolutions."""

    def apply(x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
        given = [x, weight, *([] if bias is None else [bias])]
        if not all(isinstance(it, StackedTensor) for it in given):
            return NotImplemented
        each = zip(*(it.stacked.unbind() for it in given), strict=True)
        fill = [None] if bias is None else []
        return StackedTensor(torch.stack([function(*one, *fill, *args, **kwargs) for one in each]))

    return apply


def convolve_images(x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Convolve images; those of few channels as groups of one convolution, with the channels of all models next to each other.

    One model after the other takes two to five times as long there, as their vectors are not filled.
    """
    given = [x, weight, *([] if bias is None else [bias])]
    if not all(isinstance(it, StackedTensor) for it in given) or kwargs or x.stacked.dim() != 5:
        return NotImplemented
    if weight.stacked.shape[2] > _FEW:
        return model_by_model(torch.conv2d)(x, weight, bias, *args)
    models = len(x.stacked)
    defaults: tuple[Any, ...] = (1, 0, 1, 1)
    stride, padding, dilation, groups = [*args, *defaults[len(args) :]]
    together = _channels_last(as_channels(x.stacked))
    shift = None if bias is None else bias.stacked.flatten()
    y = torch.conv2d(together, weight.stacked.flatten(0, 1), shift, stride, padding, dilation, groups * models)
    return StackedTensor(of_channels(y, models))
