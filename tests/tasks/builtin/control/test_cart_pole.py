"""The cart-pole moves by its published equations, and tasks, starts and actions are the same for every arm of a seed."""

import math

import pytest
import torch

from actlab.tasks.builtin.control.cart_pole import ActorCritic, CartPoles, Lessons, _drawn_world, _returns, train
from actlab.tasks.training.handle import TrialHandle


def moved(state, force, length):
    """Return a state after 0.02 s by the equations of motion in their matrix form, without friction."""
    place, speed, angle, turn = state
    cart, pole, gravity = 1.0, 0.1, 9.8
    # (M + m) a + m l cos(angle) b = F + m l turn^2 sin(angle);  cos(angle) a + 4/3 l b = g sin(angle)
    matrix = torch.tensor(
        [[cart + pole, pole * length * math.cos(angle)], [math.cos(angle), 4 / 3 * length]], dtype=torch.double
    )
    right = torch.tensor(
        [force + pole * length * turn**2 * math.sin(angle), gravity * math.sin(angle)], dtype=torch.double
    )
    a, b = torch.linalg.solve(matrix, right).tolist()
    return [place + 0.02 * speed, speed + 0.02 * a, angle + 0.02 * turn, turn + 0.02 * b]


@pytest.mark.parametrize("length", [0.3, 0.5, 0.7])
def test_a_push_moves_cart_and_pole_by_the_equations_of_motion(length):
    carts = CartPoles(20, torch.Generator().manual_seed(0))
    carts.length, carts.state = (
        length,
        (torch.rand(20, 4, generator=torch.Generator().manual_seed(1)).double() - 0.5) / 5,
    )
    before, direction = carts.state.clone(), torch.tensor([1.0, -1.0]).repeat(10).double()

    carts.push(direction)

    expected = [moved(row, 10 * float(push), length) for row, push in zip(before.tolist(), direction, strict=True)]
    assert torch.allclose(carts.state, torch.tensor(expected, dtype=torch.double), atol=1e-9)


def test_an_episode_ends_at_the_angle_the_border_and_the_longest_length_and_begins_near_zero():
    carts = CartPoles(3, torch.Generator().manual_seed(0), longest=2)
    carts.state = torch.tensor([[0.0, 0, 0.3, 0], [2.5, 0, 0, 0], [0, 0, 0, 0]])

    ended, lengths = carts.push(torch.ones(3))
    assert ended.tolist() == [True, True, False]
    assert lengths.tolist() == [1, 1, 1]
    assert carts.state[:2].abs().max() <= 0.05
    assert carts.push(torch.ones(3))[0].tolist() == [False, False, True]


def test_a_controller_that_knows_the_equations_holds_every_pole_for_200_steps():
    carts = CartPoles(16, torch.Generator().manual_seed(0))
    for _ in range(199):
        place, speed, angle, turn = carts.state.unbind(1)
        assert not carts.push(torch.sign(0.1 * place + 0.3 * speed + 6 * angle + turn + 1e-9))[0].any()


def test_returns_are_discounted_sums_that_stop_at_the_end_of_an_episode():
    ends = torch.tensor([[False], [True], [False]])

    assert _returns(ends, torch.tensor([10.0]), discount=0.5).flatten().tolist() == pytest.approx([0.15, 0.1, 5.1])


def test_tasks_differ_in_sensors_and_forces_and_are_fixed_by_the_seed():
    worlds = [_drawn_world(generator) for generator in [torch.Generator().manual_seed(0)] for _ in range(12)]
    state = torch.tensor([[1.0, 2.0, 3.0, 4.0]])

    assert len({tuple(world.sensed(state).flatten().tolist()) for world in worlds}) > 8
    assert {world.direction for world in worlds} == {1.0, -1.0}
    assert all(0.3 <= world.length <= 0.7 for world in worlds)


def test_a_seed_gives_the_same_numbers_and_reports_the_loss_of_every_update():
    def result(seed):
        torch.manual_seed(0)
        trial = TrialHandle()
        return train(ActorCritic(), seed, trial, Lessons(tasks=2, updates=3, judged=1)), trial.steps

    assert result(1) == result(1)
    assert result(1)[0] != result(2)[0]
    assert result(1)[1] == 6
