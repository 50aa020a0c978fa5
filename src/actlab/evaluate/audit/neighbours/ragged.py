"""Sequences and images of several sizes as numbers of one size, in which near duplicates stay near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from actlab.evaluate.audit.neighbours.descriptors import grey

__all__ = ["EvenSizes"]

_LENGTH: Final = 64  # moments to which every sequence is brought
_SIDE: Final = 32  # pixels of each side, for images


class EvenSizes:
    """Map from examples of several sizes to arrays of one size, which remembers along which dimension the sequences differ.

    Args:
        is_image: whether these are images, shape (height, width) or (channels, height, width), and no sequences.

    Example:
        >>> sequences = [np.arange(float(length)) for length in (5, 9, 70)]
        >>> EvenSizes(is_image=False)(sequences).shape
        (3, 64)
    """

    def __init__(self, *, is_image: bool) -> None:
        self._is_image = is_image
        self._time: int | None = None

    def __call__(self, values: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32] | None:
        """Return sequences as shape (n, numbers), images as (n, 32, 32); None where they differ in more than their length."""
        examples = [torch.from_numpy(np.nan_to_num(np.asarray(v, dtype=np.float32))) for v in values]
        if self._is_image:
            return _images(examples)
        if len({example.ndim for example in examples}) > 1 or not all(example.numel() for example in examples):
            return None
        self._time = _varying(examples) if self._time is None else self._time
        time = self._time or 0  # batches of one length do not say; of lists the first dimension is the usual one
        found = [_sequence(example.unsqueeze(-1) if example.ndim == 1 else example, time) for example in examples]
        return np.stack(found) if len({len(one) for one in found}) == 1 else None


def _varying(examples: Sequence[Tensor]) -> int | None:
    sizes = zip(*(example.shape for example in examples), strict=True)
    return next((dim for dim, of_dim in enumerate(sizes) if len(set(of_dim)) > 1), None)


def _sequence(values: Tensor, time: int) -> npt.NDArray[np.float32]:
    """Return 64 moments of a sequence, in all its channels; a copy at another speed, or of another sampling rate, has the same."""
    rows = values.movedim(time, -1).reshape(1, -1, values.shape[time])
    if rows.shape[2] < _LENGTH:
        return functional.interpolate(rows, _LENGTH, mode="linear", align_corners=True).flatten().numpy()
    return functional.adaptive_avg_pool1d(rows, _LENGTH).flatten().numpy()


def _images(examples: Sequence[Tensor]) -> npt.NDArray[np.float32] | None:
    if not all(example.ndim in {2, 3} for example in examples):
        return None
    return torch.cat([grey(example[None], side=_SIDE) for example in examples]).numpy()
