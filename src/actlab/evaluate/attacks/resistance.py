"""Examples that resist attack after attack, with every success checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from actlab.evaluate.attacks.attacked_model import AttackedModel
from actlab.evaluate.attacks.ball import Ball
from actlab.evaluate.attacks.gradient_attack import Attacked

__all__ = ["AttackRun", "Resistance"]

#: Attack of a ball and its labels.
AttackRun: TypeAlias = Callable[[Ball, Tensor], Attacked]


class Resistance:
    """Which examples no attack has broken so far.

    An example counts as broken when the model, asked once more and without gradients, answers wrong on an input that lies inside the ball.

    Args:
        attacked: the model.
        ball: around the clean inputs, shape (n, ...).
        labels: true classes, int64, shape (n,).
        resisting: the examples that are attacked, bool, shape (n,).

    Attributes:
        resisting: those that are left.
        inputs: what broke the others, shape (n, ...); clean inputs where nothing did.
        broken_by: number of examples that an attack broke and those before it did not, by name.
        refused: successes that were not counted, since they lay outside of the ball or could not be repeated.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0]])
        >>> ball = Ball.around(x, scale=torch.ones(1, 1), radius=0.1, norm="linf", low=-9.0, high=9.0)
        >>> resistance = Resistance(AttackedModel(torch.nn.Identity().eval(), "logits"), ball, torch.tensor([1]), torch.tensor([True]))
        >>> resistance.attack("too far", lambda ball, labels: Attacked(-ball.centre, torch.tensor([-1.0])))
        >>> resistance.resisting, resistance.refused
        (tensor([True]), 1)
    """

    def __init__(self, attacked: AttackedModel, ball: Ball, labels: Tensor, resisting: Tensor) -> None:
        self.attacked, self.ball, self.labels = attacked, ball, labels
        self.resisting = resisting.clone()
        self.inputs = ball.centre.clone()
        self.broken_by: dict[str, int] = {}
        self.refused = 0

    def attack(self, name: str, run: AttackRun) -> None:
        """Attack the examples that are left."""
        rows = self.resisting.nonzero()[:, 0]
        self.broken_by.setdefault(name, 0)
        if len(rows):
            found = run(self.ball.take(rows), self.labels[rows])
            self.count(name, rows[found.broken], found.inputs[found.broken])

    def count(self, name: str, rows: Tensor, inputs: Tensor) -> None:
        """Count inputs that are said to break examples, by index, shape (m,)."""
        if not len(rows):
            return
        is_wrong = self.attacked.margins(inputs, self.labels[rows]) <= 0
        holds = is_wrong & self.ball.take(rows).contains(inputs)
        self.refused += int((~holds).sum())
        self.resisting[rows[holds]] = False
        self.inputs[rows[holds]] = inputs[holds]
        self.broken_by[name] = self.broken_by.get(name, 0) + int(holds.sum())
