"""Balls of inputs within a distance and a range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actlab.evaluate.attacks.ball import NORMS, Ball, Norm


def ball_of(norm: Norm, radius: float = 0.3, n: int = 20, entries: int = 12) -> Ball:
    made = torch.Generator().manual_seed(0)
    centre = torch.rand((n, entries), generator=made)
    scale = 0.5 + torch.rand((1, entries), generator=made)
    return Ball.around(centre, scale=scale, radius=radius, norm=norm, low=0.0, high=1.0)


def lengths(ball: Ball, x: torch.Tensor) -> torch.Tensor:
    """The distance by numpy's norm, in double precision."""
    units = ((x.double() - ball.centre.double()) / ball.scale.double()).numpy()
    order = float("inf") if ball.norm == "linf" else 2
    return torch.tensor([np.linalg.norm(row, order) for row in units])


@pytest.mark.parametrize("norm", NORMS)
def test_projection_random_points_and_steps_stay_in_the_ball_and_in_the_range(norm: Norm) -> None:
    ball = ball_of(norm)
    made = torch.Generator().manual_seed(1)
    far = ball.centre + torch.randn(ball.centre.shape, generator=made)
    step = ball.ascend(ball.random(made), torch.randn(ball.centre.shape, generator=made), 5.0)
    for x in (ball.project(far), ball.random(made), step):
        assert bool((lengths(ball, x) <= ball.radius * (1 + 1e-5)).all())
        assert bool(((x >= 0) & (x <= 1)).all())
        assert bool(ball.contains(x).all())


@pytest.mark.parametrize("norm", NORMS)
def test_points_that_left_the_ball_or_the_range_are_seen(norm: Norm) -> None:
    ball = ball_of(norm, radius=0.05)
    one_entry = torch.zeros_like(ball.centre)
    one_entry[:, 3] = ball.radius * ball.scale[0, 3]
    wide = Ball.around(ball.centre, scale=ball.scale, radius=0.05, norm=norm, low=-9.0, high=9.0)
    assert bool(wide.contains(ball.centre + one_entry).all())
    assert not bool(wide.contains(ball.centre + 1.001 * one_entry).any())
    at_the_top = Ball.around(ball.centre, scale=ball.scale, radius=0.05, norm=norm, low=0.0, high=ball.centre)
    assert not bool(at_the_top.contains(ball.centre + 0.5 * one_entry).any())


def test_a_point_inside_is_its_own_projection() -> None:
    for norm in NORMS:
        ball = ball_of(norm)
        x = ball.random(torch.Generator().manual_seed(2))
        assert torch.allclose(ball.project(x), x, atol=1e-6)


def test_the_steepest_step_has_the_closed_form_of_its_norm() -> None:
    gradient = torch.tensor([[3.0, -4.0, 0.0]])
    wide = {"scale": torch.ones(1, 3), "radius": 1.0, "low": -9.0, "high": 9.0}
    linf = Ball.around(torch.zeros(1, 3), norm="linf", **wide)  # type: ignore[arg-type]
    l2 = Ball.around(torch.zeros(1, 3), norm="l2", **wide)  # type: ignore[arg-type]
    assert linf.ascend(linf.centre, gradient, 0.5).tolist() == [[0.5, -0.5, 0.0]]
    assert torch.allclose(l2.ascend(l2.centre, gradient, 0.5), torch.tensor([[0.3, -0.4, 0.0]]))


def test_a_tiny_gradient_gives_a_whole_step_and_none_gives_no_step() -> None:
    for norm in NORMS:
        ball = Ball.around(torch.zeros(2, 2), scale=torch.ones(1, 2), radius=1.0, norm=norm, low=-9.0, high=9.0)
        moved = ball.ascend(ball.centre, torch.tensor([[1e-28, 0.0], [0.0, 0.0]]), 0.5)
        assert torch.allclose(moved, torch.tensor([[0.5, 0.0], [0.0, 0.0]]))


def test_entries_that_are_constant_or_no_numbers_never_move() -> None:
    for norm in NORMS:
        centre = torch.tensor([[0.5, float("nan"), 0.5]])
        scale = torch.tensor([[1.0, 1.0, 0.0]])
        ball = Ball.around(centre, scale=scale, radius=0.2, norm=norm, low=0.0, high=1.0)
        for x in (ball.random(torch.Generator().manual_seed(0)), ball.ascend(centre, torch.ones(1, 3), 1.0)):
            assert x[0, 1].isnan()
            assert x[0, 2] == 0.5
            assert x[0, 0] != 0.5
            assert bool(ball.contains(x).all())


def test_a_clean_input_outside_of_the_range_of_training_stays_inside_its_ball() -> None:
    ball = Ball.around(torch.tensor([[1.5]]), scale=torch.ones(1, 1), radius=0.1, norm="linf", low=0.0, high=1.0)
    assert ball.ascend(ball.centre, torch.ones(1, 1), 0.1).tolist() == [[1.5]]
    assert ball.ascend(ball.centre, -torch.ones(1, 1), 0.1).item() == pytest.approx(1.4)
