"""Convolutions of all models of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from actlab.studies.stacked.stacked_tensor import StackedTensor

__all__ = ["convolve_images", "model_by_model"]

_PATCH: Final = 32  # numbers per patch up to which a convolution of data is computed as a matrix product of patches


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
    """Convolve data of few channels as a matrix product of patches, a third of the time of one model after the other."""
    given = [x, weight, *([] if bias is None else [bias])]
    if not all(isinstance(it, StackedTensor) for it in given) or kwargs:
        return NotImplemented
    defaults: tuple[Any, ...] = (1, 0, 1, 1)
    stride, padding, dilation, groups = [*args, *defaults[len(args) :]]
    numbers = isinstance(padding, int | tuple | list) and groups == 1 and x.stacked.dim() == 5
    if not numbers or x.stacked.requires_grad or prod(weight.stacked.shape[2:]) > _PATCH:
        return model_by_model(torch.conv2d)(x, weight, bias, *args)
    sizes = tuple(map(_pair, (stride, padding, dilation)))
    return StackedTensor(_conv_of_patches(x.stacked, weight.stacked, None if bias is None else bias.stacked, sizes))


def _pair(value: Any) -> tuple[int, int]:
    numbers = (value, value) if isinstance(value, int) else (*value, *value)[:2]
    return int(numbers[0]), int(numbers[1])


def _conv_of_patches(x: Tensor, weight: Tensor, bias: Tensor | None, sizes: Sequence[tuple[int, int]]) -> Tensor:
    stride, padding, dilation = sizes
    count, batch = x.shape[:2]
    outputs, _, *kernel = weight.shape[1:]
    patches = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    for dim in (0, 1):
        patches = patches.unfold(3 + dim, dilation[dim] * (kernel[dim] - 1) + 1, stride[dim])
    patches = patches[..., :: dilation[0], :: dilation[1]].permute(0, 2, 5, 6, 1, 3, 4)
    height, width = patches.shape[5:]
    columns, rows = patches.reshape(count, -1, batch * height * width), weight.reshape(count, outputs, -1)
    y = torch.bmm(rows, columns) if bias is None else torch.baddbmm(bias.unsqueeze(2), rows, columns)
    return y.view(count, outputs, batch, height, width).transpose(1, 2)
