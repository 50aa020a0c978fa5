"""The tally: what is counted at one point of a model, batch after batch, in memory that does not grow.

Numbers are summed within a batch in float32 at least, from batch to batch in float64, whatever the model computes in.
"""

from __future__ import annotations

from math import nan, prod, sqrt
from typing import Final

import torch
from torch import Tensor

from actlab.errors import ActlabError
from actlab.functions.analysis.saturation import tails
from actlab.nn.probes.effective_rank import ROWS, Spread
from actlab.nn.probes.hooks import Again, Point, Side
from actlab.nn.probes.quantile_sketch import Sketch
from actlab.nn.probes.slopes import slopes_squared

__all__ = ["Accumulator", "Moments"]

_EXACT: Final = 1 << 24
_NARROW: Final = {torch.float16, torch.bfloat16}


class Moments:
    """Count, mean and sum of squared deviations, streamed (Chan, Golub, LeVeque 1979).

    Attributes:
        count: elements.
        mean: of them, float64.
        squares: sum of squared deviations from it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor = torch.zeros(())
        self.squares: Tensor = torch.zeros(())

    def see(self, values: Tensor) -> None:
        """Take in all elements of a tensor: in passes that cancel nothing; ``torch.var_mean`` takes 20 times as long on a CPU."""
        mean = values.mean()
        self.add(values.numel(), mean, (values - mean).square_().mean())

    def add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Take in ``count`` elements with this mean and (biased) variance."""
        mean = mean.to(_accumulated(mean))
        squares = variance.to(mean.dtype) * count
        if not self.count:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = self.count + count
        away = mean - self.mean
        self.mean = self.mean + away * (count / total)
        self.squares = self.squares + squares + away.square() * (self.count * count / total)
        self.count = total

    def merge(self, other: Moments) -> None:
        """Take in the elements of another stream."""
        if other.count:
            self.add(other.count, other.mean, other.squares / other.count)

    @property
    def whole(self) -> tuple[float, float]:
        """Mean and variance."""
        return (float(self.mean), float(self.squares) / self.count) if self.count else (nan, nan)


