"""The line: the best affine fit to what an activation does on data, for each channel, from second moments in constant memory.

The moments of a channel are its count, the means of input and output, and the centred sums of their squares and product, in float64; two
sets of them add up without cancellation (Chan, Golub, LeVeque 1979). The line of least squares follows from them: slope sxy / sxx.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.nn.probes.hooks import Again, Hooks, Point, Side
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects

__all__ = ["Line", "Moments", "lines"]

_CHUNK: Final = 2**21  # elements that are float64 at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """The best affine fit of a site's outputs to its inputs, and their means.

    Attributes:
        slope: shape (channels,), float64; one element where the site has one line for all channels.
        shift: what is added, likewise.
        mean: of the outputs, likewise: the best constant.
        dim: dimension of the channels, counted from the end.
        r2: share of the outputs' variance, taken within channels, that the line explains; 1 where the outputs do not vary.
        elements: how many were seen.
    """

    slope: Tensor
    shift: Tensor
    mean: Tensor
    dim: int
    r2: float
    elements: int

    def flat(self) -> Line:
        """Return the constant in the place of the line."""
        return Line(
            slope=torch.zeros_like(self.slope),
            shift=self.mean,
            mean=self.mean,
            dim=self.dim,
            r2=0.0,
            elements=self.elements,
        )


class Moments:
    """Second moments of input and output, for each channel.

    Args:
        width: number of channels.

    Example:
        >>> moments = Moments(1)
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> moments.add(x, 3 * x - 1)
        >>> line = moments.line(dim=-1)
        >>> line.slope.tolist(), line.shift.tolist(), line.r2
        ([3.0], [-1.0], 1.0)
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.means = torch.zeros(2, width, dtype=torch.float64)  # of x and y
        self.sums = torch.zeros(3, width, dtype=torch.float64)  # centred: xx, xy, yy

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take rows in.

        Args:
            x: inputs, floating, shape (rows, width).
            y: outputs, the same shape.
        """
        rows = max(1, _CHUNK // max(1, x.shape[1]))
        for a, b in zip(torch.split(x.detach(), rows), torch.split(y.detach(), rows), strict=True):
            self._merge(*_moments(a.double(), b.double()))

    def merge(self, other: Moments) -> None:
        """Take in what another has seen."""
        if other.count:
            self._merge(other.count, other.means, other.sums)

    def _merge(self, count: int, means: Tensor, sums: Tensor) -> None:
        means, sums = means.cpu(), sums.cpu()
        gap, total = means - self.means, self.count + count
        self.sums += sums + _products(gap) * (self.count * count / total)
        self.means += gap * (count / total)
        self.count = total

    def pooled(self) -> Moments:
        """Return the moments over all channels together."""
        whole = Moments(1)
        gap = self.means - self.means.mean(1, keepdim=True)
        whole.count = self.count * self.means.shape[1]
        whole.means = self.means.mean(1, keepdim=True)
        whole.sums = (self.sums + self.count * _products(gap)).sum(1, keepdim=True)
        return whole

    def line(self, *, dim: int) -> Line:
        """Return the line of least squares of every channel; flat where the input does not vary."""
        (mx, my), (xx, xy, yy) = self.means, self.sums
        slope = torch.where(xx > 0, xy / torch.where(xx > 0, xx, 1.0), 0.0)
        left = (yy - slope * xy).clamp(min=0.0).sum()
        r2 = 1.0 - float(left / yy.sum()) if yy.sum() > 0 else 1.0
        return Line(slope=slope, shift=my - slope * mx, mean=my.clone(), dim=dim, r2=r2, elements=self.count * len(mx))


def _moments(x: Tensor, y: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return count, means and centred sums of rows."""
    both = torch.stack([x, y])
    means = both.mean(1)
    both -= means[:, None]
    dx, dy = both
    return len(x), means, torch.stack([(dx * dx).sum(0), (dx * dy).sum(0), (dy * dy).sum(0)])


def _products(gap: Tensor) -> Tensor:
    """Return xx, xy and yy of the gaps of x and y."""
    return torch.stack([gap[0] * gap[0], gap[0] * gap[1], gap[1] * gap[1]])


class _Ear:
    """Gathers the moments of the places that are asked for: what listens to the taps."""

    def __init__(self, wanted: Iterable[Hashable]) -> None:
        self.wanted = frozenset(wanted)
        self.points: dict[Hashable, tuple[Point, Moments]] = {}

    def seen(self, point: Point, x: Tensor, y: Tensor, again: Again | None, /) -> None:  # noqa: ARG002 the taps give it
        if _place(point) not in self.wanted or point.dim is None or x.shape != y.shape:
            return
        moments = self.points.setdefault(point.key, (point, Moments(point.width)))[1]
        moments.add(_rows(x, point.dim), _rows(y, point.dim))

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """There are none."""


def _place(point: Point) -> Hashable:
    key: tuple[Hashable, ...] = point.key  # type: ignore[assignment]  # the taps make it of place, layer before, and width
    return key[0]


def _rows(x: Tensor, dim: int) -> Tensor:
    return x.reshape(-1, 1) if x.dim() == 0 else x.movedim(dim, -1).reshape(-1, x.shape[dim])


def lines(
    model: nn.Module,
    batches: Iterable[Any],
    places: Iterable[Hashable],
    *,
    inputs: Callable[[Any], Inputs],
    per_channel: bool = True,
) -> Mapping[Hashable, Line]:
    """Fit a line to every one of the places, in one pass over the data; the model is left as it was.

    Args:
        model: any module, run in eval mode.
        batches: what it is run on.
        places: the keys of :class:`actlab.nn.sites.slot.Place`.
        inputs: picks the model's input from a batch.
        per_channel: a line for each channel; else one for the site. A site whose inputs have differing channels has one line anyhow.

    Returns:
        Lines by key; places that did not run, or that change the shape of their input, have none.

    Raises:
        SiteError: the model raises on a batch, or an activation is not finite.
    """
    ear = _Ear(places)
    taps = Hooks(model, ear)
    with no_side_effects(model):
        for batch in batches:
            arguments = copy_inputs(inputs(batch))
            taps.open()
            try:
                run(model, arguments)
            finally:
                taps.close()
    grouped: dict[Hashable, list[tuple[Point, Moments]]] = {}
    for point, moments in ear.points.values():
        grouped.setdefault(_place(point), []).append((point, moments))
    return {key: _line(seen, per_channel=per_channel) for key, seen in grouped.items()}


def _line(seen: list[tuple[Point, Moments]], *, per_channel: bool) -> Line:
    """Fit one place, which may run behind several layers."""
    dims = {(point.dim, point.width) for point, _ in seen}
    separate = per_channel and len(dims) == 1
    whole = Moments(seen[0][0].width if separate else 1)
    for _, moments in seen:
        whole.merge(moments if separate else moments.pooled())
    if not bool(torch.isfinite(whole.sums).all()):
        raise SiteError(
            f"The activation {seen[0][0].path} met or made numbers that are not finite, so no line fits it. "
            "actlab.probe(model, data) counts them by site."
        )
    return whole.line(dim=(seen[0][0].dim or -1) if separate else -1)
