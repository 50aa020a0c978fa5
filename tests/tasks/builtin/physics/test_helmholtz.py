"""The residual of the Helmholtz equation is zero for its solution and not for another function."""

import torch
from torch import nn

from actlab.tasks import resolve
from actlab.tasks.builtin.physics.helmholtz import residual, solution


class Exact(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, points):
        return self.factor * solution(points)


def test_the_residual_is_zero_for_the_solution_and_that_of_the_formula_for_twice_the_solution():
    points = 2 * torch.rand(50, 2, dtype=torch.double) - 1

    assert residual(Exact(1), points).abs().max() < 1e-10
    right = (1 - 5 * torch.pi**2) * solution(points)  # of twice the solution one right side is left over
    assert torch.allclose(residual(Exact(2), points), right)


def test_the_net_is_zero_at_the_boundary():
    edge = torch.linspace(-1, 1, 7)
    points = torch.cat([torch.stack((edge, 0 * edge + side), 1) for side in (-1, 1)])

    assert resolve("helmholtz").model(0)(torch.cat((points, points.flip(1)))).abs().max() == 0
