"""Learning curve of a trial, read from the series of its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actlab.stats.e_process import Floats
from actlab.tasks.training.recorder import LOSS, held_out_name

__all__ = ["LearningCurve", "Reach", "held_out_curve", "loss_curve", "read_curve"]

_WINDOW: Final = 5
"""Recorded points over which a training loss is averaged, of up to 200: losses of single batches are noisy, and the first one below a
target would come too early."""
_POINTS_PER_WINDOW: Final = 20


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where a trial met a condition.

    Attributes:
        step: training step.
        seconds: of training up to then; NaN where they were not measured.
    """

    step: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve:
    """Values of one series of a trial.

    Attributes:
        step: training steps, ascending, shape (n,), n >= 1.
        seconds: of training up to each step, NaN where they were not measured, shape (n,).
        value: values, shape (n,).
    """

    step: Floats
    seconds: Floats
    value: Floats

    def smoothed(self) -> LearningCurve:
        """Return the curve of the means of five values, from the fifth point on; of fewer where the curve has less than 100 points."""
        width = min(_WINDOW, len(self.value) // _POINTS_PER_WINDOW)
        if width < 2:
            return self
        # Each window is summed by itself: differences of cumulated sums would lose small losses after a very large one.
        means = np.lib.stride_tricks.sliding_window_view(self.value, width).mean(axis=1)
        # Not before: the mean of one or two batches would meet a target by chance.
        return LearningCurve(step=self.step[width - 1 :], seconds=self.seconds[width - 1 :], value=means)

    def first(self, met: NDArray[np.bool_]) -> Reach | None:
        """Return the first recorded step at which a condition is met; None where it never is."""
        found = np.flatnonzero(met)
        if not found.size:
            return None
        return Reach(step=float(self.step[found[0]]), seconds=float(self.seconds[found[0]]))

    def best(self, sign: float) -> int:
        """Return the position of the first best value; ``sign`` is 1 where larger is better, else -1."""
        return int(np.argmax(np.where(np.isfinite(self.value), sign * self.value, -np.inf)))


def read_curve(series: Mapping[str, Any] | None, name: str) -> LearningCurve | None:
    """Return one series of a row as a curve; None where the row has none, as rows of earlier builds.

    Args:
        series: column ``series`` of a row.
        name: of the series.

    Example:
        >>> read_curve({"loss": {"step": [1, 2], "seconds": [0.1, 0.2], "value": [3.0, 2.0]}}, "loss").value.tolist()
        [3.0, 2.0]
    """
    entry = (series or {}).get(name)
    if not entry or not entry.get("step"):
        return None
    step, value = (np.array(entry[key], dtype=np.float64) for key in ("step", "value"))
    seconds = np.array(entry.get("seconds") or np.full(step.shape, np.nan), dtype=np.float64)
    return LearningCurve(step=step, seconds=seconds, value=value)


def loss_curve(row: Mapping[str, Any]) -> LearningCurve | None:
    """Return the smoothed training loss of a row."""
    curve = read_curve(row.get("series"), LOSS)
    return None if curve is None else curve.smoothed()


def held_out_curve(row: Mapping[str, Any], metric: str) -> LearningCurve | None:
    """Return the held-out metric of a row; ``metric`` is the name of the task's metric."""
    return read_curve(row.get("series"), held_out_name(metric))
