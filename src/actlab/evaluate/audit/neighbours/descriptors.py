"""Descriptors of images, series and tables in a few dimensions, in which near duplicates are near."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from actlab.evaluate.input_kind import FLAT_IMAGES, InputKind, as_images

__all__ = ["DIMENSIONS", "Descriptor", "grey", "image_descriptor"]

#: Dimensions of a descriptor. Random projections keep distances to 1 / sqrt(2 * 64), 9 % (Johnson and Lindenstrauss).
DIMENSIONS: Final = 64
_SIDE: Final = 32  # pixels to which larger images are reduced
_LENGTH: Final = 256  # numbers to which longer series are reduced
_CHANNELS: Final = (1, 2, 3, 4)
_FLAT: Final = 1e-6  # contrast below which an image shows nothing, as a share of its largest value
_FEWEST_VALUES: Final = 5  # distinct values of a column below which it tells categories apart
_FEWEST_COLUMNS: Final = 2
_QUANTILES: Final = 256


def image_descriptor(images: Tensor) -> Tensor:
    """Return what an image shows whatever its brightness, contrast and small shifts: magnitudes of its Fourier transform.

    Args:
        images: shape (n, height, width).

    Returns:
        Shape (n, numbers), all zeros for images of one colour.

    Example:
        >>> x = torch.zeros(1, 16, 16)
        >>> x[:, 4:9, 5:8] = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
        >>> moved = 0.5 * x.roll(2, 1) + 0.3
        >>> bool((image_descriptor(x) - image_descriptor(moved)).norm() < 1e-5 * image_descriptor(x).norm())
        True
    """
    centred = images - images.mean((1, 2), keepdim=True)
    contrast = centred.square().mean((1, 2), keepdim=True).sqrt()
    flat = contrast <= _FLAT * images.abs().amax((1, 2), keepdim=True)
    normal = torch.where(flat, 0.0, centred / torch.where(flat, 1.0, contrast))
    magnitudes: Tensor = torch.fft.rfft2(normal).abs().flatten(1)
    return magnitudes / math.sqrt(images[0].numel())


class Descriptor:
    """Map from the values of one part to points, fixed by the first values it sees.

    Images lose brightness, contrast and position; columns of tables are brought to one scale by their quantiles, rounded values are spread
    over the width of a step, so that the density of points is smooth, and columns of few values are left out.

    Args:
        kind: "image", "series" or "table".
        first: the first values, shape (n, ...), from which scales are taken.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(100, 3))
        >>> Descriptor("table", rows)(rows).shape
        (100, 3)
    """

    def __init__(self, kind: InputKind, first: npt.NDArray[Any]) -> None:
        self.kind, self._shape = kind, first.shape[1:]
        self._random = np.random.default_rng(0)
        self._columns: list[_Column] = []
        if kind == "table":
            rows = _numbers(first).reshape(len(first), -1)
            self._columns = [column for place in range(rows.shape[1]) if (column := _column(place, rows[:, place]))]
        self._flat = kind == "image" and first.ndim == 2 and as_images(torch.from_numpy(first[:1])) is None
        size = len(self._columns) if kind == "table" or self._flat else self._values(first[:1]).shape[1]
        self._size = max(1, size)
        self._projection = None if size <= DIMENSIONS else _projection(size)

    @property
    def why_not(self) -> str | None:
        """Why near duplicates cannot be told from others here; None where they can."""
        if self._flat:
            return FLAT_IMAGES.format(*self._shape)
        if self.kind == "table" and len(self._columns) < _FEWEST_COLUMNS:
            return f"fewer than {_FEWEST_COLUMNS} columns have {_FEWEST_VALUES} or more different values"
        return None

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
        """Return points, shape (n, at most 64); None for values of another size than the first ones."""
        if values.shape[1:] != self._shape and self.kind == "table":
            return None
        points = self._values(values)
        if points.shape[1] != self._size:
            return None
        if self._projection is not None:
            points = points @ self._projection
        return np.ascontiguousarray(points, dtype=np.float32)

    def _values(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.kind == "image":
            return image_descriptor(grey(torch.from_numpy(_numbers(values)))).numpy()
        if self.kind == "series":
            return _short(torch.from_numpy(_numbers(values)).flatten(1)).numpy()
        rows = _numbers(values).reshape(len(values), -1)
        if not self._columns:
            return np.zeros((len(rows), 1))
        return np.stack([column.scores(rows[:, column.place], self._random) for column in self._columns], axis=1)


def _numbers(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    plain = np.abs(values) if values.dtype.kind == "c" else values
    return np.nan_to_num(plain.astype(np.float32), nan=0.0, posinf=3e38, neginf=-3e38)


def _projection(size: int) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(0).normal(size=(size, DIMENSIONS)) / math.sqrt(DIMENSIONS)
    return drawn.astype(np.float32)


def grey(images: Tensor, *, side: int | None = None) -> Tensor:
    """Return images as shape (n, height, width), the mean of their channels.

    Args:
        images: shape (n, height, width), with channels before or behind these, or stored flat.
        side: pixels of each side of the result; by default at most 32 of each.
    """
    unfolded = as_images(images) if images.ndim == 2 else None
    if unfolded is not None:
        images = unfolded.mean(1)
    elif images.ndim == 4:
        images = images.mean(1 if images.shape[1] in _CHANNELS or images.shape[-1] not in _CHANNELS else -1)
    height, width = images.shape[-2:]
    size = (min(height, _SIDE), min(width, _SIDE)) if side is None else (side, side)
    return images if size == (height, width) else functional.interpolate(images[:, None], size, mode="area")[:, 0]


def _short(series: Tensor) -> Tensor:
    return series if series.shape[1] <= _LENGTH else functional.adaptive_avg_pool1d(series[:, None], _LENGTH)[:, 0]


class _Column:
    """Column of a table, as normal scores of its quantiles."""

    def __init__(self, place: int, values: npt.NDArray[Any], step: float) -> None:
        self.place, self.step = place, step
        levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        edges = np.sort(values)[(levels * len(values)).astype(np.int64)]
        self.edges, kept = np.unique(edges, return_index=True)
        self.scores_at = math.sqrt(2) * torch.erfinv(torch.from_numpy(2 * levels[kept] - 1)).numpy()
        self.range = max(float(self.edges[-1] - self.edges[0]), 1e-30)

    def scores(self, values: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
        spread = values + self.step * (random.random(len(values)) - 0.5)
        beyond = spread - np.clip(spread, self.edges[0], self.edges[-1])
        # beyond the outermost quantiles slower than in a straight line: few far values would be all that counts
        inside = np.interp(spread, self.edges, self.scores_at)
        return np.asarray(inside + np.sign(beyond) * np.log1p(np.abs(beyond) / self.range))


def _column(place: int, values: npt.NDArray[Any]) -> _Column | None:
    """Return a column of many values with the step between them; None for one of few values."""
    distinct = np.unique(values)
    if len(distinct) < _FEWEST_VALUES:
        return None
    gaps = np.diff(distinct)
    # Of rounded numbers most steps are equal to the smallest; of others the smallest is far below the usual one.
    return _Column(place, values, float(np.sort(gaps)[len(gaps) // 20]))
