"""Walk-forward splits of forecasts, trained on what was known before the first one that is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from torch import Tensor

from actlab.errors import TaskError

__all__ = ["WalkForward", "moments_of"]


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Consecutive test periods at the end of a series; a seed takes one, and trains on what was known at its beginning.

    The forecast of origin t is made from values up to t and compared with values from t + 1 to t + ``horizon``. Seeds 0, 1, ... take the
    periods from the last one back, and begin again after the first one, with other weights.

    Attributes:
        origins: number of forecasts that can be made, one for each moment of the series.
        horizon: values after an origin that its target is made of.
        test: forecasts in a test period.
        validation: forecasts in the period before it.
        periods: number of test periods.

    Example:
        >>> split = WalkForward(origins=100, horizon=5, test=10, validation=10, periods=3)
        >>> split.parts(0)
        {'train': range(0, 72), 'validation': range(76, 86), 'test': range(90, 100)}
        >>> split.parts(1)["test"], split.parts(3) == split.parts(0)
        (range(80, 90), True)
    """

    origins: int
    horizon: int
    test: int
    validation: int
    periods: int

    def __post_init__(self) -> None:
        needed = self.test * self.periods + self.validation + 2 * self.horizon
        if self.origins <= needed:
            raise TaskError(
                f"A walk-forward split of {self.origins} forecasts is not possible: {self.periods} test periods of {self.test}, a "
                f"validation period of {self.validation} and the gaps take {needed}. Take fewer periods, or shorter ones."
            )

    def parts(self, seed: int) -> dict[str, range]:
        """Return the origins of each split, by name; between two splits there are ``horizon`` - 1 that are left out.

        Without these the last targets of a split would reach into the time of the first target of the next one.
        """
        end = self.origins - self.test * (seed % self.periods)
        gap = self.horizon - 1
        test = end - self.test
        validation = test - gap - self.validation
        return {
            "train": range(validation - gap),
            "validation": range(validation, validation + self.validation),
            "test": range(test, end),
        }


def moments_of(inputs: Tensor, *, known: Tensor, moments: Sequence[float]) -> list[float]:
    """Return the moment of each example, found by its content, so that an audit sees where it really stands in the series.

    Args:
        inputs: of some examples, shape (m, ...).
        known: inputs of all examples of the series, shape (n, ...).
        moments: of these, n numbers; NaN stands for an example that is not one of them.

    Example:
        >>> import torch
        >>> series = torch.tensor([[1.0, 2.0], [2.0, 4.0], [4.0, 3.0]])
        >>> moments_of(series[[2, 0]], known=series, moments=[10.0, 20.0, 30.0])
        [30.0, 10.0]
    """
    found = {row.tobytes(): moment for row, moment in zip(known.numpy(), moments, strict=True)}
    return [found.get(row.tobytes(), nan) for row in inputs.numpy()]
