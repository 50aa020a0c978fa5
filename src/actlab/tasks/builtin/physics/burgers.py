"""Physics-informed net for Burgers' equation, with two derivatives through the activation.

Raissi, Perdikaris & Karniadakis, Journal of Computational Physics 378 (2019): ``u_t + u u_x = nu u_xx`` on -1 < x < 1, 0 < t < 1, with
``u(0, x) = -sin(pi x)`` and ``u(t, -1) = u(t, 1) = 0``. There are no measured data: the net is trained on the residual of the equation at
random points, and evaluated against the closed form (Cole-Hopf) on a grid. Start and boundary values hold by construction. The viscosity
is 0.05 / pi, five times that of the paper, so that some minutes suffice; zero everywhere has an error of 1, and the paper reports 6.7e-4
with L-BFGS for its steeper front.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actlab.tasks.data import Data, Split
from actlab.tasks.task import Task

__all__ = ["Burgers", "burgers_task", "relative_error", "residual", "solution"]

VISCOSITY = 0.05 / math.pi
_POINTS = 4096


def solution(t: NDArray[np.float64], x: NDArray[np.float64], viscosity: float = VISCOSITY) -> NDArray[np.float64]:
    """Return u(t, x) by the Cole-Hopf transformation, with a Gauss-Hermite quadrature of 120 points.

    Args:
        t: times, all above 0, shape (n,).
        x: places, shape (n,).
        viscosity: nu of the equation.

    Example:
        >>> solution(np.array([1e-9]), np.array([0.5])).round(6)
        array([-1.])
    """
    nodes, weights = np.polynomial.hermite.hermgauss(120)
    places = x[:, None] - np.sqrt(4 * viscosity * t[:, None]) * nodes
    exponents = -np.cos(np.pi * places) / (2 * np.pi * viscosity)
    shares = weights * np.exp(exponents - exponents.max(1, keepdims=True))
    return -(np.sin(np.pi * places) * shares).sum(1) / shares.sum(1)  # type: ignore[no-any-return]


class Burgers(nn.Module):
    """Net of (t, x) whose output has the start and boundary values of the problem.

    Example:
        >>> Burgers(width=8)(torch.tensor([[0.0, 0.5], [0.7, 1.0]])).abs() < 1.0001
        tensor([True, True])
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.Tanh())]
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), *hidden, nn.Linear(width, 1))

    def forward(self, points: Tensor) -> Tensor:
        """Map points (t, x), shape (n, 2), to u, shape (n,)."""
        t, x = points.unbind(1)
        return -torch.sin(math.pi * x) + t * (1 - x.square()) * self.layers(points)[:, 0]  # type: ignore[no-any-return]


def residual(model: nn.Module, points: Tensor, viscosity: float = VISCOSITY) -> Tensor:
    """Return u_t + u u_x - nu u_xx of a model at points (t, x), shape (n,)."""
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        u = model(points)
        first = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        second = torch.autograd.grad(first[:, 1].sum(), points, create_graph=True, materialize_grads=True)[0][:, 1]
    return first[:, 0] + u * first[:, 1] - viscosity * second  # type: ignore[no-any-return]


def _step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return residual(model, batch[0]).square().mean()


def _predict(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return model(batch[0]), batch[1]


def relative_error(output: Tensor, target: Tensor) -> float:
    """Return the root mean square of the errors, divided by that of the targets.

    Example:
        >>> round(relative_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])), 6)
        0.707107
    """
    return float((output - target).double().norm() / target.double().norm())


@lru_cache(maxsize=1)
def _grids() -> dict[str, Split]:
    """Return two grids of 5,000 points with the closed form, one between the points of the other."""
    found = {}
    for name, shift in (("validation", 0.25), ("test", 0.75)):
        t, x = np.meshgrid((np.arange(50) + shift) / 50, -1 + 2 * (np.arange(100) + shift) / 100, indexing="ij")
        points = np.stack((t.ravel(), x.ravel()), 1)
        u = solution(points[:, 0], points[:, 1])
        found[name] = Split(x=torch.from_numpy(points).float(), y=torch.from_numpy(u).float())
    return found


def _data(seed: int) -> Data:
    """Draw 4,096 points of training for a seed; their targets, the residuals, are zero."""
    unit = torch.rand(_POINTS, 2, generator=torch.Generator().manual_seed(seed))
    points = torch.stack((unit[:, 0], 2 * unit[:, 1] - 1), 1)
    return Data(train=Split(x=points, y=torch.zeros(_POINTS)), **_grids())


def _decay(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def burgers_task() -> Task:
    """Return the task with four hidden layers of 32 and Adam.

    Example:
        >>> burgers_task().data(0).test.x.shape
        torch.Size([5000, 2])
    """
    return Task(
        name="burgers",
        model=lambda seed: Burgers(),  # noqa: ARG005 # the generator is seeded before the call
        data=_data,
        step=_step,
        predict=_predict,
        metric=relative_error,
        metric_name="relative error",
        direction="min",
        scheduler=_decay,
        learning_rate=3e-3,
        batch_size=512,
        epochs=600,
        rope=0.002,
        output_kind="values",
        description="Burgers' equation (no measured data), physics-informed net against the closed form; published, steeper front: 0.0007",
        source="burgers, protocol 1",
    )