class Accumulator:
    """What is counted at one point.

    Args:
        point: where.
        threshold: outputs whose absolute value is not above it count as inactive.
        rank: whether the covariance is summed up.

    Attributes:
        output: moments of the output, over all units.
        input: moments of the input, likewise.
        count: outputs of each unit that were seen.
        sums: of the outputs of each unit.
        zeros: elements of each unit that were exactly zero.
        inactive: elements of each unit that were not above the threshold.
        saturated: elements of each unit on a flat end of the function and not zero; None where it has none that counts.
        slopes: sum of squared slopes, by unit; None where they are not known.
        moved: whether the slope of any element of the unit was not exactly zero.
        silent: batches in which the unit was zero throughout.
        batches: how many.
        samples: how many, by the first dimension.
        gradients: sums over batches of the squared gradient norms, by side.
        gradient_batches: batches whose gradients were finite.
        overflowed: batches whose gradients were not, as happens with scaled losses.
    """

    def __init__(self, point: Point, *, threshold: float = 0.0, rank: bool = True) -> None:
        self.point = point
        self.threshold = threshold
        self.output, self.input = Moments(), Moments()
        self.sketch = Sketch()
        self.spread = Spread(point.width) if rank and point.dim is not None else None
        self.bounds = _bounds(point)
        self.saturates_on_both_sides = self.bounds is not None and self.bounds[1]
        self.count = 0
        self.sums: Tensor | float = 0.0
        self.zeros: Tensor | int = 0
        self.inactive: Tensor | int = 0
        self.saturated: Tensor | None = None
        self.slopes: Tensor | None = None
        self.slope_count = 0
        self.moved: Tensor | None = None
        self.silent: Tensor | int = 0
        self.batches = self.samples = 0
        self.gradients: dict[Side, float] = {"input": 0.0, "output": 0.0}
        self.unit_gradients: Tensor | None = None
        self.gradient_batches = self.overflowed = 0
        self._batch_zeros: Tensor | int = 0
        self._batch_count = 0
        self._batch_gradients: dict[Side, Tensor] = {}
        self._batch_units: Tensor | None = None

    # ------------------------------------------------------------------------------------------- forward

    @torch.no_grad()
    def see(self, x: Tensor, y: Tensor, again: Again | None) -> None:
        """Count one execution."""
        squared = slopes_squared(self.point, x, again) if again is not None else None
        x, y = _wide(x.detach()), _wide(y.detach())
        dims, count = self._dims(y), y.numel() // self.point.width
        if not self._batch_count:  # of a net that runs several times in a batch, the samples count once
            self.samples += y.shape[0] if y.dim() > 1 else 1
        self._output(y, dims, count)
        self.input.see(x)
        if self.bounds is not None and x.shape == y.shape:
            (low, high), _ = self.bounds
            stuck = ((x < low) | (x > high)) & (y != 0)
            self.saturated = _sum(self.saturated, _counted(stuck.to(y.dtype), dims))
        if squared is not None:
            self._slopes(squared, dims, count)
        if self.spread is not None:
            self.spread.add(_rows(y, self.point.dim or -1))

    def _output(self, y: Tensor, dims: list[int], count: int) -> None:
        self.output.see(y)
        self.count += count
        sums = (y.sum(dims) if dims else y).reshape(-1)
        self.sums = self.sums + sums.to(_accumulated(sums))
        zeros = _counted(torch.eq(y, 0, out=torch.empty_like(y)), dims)
        self._batch_zeros, self._batch_count = self._batch_zeros + zeros, self._batch_count + count
        self.zeros = self.zeros + zeros
        self.inactive = self.inactive + (
            _counted((y.abs() <= self.threshold).to(y.dtype), dims) if self.threshold else zeros
        )
        self.sketch.add(y)

    def _slopes(self, squared: Tensor, dims: list[int], count: int) -> None:
        per_unit = squared.sum(dims).reshape(-1) if dims else squared.reshape(-1)
        largest = squared.amax(dims).reshape(-1) if dims else squared.reshape(-1)
        self.slopes = _sum(self.slopes, per_unit.to(_accumulated(per_unit)))
        self.slope_count += count
        self.moved = largest > 0 if self.moved is None else self.moved | (largest > 0)

    def _dims(self, y: Tensor) -> list[int]:
        """Return the dimensions over which a unit's elements are spread."""
        if self.point.dim is None or y.dim() == 0:
            return list(range(y.dim()))
        unit = self.point.dim % y.dim()
        return [dim for dim in range(y.dim()) if dim != unit]

    # ------------------------------------------------------------------------------------------ gradient

    @torch.no_grad()
    def see_gradient(self, side: Side, gradient: Tensor, scale: float = 1.0) -> None:
        """Count the gradient at the input or the output of one execution, of a loss that was multiplied by ``scale``."""
        wide = torch.promote_types(gradient.dtype, torch.float32)
        dims = self._dims(gradient)
        has_units = side == "input" and self.point.dim is not None and gradient.numel() > 0 and dims
        if has_units and gradient.shape[self.point.dim or -1] == self.point.width:
            norms = torch.linalg.vector_norm(gradient, dim=dims, dtype=wide) / scale
            self._batch_units = _sum(self._batch_units, norms.square().to(_accumulated(norms)))
            total = norms.square().sum()
        else:
            total = (torch.linalg.vector_norm(gradient, dtype=wide) / scale).square()
        before = self._batch_gradients.get(side)
        self._batch_gradients[side] = total if before is None else before + total

    def end_batch(self) -> None:
        """Close the batch: what is defined by batches is counted now."""
        if self._batch_count:
            self.batches += 1
            self.silent = self.silent + (self._batch_zeros == self._batch_count)
        self._batch_zeros, self._batch_count = 0, 0
        sums: dict[Side, float] = {side: float(total) for side, total in self._batch_gradients.items()}
        if sums and all(map(_is_finite, sums.values())):
            self.gradient_batches += 1
            for side, total in sums.items():
                self.gradients[side] += total
            if self._batch_units is not None:
                self.unit_gradients = _sum(self.unit_gradients, self._batch_units)
        elif sums:
            self.overflowed += 1
        self._batch_gradients, self._batch_units = {}, None

    # --------------------------------------------------------------------------------------------- whole

    def merge(self, other: Accumulator) -> None:
        """Take in what another tally of the same point has counted."""
        self.output.merge(other.output)
        self.input.merge(other.input)
        self.sketch.merge(other.sketch)
        if self.spread is not None and other.spread is not None:
            self.spread.merge(other.spread)
        for name in ("sums", "zeros", "inactive", "silent"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("saturated", "slopes", "unit_gradients"):
            if getattr(other, name) is not None:
                setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        if other.moved is not None:
            self.moved = other.moved if self.moved is None else self.moved | other.moved
        for name in ("count", "slope_count", "batches", "samples", "gradient_batches", "overflowed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for side in self.gradients:
            self.gradients[side] += other.gradients[side]

    @property
    def chi(self) -> float:
        """Mean squared slope, E f'^2; NaN where slopes are not known."""
        if self.slopes is None:
            return nan
        return float(self.slopes.sum()) / (self.slope_count * self.point.width)

    def gradient_norm(self, side: Side) -> float:
        """Root mean square over batches of the gradient's norm; NaN where none was seen."""
        return sqrt(self.gradients[side] / self.gradient_batches) if self.gradient_batches else nan


def _bounds(point: Point) -> tuple[tuple[float, float], bool] | None:
    """Return beyond which inputs a unit is saturated, and whether the function saturates on both sides; None where it never does."""
    if point.running.kind != "elementwise" or point.running.spec is None:
        return None
    try:
        ends = tails(point.running.spec)
    except (ActlabError, ArithmeticError):  # no formula to ask
        return None
    low, high = ends.saturated
    return None if low == -float("inf") and high == float("inf") else ((low, high), ends.both)


def _counted(ones: Tensor, dims: list[int]) -> Tensor:
    """Count floating ones by unit: whole numbers in float32 are exact up to 2^24, and summed eight times as fast as booleans."""
    wide = torch.float64 if ones.numel() > _EXACT and ones.device.type != "mps" else None
    counted = ones.sum(dims, dtype=wide) if dims else ones
    return counted.reshape(-1).to(_accumulated(ones))


def _sum(before: Tensor | None, more: Tensor) -> Tensor:
    return more if before is None else before + more


def _is_finite(value: float) -> bool:
    return value - value == 0


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _NARROW else tensor


def _accumulated(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64  # MPS has no float64


def _rows(y: Tensor, dim: int) -> Tensor:
    """Return at most :data:`ROWS` rows of units, evenly spread over the batch and its positions, which are not copied as a whole."""
    if y.dim() < 2:
        return y.reshape(1, -1)
    last = y.movedim(dim, -1)
    shape = last.shape[:-1]
    total = prod(shape)
    step = max(1, -(-total // ROWS)) | 1  # odd, so that it does not meet the same position in every image
    picked = torch.arange(0, total, step, device=y.device)
    return last[torch.unravel_index(picked, shape)]
