"""Streaming statistics of one activation in constant memory.

Sums within a batch are in float32 at least, sums over batches in float64, whatever the dtype of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan, prod, sqrt
from typing import Final

import torch
from torch import Tensor

from actlab.errors import ActlabError
from actlab.functions.analysis.saturation import tails
from actlab.nn.probes.effective_rank import ROWS, UnitCovariance
from actlab.nn.probes.hooks import Point, Recompute, Side
from actlab.nn.probes.quantile_sketch import QuantileSketch
from actlab.nn.probes.slopes import slopes_squared

__all__ = ["Accumulator", "BatchCounts", "GradientSums", "Moments", "SlopeSums", "UnitSums"]

_EXACT: Final = 1 << 24
_NARROW: Final = {torch.float16, torch.bfloat16}


# -------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Count, mean and sum of squared deviations, streamed (Chan, Golub, LeVeque 1979).

    Attributes:
        count: number of elements.
        mean: their mean, float64.
        squares: sum of squared deviations from the mean, float64.
    """

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def with_values(self, values: Tensor) -> Moments:
        """Return the moments with all elements of a tensor added; ``torch.var_mean`` takes 20 times as long on a CPU."""
        mean = values.mean()
        return self.with_elements(values.numel(), mean, (values - mean).square_().mean())

    def with_elements(self, count: int, mean: Tensor, variance: Tensor) -> Moments:
        """Return the moments with ``count`` elements of this mean and (biased) variance added."""
        mean = mean.to(_wide_dtype(mean))
        squares = variance.to(mean.dtype) * count
        if not self.count:
            return Moments(count=count, mean=mean, squares=squares)
        total = self.count + count
        gap = mean - self.mean
        return Moments(
            count=total,
            mean=self.mean + gap * (count / total),
            squares=self.squares + squares + gap.square() * (self.count * count / total),
        )

    def __add__(self, other: Moments) -> Moments:
        return self.with_elements(other.count, other.mean, other.squares / other.count) if other.count else self

    @property
    def mean_and_variance(self) -> tuple[float, float]:
        """Mean and variance; NaN without elements."""
        return (float(self.mean), float(self.squares) / self.count) if self.count else (nan, nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitSums:
    """Sums over the outputs of each unit; tensors have shape ``(units,)``.

    Attributes:
        count: number of outputs of each unit.
        outputs: sum of the outputs.
        zeros: number of outputs that were exactly zero.
        inactive: number of outputs whose absolute value was not above the threshold.
        saturated: number of outputs on a flat end of the function and not zero; None for functions without a flat end.
    """

    count: int = 0
    outputs: Tensor | float = 0.0
    zeros: Tensor | int = 0
    inactive: Tensor | int = 0
    saturated: Tensor | None = None

    def __add__(self, other: UnitSums) -> UnitSums:
        return UnitSums(
            count=self.count + other.count,
            outputs=self.outputs + other.outputs,
            zeros=self.zeros + other.zeros,
            inactive=self.inactive + other.inactive,
            saturated=_sum(self.saturated, other.saturated),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SlopeSums:
    """Sums over the slopes of each unit.

    Attributes:
        count: number of slopes of each unit.
        squares: sum of squared slopes, shape ``(units,)``; None where slopes are not known.
        nonzero: whether any slope is not exactly zero, bool, shape ``(units,)``; None where slopes are not known.
    """

    count: int = 0
    squares: Tensor | None = None
    nonzero: Tensor | None = None

    def __add__(self, other: SlopeSums) -> SlopeSums:
        return SlopeSums(
            count=self.count + other.count,
            squares=_sum(self.squares, other.squares),
            nonzero=_either(self.nonzero, other.nonzero),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientSums:
    """Sums over the gradients of each batch.

    Attributes:
        input: sum of the squared gradient norms at the input.
        output: sum of the squared gradient norms at the output.
        units: sum of the squared gradients at the input of each unit, shape ``(units,)``; None where they were not measured.
        batches: number of batches with finite gradients.
        overflowed: number of batches without, as happens with scaled losses; they count nowhere else.
    """

    input: float = 0.0
    output: float = 0.0
    units: Tensor | None = None
    batches: int = 0
    overflowed: int = 0

    def __add__(self, other: GradientSums) -> GradientSums:
        return GradientSums(
            input=self.input + other.input,
            output=self.output + other.output,
            units=_sum(self.units, other.units),
            batches=self.batches + other.batches,
            overflowed=self.overflowed + other.overflowed,
        )

    def norm(self, side: Side) -> float:
        """Return the root mean square over batches of the gradient's norm; NaN without batches."""
        squares = self.input if side == "input" else self.output
        return sqrt(squares / self.batches) if self.batches else nan


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchCounts:
    """Counts over batches.

    Attributes:
        batches: number of batches.
        samples: number of samples, by the first dimension.
        silent: number of batches in which a unit was zero throughout, shape ``(units,)``.
    """

    batches: int = 0
    samples: int = 0
    silent: Tensor | int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(
            batches=self.batches + other.batches,
            samples=self.samples + other.samples,
            silent=self.silent + other.silent,
        )


@dataclass(kw_only=True, eq=False)
class _OpenBatch:
    """What was seen of the current batch: zeros and outputs of each unit, squared gradient norms."""

    zeros: Tensor | int = 0
    count: int = 0
    gradients: dict[Side, Tensor] = field(default_factory=dict)
    unit_gradients: Tensor | None = None


# ---------------------------------------------------------------------------------------- accumulator


class Accumulator:
    """Statistics of one point.

    Args:
        point: where.
        threshold: outputs whose absolute value is not above it count as inactive.
        rank: whether the covariance of the units is accumulated.

    Attributes:
        output: moments of the output, over all units.
        input: moments of the input, over all units.
        sketch: quantiles of the output.
        covariance: covariance of the units; None without ``rank``, and for functions that mix elements.
        units: sums over the outputs.
        slopes: sums over the slopes.
        gradients: sums over the gradients.
        batches: counts over batches.
        saturates_on_both_sides: whether the function has two flat ends.
    """

    def __init__(self, point: Point, *, threshold: float = 0.0, rank: bool = True) -> None:
        self.point = point
        self.threshold = threshold
        self.output, self.input = Moments(), Moments()
        self.sketch = QuantileSketch()
        self.covariance = UnitCovariance(point.width) if rank and point.dim is not None else None
        self.units, self.slopes = UnitSums(), SlopeSums()
        self.gradients, self.batches = GradientSums(), BatchCounts()
        self._flat_ends = _flat_ends(point)
        self.saturates_on_both_sides = self._flat_ends is not None and self._flat_ends[1]
        self._batch = _OpenBatch()

    @torch.no_grad()
    def add(self, x: Tensor, y: Tensor, recompute: Recompute | None) -> None:
        """Add one execution: input, output, and a function that computes the output again, for the slopes."""
        squared = slopes_squared(self.point, x, recompute) if recompute is not None else None
        x, y = _widened(x.detach()), _widened(y.detach())
        dims, count = self._dims(y), y.numel() // self.point.width
        if not self._batch.count:  # a net may run several times in a batch, whose samples count once
            self.batches += BatchCounts(samples=y.shape[0] if y.dim() > 1 else 1)
        self.output = self.output.with_values(y)
        self.input = self.input.with_values(x)
        units = self._unit_sums(x, y, dims, count)
        self.units += units
        self._batch.zeros, self._batch.count = self._batch.zeros + units.zeros, self._batch.count + count
        self.sketch.add(y)
        if squared is not None:
            self.slopes += _slope_sums(squared, dims, count)
        if self.covariance is not None:
            self.covariance.add(_rows(y, self.point.dim or -1))

    def _unit_sums(self, x: Tensor, y: Tensor, dims: list[int], count: int) -> UnitSums:
        outputs = (y.sum(dims) if dims else y).reshape(-1)
        zeros = inactive = _count_by_unit(torch.eq(y, 0, out=torch.empty_like(y)), dims)
        if self.threshold:
            inactive = _count_by_unit((y.abs() <= self.threshold).to(y.dtype), dims)
        saturated = None
        if self._flat_ends is not None and x.shape == y.shape:
            (low, high), _ = self._flat_ends
            is_flat = ((x < low) | (x > high)) & (y != 0)
            saturated = _count_by_unit(is_flat.to(y.dtype), dims)
        outputs = outputs.to(_wide_dtype(outputs))
        return UnitSums(count=count, outputs=outputs, zeros=zeros, inactive=inactive, saturated=saturated)

    def _dims(self, y: Tensor) -> list[int]:
        """Return the dimensions over which the elements of one unit are spread."""
        if self.point.dim is None or y.dim() == 0:
            return list(range(y.dim()))
        unit = self.point.dim % y.dim()
        return [dim for dim in range(y.dim()) if dim != unit]

    @torch.no_grad()
    def add_gradient(self, side: Side, gradient: Tensor, scale: float = 1.0) -> None:
        """Add the gradient at the input or output of one execution, of a loss that was multiplied by ``scale``."""
        wide = torch.promote_types(gradient.dtype, torch.float32)
        dims = self._dims(gradient)
        has_units = side == "input" and self.point.dim is not None and gradient.numel() > 0 and dims
        if has_units and gradient.shape[self.point.dim or -1] == self.point.width:
            norms = torch.linalg.vector_norm(gradient, dim=dims, dtype=wide) / scale
            self._batch.unit_gradients = _sum(self._batch.unit_gradients, norms.square().to(_wide_dtype(norms)))
            total = norms.square().sum()
        else:
            total = (torch.linalg.vector_norm(gradient, dtype=wide) / scale).square()
        before = self._batch.gradients.get(side)
        self._batch.gradients[side] = total if before is None else before + total

    def end_batch(self) -> None:
        """End the batch: add what is counted by batches."""
        batch, self._batch = self._batch, _OpenBatch()
        if batch.count:
            self.batches += BatchCounts(batches=1, silent=batch.zeros == batch.count)
        if not batch.gradients:
            return
        sums: dict[Side, float] = {side: float(total) for side, total in batch.gradients.items()}
        if all(map(_is_finite, sums.values())):
            self.gradients += GradientSums(
                input=sums.get("input", 0.0), output=sums.get("output", 0.0), units=batch.unit_gradients, batches=1
            )
        else:
            self.gradients += GradientSums(overflowed=1)

    def merge(self, other: Accumulator) -> None:
        """Add what another accumulator of the same point has counted."""
        self.output += other.output
        self.input += other.input
        self.units += other.units
        self.slopes += other.slopes
        self.gradients += other.gradients
        self.batches += other.batches
        self.sketch.merge(other.sketch)
        if self.covariance is not None and other.covariance is not None:
            self.covariance.merge(other.covariance)

    @property
    def chi(self) -> float:
        """Mean squared slope, E f'^2; NaN where slopes are not known."""
        if self.slopes.squares is None:
            return nan
        return float(self.slopes.squares.sum()) / (self.slopes.count * self.point.width)


def _flat_ends(point: Point) -> tuple[tuple[float, float], bool] | None:
    """Return the inputs beyond which a unit is saturated, and whether the function saturates on both sides; None if it never does."""
    if point.running.kind != "elementwise" or point.running.spec is None:
        return None
    try:
        ends = tails(point.running.spec)
    except (ActlabError, ArithmeticError):  # no formula
        return None
    low, high = ends.saturated
    return None if low == -float("inf") and high == float("inf") else ((low, high), ends.both)


def _slope_sums(squared: Tensor, dims: list[int], count: int) -> SlopeSums:
    per_unit = squared.sum(dims).reshape(-1) if dims else squared.reshape(-1)
    largest = squared.amax(dims).reshape(-1) if dims else squared.reshape(-1)
    return SlopeSums(count=count, squares=per_unit.to(_wide_dtype(per_unit)), nonzero=largest > 0)


def _count_by_unit(ones: Tensor, dims: list[int]) -> Tensor:
    """Count floating ones by unit: float32 is exact up to 2^24, and summed eight times as fast as booleans."""
    wide = torch.float64 if ones.numel() > _EXACT and ones.device.type != "mps" else None
    counts = ones.sum(dims, dtype=wide) if dims else ones
    return counts.reshape(-1).to(_wide_dtype(ones))


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the sum; None counts as zero."""
    return second if first is None else first if second is None else first + second


def _either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the logical or; None counts as false."""
    return second if first is None else first if second is None else first | second


def _is_finite(value: float) -> bool:
    return value - value == 0


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _NARROW else tensor


def _wide_dtype(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64  # MPS has no float64


def _rows(y: Tensor, dim: int) -> Tensor:
    """Return at most :data:`ROWS` rows of units, evenly spread over batch and positions; only these are copied."""
    if y.dim() < 2:
        return y.reshape(1, -1)
    last = y.movedim(dim, -1)
    shape = last.shape[:-1]
    total = prod(shape)
    step = max(1, -(-total // ROWS)) | 1  # odd, so that it does not meet the same position in every image
    picked = torch.arange(0, total, step, device=y.device)
    return last[torch.unravel_index(picked, shape)]
