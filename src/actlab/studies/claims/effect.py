"""Effects that claims speak of, one number for each seed, from the rows of studies.

An effect is a sum of cells. A cell is the mean (or the variance) over some arms of a column of the rows of one study, times a weight. It is
oriented so that a positive effect supports the claim. A diverged training counts as worse than any other; where it makes both sides of a
difference infinite, or a trial failed for another reason, the seed says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from actlab.errors import PlanError

__all__ = [
    "Cell",
    "Effect",
    "Rows",
    "Scale",
    "check_column",
    "column_value",
    "difference",
    "growth",
    "value",
    "variance",
]

Scale: TypeAlias = Literal["linear", "log10"]
Rows: TypeAlias = Mapping[str, Iterable[Mapping[str, Any]]]
"""Rows of trials by the key of the study in the claim; a row has ``arm``, ``seed``, ``status`` and the columns that cells name."""

_DIVERGED: Final = "diverged"
_PLAIN_COLUMNS: Final = frozenset(
    {"metric", "train_loss", "validation", "parameters", "steps", "cpu_seconds", "lr", "mean_loss", _DIVERGED}
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One term of an effect.

    Attributes:
        arms: as written in the claim's study.
        column: of the rows, see :func:`column_value`.
        study: key of the study in the claim.
        weight: factor.
        larger: whether larger numbers are better, so that a diverged training counts as minus infinity, else as plus infinity.
        reduce: "mean" over the arms, or "variance", their variance without what seeds add to
            it, see :func:`variance`.
        scale: "log10" for the logarithms of the numbers.
    """

    arms: tuple[str, ...]
    column: str
    study: str = "main"
    weight: float = 1.0
    larger: bool = True
    reduce: Literal["mean", "variance"] = "mean"
    scale: Scale = "linear"

    def by_seed(self, rows: Iterable[Mapping[str, Any]]) -> dict[int, float]:
        """Return the cell's number for every seed on which each of its arms has a row."""
        found: dict[int, dict[str, float]] = {}
        for row in rows:
            if row["arm"] in self.arms:
                found.setdefault(int(row["seed"]), {})[row["arm"]] = self._number(row)
        complete = {seed: numbers for seed, numbers in sorted(found.items()) if len(numbers) == len(self.arms)}
        if self.reduce == "variance":
            return {seed: self.weight * number for seed, number in self._variances(complete).items()}
        return {seed: self.weight * float(np.mean(list(numbers.values()))) for seed, numbers in complete.items()}

    def _variances(self, complete: Mapping[int, Mapping[str, float]]) -> dict[int, float]:
        """Return for each pair of seeds (0 and 1, 2 and 3, ...) the covariance of the arms' numbers, by the second seed."""
        found = {}
        for seed in complete:
            if seed % 2 and seed - 1 in complete:
                pair = np.array([[complete[each][arm] for arm in self.arms] for each in (seed - 1, seed)])
                finite = np.isfinite(pair).all()
                found[seed] = float(np.cov(pair)[0, 1]) if finite else math.nan if np.isnan(pair).any() else math.inf
        return found

    def _number(self, row: Mapping[str, Any]) -> float:
        number = column_value(row, self.column)
        if number is None:
            worst = -math.inf if self.larger else math.inf
            return worst if row["status"] == _DIVERGED else math.nan
        if self.scale == "linear":
            return number
        return math.log10(number) if number > 0 else (-math.inf if number == 0 else math.nan)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A sum of cells, less a constant.

    Attributes:
        cells: terms.
        minus: constant that is taken away, in the unit of the sum.
    """

    cells: tuple[Cell, ...]
    minus: float = 0.0

    @property
    def studies(self) -> tuple[str, ...]:
        """Keys of the studies that it reads."""
        return tuple(dict.fromkeys(cell.study for cell in self.cells))

    @property
    def seeds_each(self) -> int:
        """Number of seeds that give one effect: two where it is a variance over arms."""
        return 2 if any(cell.reduce == "variance" for cell in self.cells) else 1

    def by_seed(self, rows: Rows) -> dict[int, float]:
        """Return the effect for every seed that all cells have, in the order of the seeds; NaN where a seed says nothing.

        Example:
            >>> rows = [{"arm": arm, "seed": 0, "status": "completed", "metric": m} for arm, m in {"relu": 0.9, "gelu": 0.95}.items()]
            >>> {seed: round(gain, 3) for seed, gain in difference("gelu", "relu", column="metric").by_seed({"main": rows}).items()}
            {0: 0.05}
        """
        numbers = [cell.by_seed(rows.get(cell.study, ())) for cell in self.cells]
        seeds = sorted(set.intersection(*(set(found) for found in numbers)))
        with np.errstate(invalid="ignore"):
            return {seed: float(np.sum([found[seed] for found in numbers])) - self.minus for seed in seeds}


def column_value(row: Mapping[str, Any], column: str) -> float | None:
    """Return a number of a row, or None where the row has none.

    Args:
        row: a trial, or a row of a record, in which the numbers have the columns' full names.
        column: "metric", "train_loss", "validation", "parameters", "steps", "cpu_seconds", "lr", "mean_loss" (mean of the curve of the
            training loss), "loss@SHARE" (training loss at that share of the steps), "diverged" (1 or 0), "metrics.NAME" or
            "axes.AXIS.NUMBER".

    Raises:
        PlanError: there is no such column.

    Example:
        >>> trial = {"status": "completed", "curve": [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}], "metrics": {"f1": 0.8}}
        >>> [column_value(trial, name) for name in ("mean_loss", "loss@0.5", "metrics.f1", "diverged")]
        [1.5, 2.0, 0.8, 0.0]
    """
    if column == _DIVERGED:
        return float(row["status"] == _DIVERGED)
    number = row[column] if column in row else _computed(row, column)
    if number is None or number == "" or (row["status"] != "completed" and column not in {"steps", "parameters", "lr"}):
        return None
    return float(number)


def _computed(row: Mapping[str, Any], column: str) -> Any:
    group, _, name = column.partition(".")
    if group == "metrics" and name:
        return (row.get("metrics") or {}).get(name)
    if group == "axes" and "." in name:
        axis, number = name.split(".", 1)
        return ((row.get("axes") or {}).get(axis) or {}).get("numbers", {}).get(number)
    curve = row.get("curve") or []
    if column == "mean_loss":
        return float(np.mean([point["loss"] for point in curve])) if curve else None
    if column.startswith("loss@"):
        return _loss_at(curve, float(column.removeprefix("loss@")))
    raise _no_column(column)


def check_column(column: str) -> None:
    """Check that there are columns of this name, before anything is trained.

    Raises:
        PlanError: there are none.
    """
    group, _, name = column.partition(".")
    if column in _PLAIN_COLUMNS or (group == "metrics" and name) or (group == "axes" and "." in name):
        return
    try:
        share = float(column.removeprefix("loss@")) if column.startswith("loss@") else math.nan
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise _no_column(column)


def _no_column(column: str) -> PlanError:
    return PlanError(
        f"There is no column {column!r}. Columns: metric, train_loss, validation, parameters, steps, cpu_seconds, lr, mean_loss, "
        "loss@SHARE (from 0 to 1), diverged, metrics.NAME, axes.AXIS.NUMBER."
    )


def _loss_at(curve: list[Mapping[str, float]], share: float) -> float | None:
    if not curve:
        return None
    wanted = share * curve[-1]["step"]
    return min(curve, key=lambda point: abs(point["step"] - wanted))["loss"]


def difference(
    one: str | tuple[str, ...],
    other: str | tuple[str, ...],
    *,
    column: str = "metric",
    larger: bool = True,
    study: str = "main",
    beside: str | None = None,
    scale: Scale = "linear",
) -> Effect:
    """Return by how much some arms are better than others: the mean over the ones less the mean over the others.

    Args:
        one: the arm, or arms, that the claim says are better.
        other: those with which they are compared.
        column: of the rows.
        larger: whether larger numbers are better.
        study: key of the study.
        beside: key of the study of ``other``; by default the same.
        scale: "log10" compares logarithms.
    """
    sign = 1.0 if larger else -1.0
    shared = {"column": column, "larger": larger, "scale": scale}
    return Effect(
        cells=(
            Cell(arms=_tuple(one), study=study, weight=sign, **shared),  # type: ignore[arg-type] # keyword options of several types
            Cell(arms=_tuple(other), study=beside or study, weight=-sign, **shared),  # type: ignore[arg-type] # as above
        )
    )


def growth(
    one: str | tuple[str, ...],
    other: str | tuple[str, ...],
    *,
    study: str,
    beside: str,
    column: str = "metric",
    larger: bool = True,
    scale: Scale = "linear",
) -> Effect:
    """Return by how much a difference is larger in one study than in another.

    Args:
        one: as for :func:`difference`, like all others.
        other: the arms with which they are compared.
        study: in which the claim says that the difference is larger.
        beside: in which it is smaller.
        column: of the rows.
        larger: whether larger numbers are better.
        scale: "log10" compares logarithms.
    """
    here = difference(one, other, column=column, larger=larger, study=study, scale=scale)
    there = difference(other, one, column=column, larger=larger, study=beside, scale=scale)
    return Effect(cells=(*here.cells, *there.cells))


def variance(
    arms: tuple[str, ...], *, study: str, beside: str, column: str = "metric", scale: Scale = "linear"
) -> Effect:
    """Return by how much the variance over arms is larger in one study than in another, without what seeds add to it.

    Seeds scatter equal arms too, and more in one study than in another, which the standard deviation over arms of each seed takes for a
    difference between arms. Here each pair of seeds (0 and 1, 2 and 3, ...) gives one number, the covariance over the arms of their numbers
    on the two seeds: its expectation is the variance of the arms' means, and 0 for equal arms. A pair tells as much as a seed elsewhere.

    Args:
        arms: two or more, which are in both studies.
        study: in which the claim says that the variance is larger.
        beside: in which it is smaller.
        column: of the rows.
        scale: "log10" takes the variance of logarithms.

    Example:
        >>> numbers = {"a": (0.1, 0.3), "b": (0.5, 0.7), "c": (0.9, 1.1)}
        >>> wide = [{"arm": a, "seed": s, "status": "completed", "metric": m} for a, each in numbers.items() for s, m in enumerate(each)]
        >>> narrow = [{**row, "metric": row["metric"] / 2} for row in wide]
        >>> effect = variance(("a", "b", "c"), study="wide", beside="narrow")
        >>> {seed: round(number, 3) for seed, number in effect.by_seed({"wide": wide, "narrow": narrow}).items()}
        {1: 0.12}
    """
    cell = {"arms": arms, "column": column, "reduce": "variance", "scale": scale}
    return Effect(cells=(Cell(study=study, **cell), Cell(study=beside, weight=-1.0, **cell)))  # type: ignore[arg-type] # as above


def value(
    arms: str | tuple[str, ...], *, column: str = "metric", study: str = "main", minus: float = 0.0, larger: bool = True,
    scale: Scale = "linear",
) -> Effect:  # fmt: skip
    """Return a number itself, less a constant such as the published value.

    Args:
        arms: an arm, or arms over which the mean is taken.
        column: of the rows.
        study: key of the study.
        minus: constant.
        larger: whether larger numbers support the claim; otherwise the effect is the constant less the number.
        scale: "log10" takes the logarithm of the number first.
    """
    sign = 1.0 if larger else -1.0
    cell = Cell(arms=_tuple(arms), column=column, study=study, weight=sign, larger=larger, scale=scale)
    return Effect(cells=(cell,), minus=sign * minus)


def _tuple(arms: str | tuple[str, ...]) -> tuple[str, ...]:
    return (arms,) if isinstance(arms, str) else tuple(arms)
