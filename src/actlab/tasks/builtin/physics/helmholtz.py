"""Physics-informed net for the Helmholtz equation, with two derivatives through the activation.

Wang, Teng & Perdikaris, SIAM Journal on Scientific Computing 43 (2021), arXiv:2001.04536: in two dimensions, ``u_xx + u_yy + u = q`` on
the square from -1 to 1, with the solution ``sin(pi x) sin(2 pi y)`` (the paper has 4 waves in y) and zero at the boundary. There are no
measured data: the net is trained on the residual at random points and evaluated against the solution. Zero everywhere has an error of 1;
the paper reports errors between 1e-1 and 1e-3 for its nets, which learn the boundary as well; here it holds by construction.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from actlab.tasks.builtin.physics.burgers import burgers_task
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task

__all__ = ["helmholtz_task", "residual", "solution"]

_WAVES = (1, 2)
_POINTS = 4096


def solution(points: Tensor) -> Tensor:
    """Return the solution at points (x, y), shape (n, 2); shape (n,).

    Example:
        >>> solution(torch.tensor([[0.5, 0.25]]))
        tensor([1.])
    """
    return torch.sin(_WAVES[0] * math.pi * points[:, 0]) * torch.sin(_WAVES[1] * math.pi * points[:, 1])


def residual(model: nn.Module, points: Tensor) -> Tensor:
    """Return u_xx + u_yy + u - q of a model at points (x, y), shape (n,)."""
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        u = model(points)
        first = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        laplacian = sum(
            torch.autograd.grad(first[:, axis].sum(), points, create_graph=True, materialize_grads=True)[0][:, axis]
            for axis in (0, 1)
        )
    right = (1 - math.pi**2 * (_WAVES[0] ** 2 + _WAVES[1] ** 2)) * solution(points.detach())
    return laplacian + u - right  # type: ignore[no-any-return]


class _Square(nn.Module):
    """Net of (x, y) that is zero at the boundary of the square."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.Tanh())]
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), *hidden, nn.Linear(width, 1))

    def forward(self, points: Tensor) -> Tensor:
        return (1 - points.square()).prod(1) * self.layers(points)[:, 0]  # type: ignore[no-any-return]


def _step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return residual(model, batch[0]).square().mean() / 1000  # of the order of 1 at the start


@lru_cache(maxsize=1)
def _grids() -> dict[str, Split]:
    """Return two grids of 4,900 points with the solution, one between the points of the other."""
    found = {}
    for name, shift in (("validation", 0.25), ("test", 0.75)):
        axis = -1 + 2 * (torch.arange(70) + shift) / 70
        points = torch.cartesian_prod(axis, axis)
        found[name] = Split(x=points, y=solution(points))
    return found


def _data(seed: int) -> Data:
    points = 2 * torch.rand(_POINTS, 2, generator=torch.Generator().manual_seed(seed)) - 1
    return Data(train=Split(x=points, y=torch.zeros(_POINTS)), **_grids())


def helmholtz_task() -> Task:
    """Return the task with three hidden layers of 32 and Adam.

    Example:
        >>> helmholtz_task().data(0).train.x.shape
        torch.Size([4096, 2])
    """
    return replace(
        burgers_task(),
        name="helmholtz",
        model=lambda seed: _Square(),  # noqa: ARG005 # the generator is seeded before the call
        data=_data,
        step=_step,
        epochs=150,
        description="Helmholtz equation (no measured data), physics-informed net against the solution; published, more waves: 0.1 to 0.001",
        source="helmholtz, protocol 1",
    )
