"""Evaluation of one trained model on its metric and on axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from actlab.evaluate.axis import Axis
from actlab.system.display import Displayed

__all__ = ["Evaluation"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation(Displayed):
    """Result of :func:`actlab.evaluate`.

    Attributes:
        name: of the task, the file or the model.
        act: activation put at sites of the model before training; None if they were not changed.
        seed: of data, training and everything that an axis draws.
        was_trained: whether the model was trained here.
        metric: name of the metric.
        value: the metric on the test split; None where it is not finite or has no function.
        test_examples: number of test examples.
        axes: what was measured, in order.
        results: by axis, see :func:`actlab.evaluate.axis_run.run_axes`.
        forward_examples: examples on which the model was run forward by what the axes share.
        seconds: by part: "training" and each axis.
        warnings: of the fast audit of the data, in sentences.

    Example:
        >>> import actlab
        >>> found = actlab.evaluate("digits", axes="calibration")
        >>> found["calibration", "nll"] > 0
        True
    """

    _in_repr: ClassVar[tuple[str, ...]] = ("name", "act", "seed", "metric", "value")

    name: str
    seed: int
    metric: str
    value: float | None
    test_examples: int | None
    axes: tuple[Axis, ...]
    results: Mapping[str, Mapping[str, Any]]
    act: str | None = None
    was_trained: bool = False
    forward_examples: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __getitem__(self, place: str | tuple[str, str]) -> float:
        """Return a number by axis and column; by axis alone where it has one column.

        Raises:
            KeyError: it was not measured; the message has the reason.
        """
        axis, column = place if isinstance(place, tuple) else (place, self._only_column(place))
        result = self.results.get(axis)
        if result is None:
            raise KeyError(f"{axis} was not measured; measured are {', '.join(self.results) or 'no axes'}")
        if column not in result["numbers"]:
            raise KeyError(
                f"{axis} has no number {column}: {result['undefined'].get(column, 'it is none of its columns')}"
            )
        return float(result["numbers"][column])

    def _only_column(self, axis: str) -> str:
        columns = next((list(known.columns) for known in self.axes if known.name == axis), [axis])
        return columns[0] if len(columns) == 1 else axis

    def records(self) -> list[dict[str, Any]]:
        """Return one dict for each column: ``axis, column, value, error, direction, unit, undefined``.

        ``error`` is the standard error over examples, of a number that is a mean over these.
        """
        return [
            {
                "axis": axis.name,
                "column": name,
                "value": self.results[axis.name]["numbers"].get(name),
                "error": self.results[axis.name].get("standard_errors", {}).get(name),
                "direction": column.direction,
                "unit": column.unit,
                "undefined": self.results[axis.name]["undefined"].get(name),
            }
            for axis in self.axes
            for name, column in axis.columns.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, ready for JSON."""
        return {
            "name": self.name,
            "act": self.act,
            "seed": self.seed,
            "trained": self.was_trained,
            "metric": self.metric,
            "value": self.value,
            "test_examples": self.test_examples,
            "axes": [axis.to_dict() for axis in self.axes],
            "results": {name: dict(result) for name, result in self.results.items()},
            "forward_examples": self.forward_examples,
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
        }
