"""Counting of examples that resist."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import Ball
from actlab.evaluate.attacks.gradient_attack import Attacked, fgsm
from actlab.evaluate.attacks.resistance import Resistance


def resistance_of(n: int = 6) -> Resistance:
    x = torch.linspace(-1, 1, n)[:, None]
    model = nn.Linear(1, 2, bias=False).double().eval()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    ball = Ball.around(x.double(), scale=torch.ones(1, 1), radius=0.5, norm="linf", low=-2.0, high=2.0)
    labels = (x[:, 0] > 0).long()
    return Resistance(AttackedModel(model, "logits"), ball, labels, torch.ones(n, dtype=torch.bool))


def test_attacks_one_after_the_other_meet_what_is_left() -> None:
    resistance, met = resistance_of(), []

    def attack(ball: Ball, labels: Tensor) -> Attacked:
        met.append(len(labels))
        return fgsm(resistance.attacked, ball, labels)

    resistance.attack("first", attack)
    resistance.attack("second", attack)
    assert resistance.resisting.tolist() == [True, True, False, False, True, True]
    assert met == [6, 4]
    assert resistance.broken_by == {"first": 2, "second": 0}
    assert resistance.refused == 0


def test_an_attack_that_leaves_the_ball_breaks_nothing() -> None:
    resistance = resistance_of()
    resistance.attack("cheat", lambda ball, _: Attacked(-ball.centre, torch.full((6,), -1.0)))
    assert resistance.resisting.tolist() == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]  # two lie within reach of their mirror image
    assert resistance.refused == 4


def test_an_attack_that_only_says_so_breaks_nothing() -> None:
    resistance = resistance_of()
    resistance.attack("boast", lambda ball, _: Attacked(ball.centre, torch.full((6,), -1.0)))
    assert bool(resistance.resisting.all())
    assert resistance.refused == 6
