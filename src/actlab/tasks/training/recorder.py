"""Series of values that a training reports by step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LOSS", "Recorder"]

#: Name of the series of the training loss.
LOSS = "loss"


@dataclass(kw_only=True)
class Recorder:
    """Recorder of the series of one trial.

    Attributes:
        losses: loss of every training step, in order.
        reported: by name, the steps, seconds since the beginning and values.

    Example:
        >>> recorder = Recorder()
        >>> recorder.record(10, accuracy=0.5)
        >>> recorder.reported["accuracy"][0][::2]
        (10, 0.5)
    """

    losses: list[float] = field(default_factory=list)
    reported: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def record(self, step: int, **values: float) -> None:
        """Record values of a step."""
        seconds = time.perf_counter() - self.began
        for name, value in values.items():
            self.reported.setdefault(name, []).append((step, seconds, value))

    def to_series(self) -> dict[str, Any]:
        """Return the series as stored in a row: steps, seconds and values by name."""
        return {
            name: {"step": [p[0] for p in points], "seconds": [p[1] for p in points], "value": [p[2] for p in points]}
            for name, points in self.reported.items()
        }
