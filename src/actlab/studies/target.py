"""Target of the convergence of a study, as given or as it follows from a pilot trial of the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actlab.errors import PlanError, did_you_mean
from actlab.stats.racing import Direction, fewest_rounds
from actlab.studies.learning_curve import LearningCurve, held_out_curve, loss_curve
from actlab.tasks.training.recorder import LOSS, held_out_name

__all__ = [
    "FEWEST_POINTS",
    "NO_TARGET",
    "Target",
    "TargetChoice",
    "TargetLike",
    "choose_target",
    "parse_target",
    "pilot_target",
]

TargetLike: TypeAlias = str | Mapping[str, float]

#: What a user writes for no target.
NO_TARGET: Final = "none"
#: Fewest values of a pilot trial from which a target follows.
FEWEST_POINTS: Final = 4
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

    def is_same(self, other: Target) -> bool:
        """Return whether another target is the same value of the same series, however it was fixed."""
        return (self.name, self.value, self.direction) == (other.name, other.value, other.direction)

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


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """How a study comes to its target, and the target once it has one; stored among the facts of the study.

    Attributes:
        target: the target; None before the pilot trial has ended, and where there is none.
        by_pilot: whether it follows from a pilot trial that has not ended.
        note: why there is none, for people.
        for_few_seeds: whether there is none because the study has few seeds, so that a pilot trial runs when it goes on with more.
    """

    target: Target | None = None
    by_pilot: bool = False
    note: str = ""
    for_few_seeds: bool = False

    def to_fact(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        return {
            "target": None if self.target is None else self.target.to_dict(),
            "by_pilot": self.by_pilot,
            "note": self.note,
            **({"for_few_seeds": True} if self.for_few_seeds else {}),
        }

    @classmethod
    def from_fact(cls, stored: Mapping[str, Any] | None) -> TargetChoice:
        """Return the choice that :meth:`to_fact` wrote; for a study without one, of an earlier build, that it has no target."""
        if stored is None:
            return cls(note="the study began with an earlier version of ActLab")
        target = stored.get("target")
        return cls(
            target=None if target is None else Target.from_dict(target),
            by_pilot=bool(stored.get("by_pilot")),
            note=str(stored.get("note", "")),
            for_few_seeds=bool(stored.get("for_few_seeds")),
        )

    @property
    def reason(self) -> str:
        """Why there is no target, for people."""
        return "the pilot trial of the baseline has not ended" if self.by_pilot else self.note


def choose_target(
    asked: TargetLike | None, given: Target | None, *, seeds: int, alpha: float, tuned: bool
) -> TargetChoice:
    """Return how a new study comes to its target.

    A given target is taken. Without one it follows from a pilot trial of the baseline, or from its tuning trials; a study with fewer seeds
    than can show a difference is not made to run a trial more for it.

    Args:
        asked: what the user wrote.
        given: the same as a target.
        seeds: number of seeds.
        alpha: error rate of the study.
        tuned: whether the baseline has tuning trials.

    Example:
        >>> choose_target(None, None, seeds=10, alpha=0.05, tuned=False).by_pilot
        True
    """
    if given is not None:
        return TargetChoice(target=given)
    if asked == NO_TARGET:
        return TargetChoice(note="none was asked for")
    if not tuned and seeds < fewest_rounds(alpha):
        few = f"the study has fewer than {fewest_rounds(alpha)} seeds, for which no trial of the baseline is run"
        return TargetChoice(note=f"{few}; give one with --target, or go on with more seeds", for_few_seeds=True)
    return TargetChoice(by_pilot=True)


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

    It is the worst value in the second quarter of the trial, on held-out data, or of the training loss where there is none or where the
    trial had met it at its first evaluation: a value that the baseline has surely reached after a quarter of its training. So most trials
    of the baseline reach it, whose results differ by seed, and an arm that is four times slower still does.

    Args:
        series: column ``series`` of the trial.
        metric: name of the task's metric.
        direction: of the metric.

    Example:
        >>> values = [0.3, 0.6, 0.8, 0.9, 0.92, 0.93, 0.94, 0.94]
        >>> series = {"accuracy": {"step": list(range(8)), "seconds": list(range(8)), "value": values}}
        >>> pilot_target(series, "accuracy", "max").value
        0.8
    """
    row: dict[str, Any] = {"series": series}
    held_out = _second_quarter(held_out_curve(row, metric), held_out_name(metric), direction)
    return _second_quarter(loss_curve(row), LOSS, "min") if held_out is None else held_out


def _second_quarter(curve: LearningCurve | None, name: str, direction: Direction) -> Target | None:
    """Return the target of one curve; None where it is short, not finite, or where the target would be met by its first value."""
    if curve is None or len(curve.value) < FEWEST_POINTS or not np.isfinite(curve.value).all():
        return None
    sign, share = 1.0 if direction == "max" else -1.0, curve.step / curve.step[-1]
    inside = (share >= 1 / 4) & (share <= 1 / 2)
    if not inside.any():
        return None
    value = float(f"{sign * float((sign * curve.value[inside]).min()):.{_DIGITS}g}")
    if sign * (value - curve.value[0]) <= 0:
        return None
    worst = "lowest" if direction == "max" else "highest"
    what = "training loss" if name == LOSS else name
    rule = f"the {worst} {what} in the second quarter of a trial of the baseline on another seed"
    return Target(name=name, value=value, direction=direction, rule=rule)
