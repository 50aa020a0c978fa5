"""Set of inputs within a distance of given ones and within the range of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["NORMS", "Ball", "Norm"]

Norm: TypeAlias = Literal["linf", "l2"]
NORMS: Final[tuple[Norm, ...]] = ("linf", "l2")
#: Distance, as a share of the radius, by which rounding may leave the ball: a few units in the last place of inputs of float32.
_ROUNDING: Final = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Ball:
    """Inputs ``x`` with ``norm((x - centre) / scale) <= radius`` and ``low <= x <= high``.

    Attributes:
        centre: clean inputs, shape (n, ...); entries that are not finite are never moved.
        scale: size of one unit of the radius for each entry, shape (1, ...) or (n, ...), such as the deviation of a feature.
        radius: eps, in these units.
        norm: "linf" or "l2", of each example.
        low: smallest value of each entry, shape (n, ...), at most that of the centre.
        high: largest value of each entry, at least that of the centre.

    Example:
        >>> ball = Ball.around(torch.zeros(1, 3), scale=torch.ones(1, 3), radius=0.5, norm="linf", low=-1.0, high=0.25)
        >>> ball.project(torch.tensor([[-2.0, 0.1, 2.0]]))
        tensor([[-0.5000,  0.1000,  0.2500]])
    """

    centre: Tensor
    scale: Tensor
    radius: float
    norm: Norm
    low: Tensor
    high: Tensor

    @classmethod
    def around(
        cls, centre: Tensor, *, scale: Tensor, radius: float, norm: Norm, low: Tensor | float, high: Tensor | float
    ) -> Ball:
        """Return the ball around inputs; a clean input outside of the range ``low`` to ``high`` stays where it is."""
        return cls(
            centre=centre,
            scale=scale.to(centre),
            radius=radius,
            norm=norm,
            low=torch.minimum(torch.as_tensor(low).to(centre), centre),
            high=torch.maximum(torch.as_tensor(high).to(centre), centre),
        )

    def take(self, rows: Tensor) -> Ball:
        """Return the ball of some of the examples, by index, shape (m,)."""
        scale = self.scale if len(self.scale) == 1 else self.scale[rows]
        return replace(self, centre=self.centre[rows], scale=scale, low=self.low[rows], high=self.high[rows])

    def of(self, radius: float, norm: Norm | None = None) -> Ball:
        """Return the ball of another radius, and of another norm, around the same inputs."""
        return replace(self, radius=radius, norm=self.norm if norm is None else norm)

    def project(self, x: Tensor) -> Tensor:
        """Return the points of the ball that are next to ``x``, shape (n, ...); for L2 next in the ball, then in the range."""
        moved = x - self.centre
        if self.norm == "linf":
            bound = self.radius * self.scale
            moved = torch.minimum(torch.maximum(moved, -bound), bound)
        else:
            moved = moved * (self.radius / self._lengths(moved).clamp_min(1e-30)).clamp_max(1.0)
        inside = torch.minimum(torch.maximum(self.centre + moved, self.low), self.high)
        return torch.where(inside.isfinite(), inside, self.centre)

    def ascend(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        """Return the points of the ball after a step of steepest ascent in its norm.

        Args:
            x: inside the ball, shape (n, ...).
            gradient: of what is to grow, by ``x``.
            size: of the step, in units of the radius.
        """
        free = gradient * self.scale
        if self.norm == "linf":
            return self.project(x + size * self.scale * free.sign())
        # what points out of the range moves nothing, and would take its share of the length of the step
        free = torch.where((free > 0) & (x < self.high) | (free < 0) & (x > self.low), free, torch.zeros_like(free))
        free = free / _rows(free.abs().flatten(1).amax(1), free).clamp_min(1e-30)  # the squares of small ones are zero
        length = _rows(free.flatten(1).norm(dim=1), free).clamp_min(1e-30)
        return self.project(x + size * self.scale * free / length)

    def random(self, generator: torch.Generator) -> Tensor:
        """Return points drawn uniformly from the ball, and then put into the range; shape (n, ...)."""
        shape = self.centre.shape
        if self.norm == "linf":
            drawn = torch.rand(shape, generator=generator).mul_(2).sub_(1)
        else:
            drawn = torch.randn(shape, generator=generator)
            reach = torch.rand(shape[0], generator=generator) ** (1 / max(drawn[0].numel(), 1))
            drawn = drawn / _rows(drawn.flatten(1).norm(dim=1).clamp_min(1e-30), drawn) * _rows(reach, drawn)
        return self.project(self.centre + self.radius * self.scale * drawn.to(self.centre))

    def distance(self, x: Tensor) -> Tensor:
        """Return the distance of each example from its centre, in units of the radius, shape (n,)."""
        return self._lengths(x - self.centre).flatten()

    def contains(self, x: Tensor) -> Tensor:
        """Return whether each example is inside, up to rounding, bool, shape (n,)."""
        in_range = ((x >= self.low) & (x <= self.high) | ~self.centre.isfinite()).flatten(1).all(1)
        ulp = torch.finfo(x.dtype).eps * (self.centre.abs() / self.scale.abs().clamp_min(1e-30)).nan_to_num(0, 0, 0)
        ulp = torch.where(self.scale > 0, ulp, torch.zeros_like(ulp))
        slack = self.radius * _ROUNDING + 2 * (
            ulp.flatten(1).amax(1) if self.norm == "linf" else ulp.flatten(1).norm(dim=1)
        )
        return in_range & (self.distance(x) <= self.radius + slack)

    def _lengths(self, moved: Tensor) -> Tensor:
        """Return the norm of each example's displacement, shape (n, 1, ...); an entry of scale 0 must not move."""
        units = moved / torch.where(self.scale > 0, self.scale, torch.full_like(self.scale, 1e-30))
        units = torch.where(self.centre.isfinite(), units, torch.zeros_like(units)).flatten(1)
        found = units.abs().amax(1) if self.norm == "linf" else units.norm(dim=1)
        return _rows(found, moved)


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each example, shape (n,), in a shape that multiplies tensors of shape (n, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))
