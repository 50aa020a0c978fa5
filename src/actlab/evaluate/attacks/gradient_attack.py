"""Attacks along the gradient of the loss by the input, in one step or many.

FGSM is one step from the clean input (arXiv:1412.6572); PGD takes many, each followed by a projection into the ball (arXiv:1706.06083). The
step is a multiple of eps over the number of steps: fewer steps search the same ball more coarsely, and no smaller one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from actlab.evaluate.attacks.attacked_model import AttackedModel, Loss, margins
from actlab.evaluate.attacks.ball import Ball

__all__ = ["Attacked", "fgsm", "pgd"]


class Attacked(NamedTuple):
    """Result of an attack.

    Attributes:
        inputs: the strongest input found for each example, shape (n, ...); the clean one where nothing lowered the margin.
        margins: of the true class there, shape (n,); at most that of the clean input.
    """

    inputs: Tensor
    margins: Tensor

    @property
    def broken(self) -> Tensor:
        """Whether the answer to each input is wrong, bool, shape (n,)."""
        return self.margins <= 0


def fgsm(
    attacked: AttackedModel,
    ball: Ball,
    labels: Tensor,
    loss: Loss = "cross_entropy",
    *,
    gradient: Tensor | None = None,
) -> Attacked:
    """Attack by one step of the size of the radius from the clean input, in the steepest direction of the ball's norm.

    Args:
        attacked: the model.
        ball: around the clean inputs, shape (n, ...).
        labels: true classes, int64, shape (n,).
        loss: what is raised.
        gradient: that of the loss at the clean inputs, where it is known, shape (n, ...).

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 2).eval()
        >>> x = torch.zeros(1, 2)
        >>> ball = Ball.around(x, scale=torch.ones(1, 2), radius=0.1, norm="linf", low=-1.0, high=1.0)
        >>> (fgsm(AttackedModel(model, "logits"), ball, torch.tensor([0])).inputs.abs() - 0.1).abs().max() < 1e-6
        tensor(True)
    """
    if gradient is None:
        gradient, _ = attacked.gradients(ball.centre, labels, loss)
    inputs = ball.ascend(ball.centre, gradient, ball.radius)
    return Attacked(inputs, attacked.margins(inputs, labels))


def pgd(
    attacked: AttackedModel,
    ball: Ball,
    labels: Tensor,
    *,
    steps: int,
    reach: float = 2.5,
    loss: Loss = "cross_entropy",
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack by projected gradient ascent; the strongest input of all steps counts, and an example that is broken is left alone.

    Args:
        attacked: the model.
        ball: around the clean inputs, shape (n, ...).
        labels: true classes, int64, shape (n,).
        steps: gradients for each example.
        reach: sum of the lengths of all steps, in radii; each is ``reach * radius / steps``.
        loss: what is raised.
        generator: draws where the attack starts; None to start from the clean input.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 2).eval()
        >>> x = torch.zeros(3, 2)
        >>> ball = Ball.around(x, scale=torch.ones(1, 2), radius=0.1, norm="l2", low=-1.0, high=1.0)
        >>> found = pgd(AttackedModel(model, "logits"), ball, torch.zeros(3, dtype=torch.int64), steps=5)
        >>> bool(ball.contains(found.inputs).all())
        True
    """
    best = ball.centre.clone()
    lowest = torch.full((len(best),), torch.inf, dtype=torch.float64)
    x = best if generator is None else ball.random(generator)
    rows = torch.arange(len(best))
    for step in range(steps + 1):
        gradient = None
        if step < steps:
            gradient, logits = attacked.gradients(x, labels[rows], loss)
            found = margins(logits, labels[rows])
        else:
            found = attacked.margins(x, labels[rows])
        better = found < lowest[rows]
        best[rows[better]], lowest[rows[better]] = x[better], found[better]
        left = found > 0
        rows = rows[left]
        if gradient is None or not len(rows):
            break
        x = ball.take(rows).ascend(x[left], gradient[left], reach * ball.radius / steps)
    return Attacked(best, lowest)
