"""The closed form of Burgers' equation satisfies it, and the residual of a wrong function is seen."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.physics.burgers import VISCOSITY, Burgers, relative_error, residual, solution
from actlab.tasks.task import load_data


def test_the_closed_form_satisfies_the_equation_by_finite_differences():
    random = np.random.RandomState(0)
    t, x, step = 0.05 + 0.9 * random.rand(50), 1.8 * random.rand(50) - 0.9, 1e-4

    u = solution(t, x)
    by_t = (solution(t + step, x) - solution(t - step, x)) / (2 * step)
    right, left = solution(t, x + step), solution(t, x - step)

    found = by_t + u * (right - left) / (2 * step) - VISCOSITY * (right - 2 * u + left) / step**2
    assert np.abs(found).max() < 1e-3


def test_the_closed_form_is_zero_at_the_boundary_and_begins_with_a_sine():
    x = np.linspace(-1, 1, 21)

    assert solution(np.full(21, 1e-8), x) == pytest.approx(-np.sin(np.pi * x), abs=1e-6)
    assert np.abs(solution(np.array([0.2, 0.9]), np.array([-1.0, 1.0]))).max() < 1e-9


class Known(nn.Module):
    """A function whose residual is known: u = a t x, so u_t + u u_x = a x + a^2 t^2 x."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.double))

    def forward(self, points):
        return self.slope * points[:, 0] * points[:, 1]


def test_the_residual_of_a_known_function_is_that_of_the_formula_and_has_a_gradient():
    model, points = Known(1.5), torch.rand(20, 2, dtype=torch.double)
    found = residual(model, points)

    assert torch.allclose(found, 1.5 * points[:, 1] + 2.25 * points[:, 0] ** 2 * points[:, 1])
    assert torch.autograd.grad(found.sum(), model.slope)[0] != 0


def test_the_second_derivative_goes_through_the_activation():
    class Bent(nn.Module):
        def forward(self, points):
            return torch.tanh(points[:, 1])

    x = torch.linspace(-1, 1, 9, dtype=torch.double)
    u = torch.tanh(x)
    expected = u * (1 - u**2) + VISCOSITY * 2 * u * (1 - u**2)

    assert torch.allclose(residual(Bent(), torch.stack((0 * x, x), 1)), expected)


def test_the_net_holds_start_and_boundary_values_whatever_its_weights():
    model, x = Burgers().double(), torch.linspace(-1, 1, 11, dtype=torch.double)

    start = model(torch.stack((0 * x, x), 1))
    border = model(torch.tensor([[0.3, -1.0], [0.9, 1.0]], dtype=torch.double))

    assert torch.allclose(start, -torch.sin(math.pi * x))
    assert border.abs().max() < 1e-12


def test_zero_everywhere_has_a_relative_error_of_1():
    y = load_data(resolve("burgers"), 0).test.y

    assert relative_error(0 * y, y) == 1.0


@pytest.mark.parametrize("arm", ["sine", "relu"])
def test_arms_with_and_without_a_second_derivative_train(arm):
    trial = run_trial(replace(resolve("burgers"), steps=3), parse_arm(arm), seed=0)

    assert trial.status == "completed"
    assert 0 < trial.metric < 10
