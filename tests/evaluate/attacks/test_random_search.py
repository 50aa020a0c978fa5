"""Attack without gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import NORMS, Ball, Norm
from actlab.evaluate.attacks.gradient_attack import Attacked
from actlab.evaluate.attacks.random_search import random_search


class Stepped(nn.Module):
    """A linear model whose scores are rounded, so that no gradient is left."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        score = (x.flatten(1) @ self.weight * 8).round() / 8
        return torch.stack((score, torch.zeros_like(score)), dim=1)


def searched(norm: Norm, shape: tuple[int, ...], queries: int) -> tuple[Ball, Attacked, Tensor, Tensor]:
    made = torch.Generator().manual_seed(0)
    x = torch.rand((60, *shape), generator=made)
    weight = torch.randn(x[0].numel(), generator=made)
    labels = (x.flatten(1) @ weight < 0).long()
    ball = Ball.around(x, scale=torch.ones(1, *shape), radius=0.3, norm=norm, low=-9.0, high=9.0)
    found = random_search(
        AttackedModel(Stepped(weight).eval(), "logits"),
        ball,
        labels,
        queries=queries,
        is_image=len(shape) > 1,
        generator=torch.Generator().manual_seed(1),
    )
    reachable = (x.flatten(1) @ weight).abs() <= 0.3 * weight.norm(p=1 if norm == "linf" else 2)
    return ball, found, reachable, (x.flatten(1) @ weight).abs().mean()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(16,), (1, 8, 8), (3, 9, 8), (8, 10)])
def test_what_it_finds_is_in_the_ball_lowers_the_margin_and_repeats(norm: Norm, shape: tuple[int, ...]) -> None:
    ball, found, _, clean = searched(norm, shape, 60)
    _, again, *_ = searched(norm, shape, 60)
    assert torch.equal(found.inputs, again.inputs)
    assert bool(ball.contains(found.inputs).all())
    assert float(found.margins.mean()) < 0.97 * float(clean)


def test_it_finds_most_of_what_can_be_found_in_a_few_entries() -> None:
    _, found, reachable, _ = searched("linf", (16,), 300)
    assert not bool((found.broken & ~reachable).any())
    assert int(found.broken.sum()) >= 0.8 * int(reachable.sum())


def test_an_example_that_is_broken_costs_no_further_queries() -> None:
    attacked = AttackedModel(nn.Linear(4, 2).eval(), "logits")
    x = torch.randn(10, 4)
    wrong = 1 - attacked.logits(x).argmax(1)
    ball = Ball.around(x, scale=torch.ones(1, 4), radius=0.1, norm="linf", low=-9.0, high=9.0)
    before = attacked.forward_examples
    random_search(attacked, ball, wrong, queries=50, is_image=False, generator=torch.Generator().manual_seed(0))
    assert attacked.forward_examples == before + 10
