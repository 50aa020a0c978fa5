"""Series of values that a training reports by step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["LOSS", "POINTS", "Recorder", "held_out_name"]

#: Name of the series of the training loss.
LOSS: Final = "loss"
#: Largest number of points of a stored series.
POINTS: Final = 200

_KEPT_BESIDE = 3  # last, smallest and largest value


def held_out_name(metric: str) -> str:
    """Return the name of the series of a task's metric on held-out data.

    It is that of the metric; of a metric that is called as the training loss, "held-out loss".

    Example:
        >>> held_out_name("accuracy"), held_out_name("loss")
        ('accuracy', 'held-out loss')
    """
    return f"held-out {LOSS}" if metric == LOSS else metric


@dataclass(kw_only=True)
class _Thinned:
    """Points of one series: every so many of those that came, beside the last, the smallest and the largest.

    Smallest and largest value are kept both, so that the best is, whatever its direction. A point is its number, step, seconds and value.
    """

    points: list[tuple[int, float, float, float]] = field(default_factory=list)
    beside: dict[str, tuple[int, float, float, float]] = field(default_factory=dict)
    stride: int = 1
    count: int = 0

    def add(self, step: float, seconds: float, value: float) -> None:
        point = (self.count, step, seconds, value)
        self.beside["last"] = point
        if math.isfinite(value):
            if "smallest" not in self.beside or value < self.beside["smallest"][3]:
                self.beside["smallest"] = point
            if "largest" not in self.beside or value > self.beside["largest"][3]:
                self.beside["largest"] = point
        if self.count % self.stride == 0:
            self.points.append(point)
            if len(self.points) > POINTS - _KEPT_BESIDE:
                del self.points[1::2]
                self.stride *= 2
        self.count += 1

    def to_columns(self) -> dict[str, list[Any]]:
        kept = sorted({*self.points, *self.beside.values()}, key=lambda point: point[0])
        return {
            "step": [int(point[1]) if float(point[1]).is_integer() else point[1] for point in kept],
            "seconds": [_or_none(point[2], 6) for point in kept],
            "value": [_or_none(point[3]) for point in kept],
        }


def _or_none(value: float, digits: int | None = None) -> float | None:
    """Return a number, or None for one that is not finite, which JSON does not have."""
    if not math.isfinite(value):
        return None
    return value if digits is None else round(value, digits)


class Recorder:
    """Recorder of the series of one trial.

    A series keeps at most 200 points, whatever the number of values recorded: the first, the last, the smallest, the largest, and of
    the others every second, fourth, .. one. Which ones does not depend on time, so that a trial has the same points wherever it runs.

    Attributes:
        losses: loss of every training step, in order. Where no value called "loss" is recorded, its series is made of them.

    Example:
        >>> recorder = Recorder()
        >>> for step in range(1, 1001):
        ...     recorder.record(step, accuracy=1 - 1 / step)
        >>> series = recorder.to_series()["accuracy"]
        >>> len(series["step"]) <= 200, series["step"][0], series["step"][-1], series["value"][-1]
        (True, 1, 1000, 0.999)
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self._series: dict[str, _Thinned] = {}
        self._ticks: list[tuple[int, float]] = []
        self._began, self._paused = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, without the time of :meth:`paused`."""
        return time.perf_counter() - self._began - self._paused

    def start(self) -> None:
        """Begin to count the seconds now, when the training begins."""
        self._began, self._paused = time.perf_counter(), 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out of the seconds, as that of an evaluation."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - began

    def tick(self, step: int, seconds: float | None = None) -> None:
        """Record that a step is reached; the seconds of the losses between two ticks are interpolated."""
        self._ticks.append((step, self.seconds if seconds is None else seconds))

    def record(
        self, step: float, named: Mapping[str, float] | None = None, *, seconds: float | None = None, **values: float
    ) -> None:
        """Record values of a step.

        Args:
            step: training step, from 1 up.
            named: values by name, where a name is no identifier.
            seconds: of training so far; by default what this recorder has counted.
            values: values by name; "loss" is the training loss.
        """
        now = self.seconds if seconds is None else seconds
        for name, value in {**(named or {}), **values}.items():
            self._series.setdefault(name, _Thinned()).add(step, now, float(value))

    def copy(self, source: str, target: str) -> None:
        """Record one series under another name as well, in the place of what is there; nothing happens where there is no such series."""
        if source in self._series:
            self._series[target] = self._series[source]

    def to_series(self) -> dict[str, Any]:
        """Return the series as stored in a row: steps, seconds and values by name; None stands for a value that is not finite."""
        series = {name: thinned.to_columns() for name, thinned in self._series.items()}
        if LOSS not in series and self.losses:
            series[LOSS] = self._loss_series()
        return series

    def _loss_series(self) -> dict[str, list[Any]]:
        thinned = _Thinned()
        for step, value in enumerate(self.losses, 1):
            thinned.add(step, math.nan, value)
        columns = thinned.to_columns()
        columns["seconds"] = [_or_none(self.seconds_at(step), 6) for step in columns["step"]]
        return columns

    def seconds_at(self, step: float) -> float:
        """Return the seconds of training up to a step, on the line between the ticks around it; NaN after the last."""
        before = (0, 0.0)
        for tick in self._ticks:
            if tick[0] >= step:
                share = (step - before[0]) / (tick[0] - before[0]) if tick[0] > before[0] else 1.0
                return before[1] + share * (tick[1] - before[1])
            before = tick
        return math.nan

    def state(self) -> dict[str, Any]:
        """Return all that is recorded so far as lists and numbers, for a checkpoint."""
        return {
            "losses": list(self.losses),
            "ticks": [list(tick) for tick in self._ticks],
            "seconds": self.seconds,
            "series": {
                name: {
                    "points": [list(point) for point in it.points],
                    "beside": {key: list(point) for key, point in it.beside.items()},
                    "stride": it.stride,
                    "count": it.count,
                }
                for name, it in self._series.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned; the seconds go on from those of then."""
        self.losses[:] = state["losses"]
        self._ticks = [(int(step), float(seconds)) for step, seconds in state["ticks"]]
        self._began, self._paused = time.perf_counter() - float(state["seconds"]), 0.0
        self._series = {
            name: _Thinned(
                points=[_point(values) for values in stored["points"]],
                beside={key: _point(values) for key, values in stored["beside"].items()},
                stride=int(stored["stride"]),
                count=int(stored["count"]),
            )
            for name, stored in state["series"].items()
        }


def _point(values: Any) -> tuple[int, float, float, float]:
    number, step, seconds, value = values
    return int(number), step, seconds, value
