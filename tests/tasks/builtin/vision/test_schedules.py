"""The schedules rise linearly, fall along a cosine, and end at zero."""

import math

import pytest
import torch

from actlab.tasks.builtin.vision.schedules import cosine, warm_cosine


def rates(make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, found = make(optimizer, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_a_cosine_goes_from_the_rate_to_zero():
    assert rates(cosine, 40) == pytest.approx([(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)], abs=1e-9)


@pytest.mark.parametrize("steps", [2, 7, 100])
def test_the_warm_up_takes_a_tenth_of_the_steps(steps):
    found, warm = rates(warm_cosine, steps), max(1, round(steps / 10))

    assert found[:warm] == pytest.approx([1 / warm + step * (1 - 1 / warm) / warm for step in range(warm)])
    assert found[warm] == pytest.approx(1.0)
    assert all(a > b for a, b in zip(found[warm:], found[warm + 1 :], strict=False))


def test_a_single_step_is_one_at_the_full_rate():
    assert rates(warm_cosine, 1) == [1.0]
