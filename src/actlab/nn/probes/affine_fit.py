"""Best affine fit of an activation's output to its input, for each channel, in constant memory.

The moments of a channel are its count, the means of input and output, and the centered sums of their squares and product, in float64; two
sets of moments add up without cancellation (Chan, Golub, LeVeque 1979). The line of least squares has the slope sxy / sxx.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.probes.hooks import Hooks, Point, Recompute, Side
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run

__all__ = ["JointMoments", "Line", "fit_lines"]

_CHUNK: Final = 2**21  # elements that are converted to float64 at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Best affine fit of a site's outputs to its inputs, and the mean output.

    Attributes:
        slope: shape (channels,), float64; one element where the site has one line for all channels.
        shift: intercept; shape and dtype as ``slope``.
        mean: mean output, the best constant; shape and dtype as ``slope``.
        dim: dimension of the channels, counted from the end.
        r2: share of the outputs' variance within channels that the line explains; 1 where the outputs do not vary.
        elements: number of elements it was fitted to.
    """

    slope: Tensor
    shift: Tensor
    mean: Tensor
    dim: int
    r2: float
    elements: int

    def flat(self) -> Line:
        """Return the best constant, as a line of slope 0."""
        return Line(
            slope=torch.zeros_like(self.slope),
            shift=self.mean,
            mean=self.mean,
            dim=self.dim,
            r2=0.0,
            elements=self.elements,
        )


class JointMoments:
    """Second moments of input and output, for each channel.

    Args:
        width: number of channels.

    Example:
        >>> moments = JointMoments(1)
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> moments.add(x, 3 * x - 1)
        >>> line = moments.line(dim=-1)
        >>> line.slope.tolist(), line.shift.tolist(), line.r2
        ([3.0], [-1.0], 1.0)
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.means = torch.zeros(2, width, dtype=torch.float64)  # of x and y
        self.sums = torch.zeros(3, width, dtype=torch.float64)  # centered: xx, xy, yy

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add rows.

        Args:
            x: inputs, floating, shape (rows, width).
            y: outputs, floating, shape (rows, width).
        """
        rows = max(1, _CHUNK // max(1, x.shape[1]))
        for a, b in zip(torch.split(x.detach(), rows), torch.split(y.detach(), rows), strict=True):
            self._merge(*_moments(a.double(), b.double()))

    def merge(self, other: JointMoments) -> None:
        """Add the rows of another stream."""
        if other.count:
            self._merge(other.count, other.means, other.sums)

    def _merge(self, count: int, means: Tensor, sums: Tensor) -> None:
        means, sums = means.cpu(), sums.cpu()
        gap, total = means - self.means, self.count + count
        self.sums += sums + _products(gap) * (self.count * count / total)
        self.means += gap * (count / total)
        self.count = total

    def pooled(self) -> JointMoments:
        """Return the moments over all channels together."""
        pooled = JointMoments(1)
        gap = self.means - self.means.mean(1, keepdim=True)
        pooled.count = self.count * self.means.shape[1]
        pooled.means = self.means.mean(1, keepdim=True)
        pooled.sums = (self.sums + self.count * _products(gap)).sum(1, keepdim=True)
        return pooled

    def line(self, *, dim: int) -> Line:
        """Return the line of least squares of every channel; slope 0 where the input does not vary."""
        (mx, my), (xx, xy, yy) = self.means, self.sums
        slope = torch.where(xx > 0, xy / torch.where(xx > 0, xx, 1.0), 0.0)
        residual = (yy - slope * xy).clamp(min=0.0).sum()
        r2 = 1.0 - float(residual / yy.sum()) if yy.sum() > 0 else 1.0
        return Line(slope=slope, shift=my - slope * mx, mean=my.clone(), dim=dim, r2=r2, elements=self.count * len(mx))


def _moments(x: Tensor, y: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return count, means and centered sums of rows."""
    both = torch.stack([x, y])
    means = both.mean(1)
    both -= means[:, None]
    dx, dy = both
    return len(x), means, torch.stack([(dx * dx).sum(0), (dx * dy).sum(0), (dy * dy).sum(0)])


def _products(gap: Tensor) -> Tensor:
    """Return xx, xy and yy of the gaps of x and y."""
    return torch.stack([gap[0] * gap[0], gap[0] * gap[1], gap[1] * gap[1]])


class _MomentsObserver:
    """Collects the moments of slots, given by their keys."""

    def __init__(self, slots: Iterable[Hashable]) -> None:
        self.slots = frozenset(slots)
        self.points: dict[Hashable, tuple[Point, JointMoments]] = {}

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:  # noqa: ARG002 the protocol has it
        if point.key[0] not in self.slots or point.dim is None or x.shape != y.shape:
            return
        moments = self.points.setdefault(point.key, (point, JointMoments(point.width)))[1]
        moments.add(_rows(x, point.dim), _rows(y, point.dim))

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Ignore gradients."""


def _rows(x: Tensor, dim: int) -> Tensor:
    return x.reshape(-1, 1) if x.dim() == 0 else x.movedim(dim, -1).reshape(-1, x.shape[dim])


def fit_lines(
    model: nn.Module,
    batches: Iterable[Any],
    slots: Iterable[Hashable],
    *,
    inputs: Callable[[Any], Inputs],
    per_channel: bool = True,
) -> Mapping[Hashable, Line]:
    """Fit a line to the activation in each slot, in one pass over the data; the model is left unchanged.

    Args:
        model: any module, run in eval mode.
        batches: what it is run on.
        slots: keys, see :class:`actlab.nn.sites.slot.Slot`.
        inputs: picks the model's input from a batch.
        per_channel: fit one line for each channel; else one for the site. A site whose inputs differ in channels always has one line.

    Returns:
        Lines by key; slots that did not run, or that change the shape of their input, have none.

    Raises:
        SiteError: the model raises on a batch, or an activation is not finite.
    """
    observer = _MomentsObserver(slots)
    hooks = Hooks(model, observer)
    with no_side_effects(model):
        for batch in batches:
            arguments = copy_inputs(inputs(batch))
            with hooks:
                run(model, arguments)
    by_slot: dict[Hashable, list[tuple[Point, JointMoments]]] = {}
    for point, moments in observer.points.values():
        by_slot.setdefault(point.key[0], []).append((point, moments))
    return {key: _fit_line(points, per_channel=per_channel) for key, points in by_slot.items()}


def _fit_line(points: list[tuple[Point, JointMoments]], *, per_channel: bool) -> Line:
    """Fit one slot, which may run behind several layers."""
    first = points[0][0]
    separate = per_channel and len({(point.dim, point.width) for point, _ in points}) == 1
    total = JointMoments(first.width if separate else 1)
    for _, moments in points:
        total.merge(moments if separate else moments.pooled())
    if not bool(torch.isfinite(total.sums).all()):
        raise SiteError(
            f"The activation {first.path} met or made numbers that are not finite, so no line fits it. "
            "actlab.probe(model, data) counts them by site."
        )
    return total.line(dim=(first.dim or -1) if separate else -1)
