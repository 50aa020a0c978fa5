"""Target of the convergence of a study, as given or as it follows from a pilot trial of the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actlab.errors import PlanError, did_you_mean
from actlab.stats.racing import Direction
from actlab.studies.learning_curve import LearningCurve, held_out_curve, loss_curve
from actlab.tasks.training.recorder import LOSS, held_out_name

__all__ = ["NO_TARGET", "PILOT_SHARE", "Target", "TargetLike", "parse_target", "pilot_target"]

TargetLike: TypeAlias = str | Mapping[str, float]

#: What a user writes for no target.
NO_TARGET: Final = "none"
#: Share of its way from the first to the best recorded value that the pilot trial has made at the target.
PILOT_SHARE: Final = 0.9
_DIGITS: Final = 4  # significant digits of a target that follows from a pilot trial


@dataclass(frozen=True, kw_only=True)
class Target:
    """A value that a trial reaches or does not.

    Attributes:
        name: of the series: "loss" for the training loss, else that of the held-out metric.
        value: the target.
        direction: "max" where it is reached from below, "min" from above.
        rule: how it was fixed, for people.
        began: whether trials of the study had ended when it was fixed, so that no error rate holds.

    Example:
        >>> target = Target(name="accuracy", value=0.9, direction="max", rule="given")
        >>> target.is_met([0.85, 0.9]).tolist(), str(target)
        ([False, True], 'accuracy 0.9')
    """

    name: str
    value: float
    direction: Direction
    rule: str
    began: bool = False

    def __str__(self) -> str:
        return f"{'training loss' if self.name == LOSS else self.name} {self.value:.{_DIGITS}g}"

    @property
    def is_loss(self) -> bool:
        """Whether it is a training loss."""
        return self.name == LOSS

    def is_met(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return which values meet the target, shape (n,)."""
        known = np.asarray(values, dtype=np.float64)
        return np.asarray(known >= self.value if self.direction == "max" else known <= self.value, dtype=np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """Return the target as it is stored among the facts of a study."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Target:
        """Return the target that :meth:`to_dict` wrote."""
        return cls(**stored)


def parse_target(target: TargetLike | None, metric: str, direction: Direction) -> Target | None:
    """Return the target that a user gives; None for no target, and where none is given.

    Args:
        target: text such as "accuracy=0.95" or "loss=0.1", or a mapping with one entry; "none" or None.
        metric: name of the task's metric.
        direction: of the metric.

    Raises:
        PlanError: it has another form, names no series, or its value is no finite number.

    Example:
        >>> parse_target("accuracy=0.95", "accuracy", "max").value, parse_target({"loss": 0.1}, "accuracy", "max").direction
        (0.95, 'min')
    """
    if target is None or target == NO_TARGET:
        return None
    name, value = _pair(target, metric)
    allowed = tuple(dict.fromkeys((held_out_name(metric), LOSS)))
    if name not in allowed:
        near = did_you_mean(name, allowed)
        raise PlanError(
            f"The target names {name!r}; allowed are {allowed[0]!r} (the metric of the task on held-out data) and {LOSS!r} (the training "
            f"loss).{near}"
        )
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise PlanError(
            f"The target of {name} is {value!r}; a finite number is needed, as in {_FORMS.format(name=name)}."
        )
    return Target(
        name=name, value=number, direction="min" if name == LOSS else direction, rule="given before the study"
    )


_FORMS: Final = "--target {name}=0.95, or target={{'{name}': 0.95}} in Python"


def _pair(target: Any, metric: str) -> tuple[str, Any]:
    """Return name and value as they were given."""
    if isinstance(target, Mapping) and len(target) == 1:
        name, value = next(iter(target.items()))
        return str(name), value
    if isinstance(target, str) and target.count("=") == 1 and not any(mark in target for mark in "<>!,;"):
        name, value = target.split("=")
        return name.strip(), value.strip()
    raise PlanError(
        f"The target is {target!r}; needed is one name with one value, as in {_FORMS.format(name=held_out_name(metric))}, or "
        f"{NO_TARGET!r}."
    )


def pilot_target(series: Mapping[str, Any] | None, metric: str, direction: Direction) -> Target | None:
    """Return the target that follows from the baseline's pilot trial; None where that recorded no progress.

    It is the value at which the pilot trial has made nine tenths of its way from the first to the best recorded value of the held-out
    metric, or of the training loss where no held-out metric was recorded.

    Args:
        series: column ``series`` of the trial.
        metric: name of the task's metric.
        direction: of the metric.

    Example:
        >>> series = {"accuracy": {"step": [10, 20, 30], "seconds": [1, 2, 3], "value": [0.5, 0.9, 0.8]}}
        >>> pilot_target(series, "accuracy", "max").value
        0.86
    """
    row: dict[str, Any] = {"series": series}
    held_out = _on_the_way(held_out_curve(row, metric), held_out_name(metric), direction)
    return _on_the_way(loss_curve(row), LOSS, "min") if held_out is None else held_out


def _on_the_way(curve: LearningCurve | None, name: str, direction: Direction) -> Target | None:
    """Return the target on the way of one curve; None where it has no finite values, or its first one is the best."""
    if curve is None:
        return None
    first, best = float(curve.value[0]), float(curve.value[curve.best(1.0 if direction == "max" else -1.0)])
    if not (math.isfinite(first) and math.isfinite(best)) or first == best:
        return None
    value = first + PILOT_SHARE * (best - first)
    rounded = float(f"{value:.{_DIGITS}g}")
    if min(first, best) < rounded < max(first, best):
        value = rounded
    what = "training loss" if name == LOSS else name
    rule = (
        f"{PILOT_SHARE:.0%} of the way of the {what} from its first value, {first:.3g}, to its best, {best:.3g}, in a trial of the "
        "baseline on another seed"
    )
    return Target(name=name, value=value, direction=direction, rule=rule)
