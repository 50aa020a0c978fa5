"""Kind of a task's inputs (images, tables, series or text)."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from actlab.tasks.task import Task

__all__ = ["FLAT_IMAGES", "INPUT_KINDS", "InputKind", "as_images", "input_kind"]

InputKind: TypeAlias = Literal["image", "table", "series", "text"]
INPUT_KINDS: Final = ("image", "table", "series", "text")
_IMAGE_CHANNELS: Final = (1, 3, 4)
#: Why rows of numbers are no images.
FLAT_IMAGES: Final = "the images are stored as rows of {} numbers, which are neither a square nor three of them"


def input_kind(task: Task, inputs: Tensor) -> InputKind:
    """Return the kind of a task's inputs: as the task says, or by their dtype and shape.

    Inputs of shape (n, 1 or 3 or 4, height, width) or (n, height, width) with both sides from 8 up and within a factor 4 are images, of
    floating point numbers or of bytes. All other integers are text. Floating point numbers of shape (n, features) are a table, and all else
    series.

    Args:
        task: whose ``input_kind`` counts, where it has one.
        inputs: of any split, shape (n, ...).

    Example:
        >>> import torch
        >>> from actlab.tasks import resolve
        >>> digits = resolve("digits")
        >>> input_kind(digits, torch.zeros(2, 1, 28, 28)), input_kind(digits, torch.zeros(2, 64))
        ('image', 'table')
    """
    if task.input_kind is not None:
        return task.input_kind
    channels = inputs.shape[1] if inputs.ndim == 4 else 1
    is_picture = inputs.ndim in {3, 4} and channels in _IMAGE_CHANNELS and _is_picture(*inputs.shape[-2:])
    if is_picture and (inputs.is_floating_point() or inputs.dtype == torch.uint8):
        return "image"
    if not inputs.is_floating_point() and not inputs.is_complex():
        return "text"
    return "table" if inputs.ndim == 2 else "series"


def as_images(inputs: Tensor) -> Tensor | None:
    """Return inputs of the kind "image" as shape (n, channels, height, width); None where they cannot be seen so.

    Args:
        inputs: shape (n, channels, height, width), (n, height, width), or stored flat, (n, numbers), as a square of 1 or 3 channels.

    Example:
        >>> as_images(torch.zeros(2, 784)).shape, as_images(torch.zeros(2, 3072)).shape, as_images(torch.zeros(2, 7))
        (torch.Size([2, 1, 28, 28]), torch.Size([2, 3, 32, 32]), None)
    """
    if inputs.ndim == 2:
        for channels in (1, 3):  # four squares are a square
            side = math.isqrt(inputs.shape[1] // channels)
            if side > 1 and channels * side * side == inputs.shape[1]:
                return inputs.reshape(-1, channels, side, side)
    if inputs.ndim == 3:
        return inputs[:, None]
    return inputs if inputs.ndim == 4 else None


def _is_picture(height: int, width: int) -> bool:
    return min(height, width) >= 8 and max(height, width) <= 4 * min(height, width)
