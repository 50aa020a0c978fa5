"""Pareto fronts of the int8 metric and what an arm takes on a device.

An arm is on the front where no other arm is at least as good on both and better on one. Fronts follow from the means, whose intervals
stand beside them: they are estimates and no statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from actlab.studies.verdict.axes.axes_verdict import AxesVerdict
from actlab.studies.verdict.axes.column_finding import ColumnFinding, Interval

__all__ = ["Front", "FrontPoint", "find_fronts", "on_front"]

_QUALITY: Final = ("int8", "metric")
_COSTS: Final = ("instructions", "flash")
_DEVICE: Final = "device"


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """An arm in the plane of cost and quality.

    Attributes:
        arm: its label.
        cost: the smaller, the better.
        mean: quality, over seeds.
        ci: its 95 % interval.
        is_on_front: whether no other arm is at least as good on both and better on one.
    """

    arm: str
    cost: float
    mean: float
    ci: Interval
    is_on_front: bool


@dataclass(frozen=True, kw_only=True)
class Front:
    """Cost and quality of all arms that have both.

    Attributes:
        cost: column of the cost.
        quality: column of the quality.
        points: arms in the order of the plan.
    """

    cost: ColumnFinding
    quality: ColumnFinding
    points: tuple[FrontPoint, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms on the front, the cheapest first."""
        return tuple(point.arm for point in sorted(self.points, key=lambda point: point.cost) if point.is_on_front)


def find_fronts(found: AxesVerdict | None) -> tuple[Front, ...]:
    """Return the fronts of a study, for instructions and flash on each core; none where fewer than two arms have numbers.

    Args:
        found: on the axes.
    """
    quality = None if found is None else found.of(*_QUALITY)
    if found is None or quality is None or quality.direction is None:
        return ()
    costs = [
        column
        for name in _COSTS
        for column in found.columns
        if column.column == name and column.axis.partition("_")[0] == _DEVICE and column.direction == "min"
    ]
    fronts = (Front(cost=cost, quality=quality, points=_points(cost, quality)) for cost in costs)
    return tuple(front for front in fronts if len(front.points) > 1)


def _points(cost: ColumnFinding, quality: ColumnFinding) -> tuple[FrontPoint, ...]:
    known = [
        (number.arm, price, number.mean, number.ci)
        for number in quality.arms
        if number.mean is not None and (price := cost.of(number.arm).mean) is not None
    ]
    sign = 1 if quality.direction == "max" else -1
    places = {arm: (price, sign * mean) for arm, price, mean, _ in known}
    best = on_front(places.items())
    return tuple(
        FrontPoint(arm=arm, cost=price, mean=mean, ci=ci, is_on_front=arm in best) for arm, price, mean, ci in known
    )


def on_front(places: Iterable[tuple[str, tuple[float, float]]]) -> set[str]:
    """Return the names of places on the front of small first and large second numbers.

    Args:
        places: name and the two numbers; equal places are both on the front, or none.

    Example:
        >>> sorted(on_front([("a", (1, 0.8)), ("b", (2, 0.9)), ("c", (2, 0.85)), ("d", (1, 0.8))]))
        ['a', 'b', 'd']
    """
    found, best, last = set(), float("-inf"), float("nan")
    for name, (cost, gain) in sorted(places, key=lambda entry: (entry[1][0], -entry[1][1])):
        if gain > best or (gain == best and cost == last):
            found.add(name)
            best, last = gain, cost
    return found
