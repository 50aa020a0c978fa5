"""Records of what a study found about the columns of axes, by column and arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["ArmNumber", "ColumnDifference", "ColumnFinding", "ColumnRelation", "Interval", "Missing"]

Interval: TypeAlias = tuple[float | None, float | None]
ColumnRelation: TypeAlias = Literal["better", "worse", "tie", "undecided", "not compared", "described", "baseline"]
#: Seeds without a number, by reason.
Missing: TypeAlias = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class ColumnDifference:
    """An arm minus the baseline in one column, paired by seed.

    Attributes:
        mean: mean difference in the unit of the column.
        ci: its 95 % interval; (None, None) with one seed.
        seeds: number of seeds on which both have a number; 0 for what is measured once for each arm.
    """

    mean: float
    ci: Interval
    seeds: int


@dataclass(frozen=True, kw_only=True)
class ArmNumber:
    """One arm in one column.

    Attributes:
        arm: its label.
        n: number of seeds on which it has a number; 1 for what is measured once for each arm.
        trials: number of seeds on which its trial has ended.
        mean: over the seeds with a number; None without any.
        ci: its 95 % interval; (None, None) below two seeds.
        missing: the other seeds, by reason.
        far: seeds whose number is far from all its others; mean and interval rest on them, statements do not.
        difference: to the baseline; None for the baseline, or where no seed is shared.
        relation: statement on the arm, compared with the baseline: "better" or "worse"; "tie" for practically equivalent; "undecided";
            "not compared" where no seed is shared; "described" in a column without a direction; "baseline".
        seeds_needed: of an undecided one, about how many more seeds would decide it if the results so far repeat; None where more than 60
            would be needed, or where it is not known.
    """

    arm: str
    n: int
    trials: int
    mean: float | None
    ci: Interval
    missing: Missing
    difference: ColumnDifference | None
    far: tuple[int, ...] = ()
    relation: ColumnRelation = "undecided"
    seeds_needed: int | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnFinding:
    """What a study found about one headline column of an axis.

    Attributes:
        axis: name of the axis.
        column: name of the column.
        direction: "max" when a larger number is better, "min" when a smaller one is; None for a column that describes.
        unit: of the numbers; empty for none.
        description: what the number is.
        rope: half width of the region of practical equivalence, in the unit.
        rope_rule: how it was chosen.
        arms: one entry for each arm of the plan, in its order.
    """

    axis: str
    column: str
    direction: Literal["max", "min"] | None
    unit: str
    description: str
    rope: float
    rope_rule: str
    arms: tuple[ArmNumber, ...]

    def of(self, arm: str) -> ArmNumber:
        """Return the entry of an arm."""
        return next(entry for entry in self.arms if entry.arm == arm)

    @property
    def name(self) -> str:
        """Name in tables and sentences: that of the axis, and of the column where it is another.

        Example:
            >>> ColumnFinding(
            ...     axis="ood", column="auroc", direction="max", unit="", description="", rope=0.0, rope_rule="", arms=()
            ... ).name
            'ood auroc'
        """
        return self.axis if self.column == self.axis else f"{self.axis} {self.column.replace('_', ' ')}"
