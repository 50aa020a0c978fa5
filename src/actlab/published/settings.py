"""Settings of the check of a published table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from actlab.errors import PlanError, did_you_mean

__all__ = ["LintOptions", "LintSettings"]

SPREADS = ("sd", "se", "ci")
DIRECTIONS = ("max", "min")


class LintOptions(TypedDict, total=False):
    """Keyword options of :func:`actlab.lint`; see :class:`LintSettings`."""

    mean: str | None
    spread: str | None
    runs: int | None
    direction: str | None
    baseline: str | None
    winner: str | None
    alpha: float
    items: int | None
    limits: tuple[float, float] | None
    paired: bool


@dataclass(frozen=True, kw_only=True)
class LintSettings:
    """Settings of :func:`actlab.lint`.

    Attributes:
        mean: name of the column with the means; by default found by its name.
        spread: what a number after ± or in brackets is, "sd" (of single runs), "se" (standard error) or "ci" (half width of a 95 %
            interval); by default what the names of the columns say, else "sd".
        runs: number of runs of every row, where no column states it.
        direction: whether "max" or "min" is best; by default from the name of the column.
        baseline: name of the row that p-values, effect sizes and intervals of differences refer to, and that all rows are compared with;
            by default the one row without them, else the first row.
        winner: name of the row that the source calls the best; by default the row with the best mean.
        alpha: error rate of all statements "differs" of the table together, in (0, 0.5).
        items: number of test examples, where the metric is a share of them: means are then searched for values that no counts give.
        limits: smallest and largest possible value of the metric; by default from the name of the column.
        paired: whether p-values, effect sizes and intervals of differences come from paired runs. They then depend on the correlation of
            the runs, which is not published, and contradict a row only if no correlation gives them.

    Raises:
        PlanError: a value is out of range.
    """

    mean: str | None = None
    spread: str | None = None
    runs: int | None = None
    direction: str | None = None
    baseline: str | None = None
    winner: str | None = None
    alpha: float = 0.05
    items: int | None = None
    limits: tuple[float, float] | None = None
    paired: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("spread", SPREADS), ("direction", DIRECTIONS)):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                near = did_you_mean(str(value), allowed)
                raise PlanError(f"{name} is {value!r}; allowed are {', '.join(allowed)}.{near}")
        for name in ("runs", "items"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise PlanError(f"{name} is {value!r}; a whole number from 1 up is needed.")
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float) or not 0 < self.alpha < 0.5:
            raise PlanError(f"alpha is {self.alpha!r}; a number above 0 and below 0.5 is needed, such as 0.05.")
        if self.limits is not None and not _are_limits(self.limits):
            raise PlanError(
                f"limits are {self.limits!r}; two numbers are needed, the smaller one first, such as (0, 100)."
            )


def _are_limits(limits: object) -> bool:
    if not isinstance(limits, tuple | list) or len(limits) != 2:
        return False
    if not all(isinstance(end, int | float) and not math.isnan(end) for end in limits):
        return False
    return bool(limits[0] < limits[1])
