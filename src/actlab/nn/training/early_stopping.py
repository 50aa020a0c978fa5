"""Early stopping after a swap, when the target metric is reached or on a plateau."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from actlab.errors import LayerError

__all__ = ["Direction", "EarlyStopping"]

Direction = Literal["max", "min"]


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When fine-tuning ends: the model is as good as before, or it has stopped improving.

    Attributes:
        tolerance: distance from the old value that counts as recovered, in the unit of the evaluation, from 0 up; None to use all steps.
        patience: number of evaluations in a row without a new best one that end it; None for no limit.
        direction: "max" where larger values are better, "min" where smaller ones are.

    Example:
        >>> stop = EarlyStopping(tolerance=0.01, patience=2)
        >>> stop.reason(0.90, [0.85, 0.87]), stop.reason(0.90, [0.85, 0.87, 0.895]), stop.reason(0.90, [0.87, 0.86, 0.87])
        (None, 'recovered', 'patience')
    """

    tolerance: float | None = 0.005
    patience: int | None = 5
    direction: Direction = "max"

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise LayerError(f"direction is 'max' (accuracy) or 'min' (a loss); got {self.direction!r}.")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise LayerError(
                f"tolerance is the distance from the old value that counts as recovered, from 0 up; got {self.tolerance!r}."
            )
        if self.patience is not None and (isinstance(self.patience, bool) or self.patience < 1):
            raise LayerError(f"patience is a number of evaluations from 1 up, or None; got {self.patience!r}.")

    def loss(self, value: float) -> float:
        """Return a value with its sign chosen so that smaller is better."""
        return -value if self.direction == "max" else value

    def is_recovered(self, before: float, value: float) -> bool:
        """Whether a value is at least as good as the old one, within the tolerance (0 if there is none)."""
        return self.loss(value) <= self.loss(before) + (self.tolerance or 0.0)

    def reason(self, before: float, values: Sequence[float]) -> Literal["recovered", "patience"] | None:
        """Return why to stop after these evaluations, or None.

        Args:
            before: the value of the model with its old functions.
            values: values with the new functions, in order.
        """
        if values and self.tolerance is not None and self.is_recovered(before, values[-1]):
            return "recovered"
        losses = [self.loss(value) for value in values]
        if self.patience is not None and losses and len(losses) - 1 - losses.index(min(losses)) >= self.patience:
            return "patience"
        return None
