"""Loss and dead units per layer over the first training steps, with the step at which layers die."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Final

from actlab.nn.probes.probe_report import ProbeReport, ProbeRow

__all__ = ["RISE", "WHOLE", "LayerDeath", "Snapshot", "TrainingRecord", "dead_units", "snapshot_of"]

# share of the units active at initialization that a layer must lose; healthy nets lose up to 0.42
RISE: Final = 0.5
# share of a layer's units from which it counts as lost completely
WHOLE: Final = 0.99


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Dead and saturated units on reference inputs at one training step.

    Attributes:
        step: number of training steps before.
        dead: share of dead units, by name of the probe's row.
        stuck: share of saturated units, by name of the row.
        units: indices of the dead units, by name of the row.
    """

    step: int
    dead: Mapping[str, float]
    stuck: Mapping[str, float]
    units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def lost(self, name: str) -> float:
        """Return the share of units that are dead or saturated."""
        return self.dead.get(name, 0.0) + self.stuck.get(name, 0.0)


@dataclass(frozen=True, kw_only=True)
class LayerDeath:
    """Layer that lost units during training and did not recover them.

    Attributes:
        name: of the probe's row, which is the site and the layer before it.
        step: from which on half of the units active at initialization are lost.
        before: share of lost units at initialization.
        share: share of lost units at the end of the record.
        whole: step from which on all units are lost and no gradient passes; None if some stay active.
    """

    name: str
    step: int
    before: float
    share: float
    whole: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Record of the first training steps.

    Attributes:
        learning_rate: of the training.
        losses: by step; the last one is not finite if the training diverged.
        looks: snapshots of the units in order of their steps; the first is at initialization.
    """

    learning_rate: float
    losses: tuple[float, ...]
    looks: tuple[Snapshot, ...]

    @property
    def diverged(self) -> int | None:
        """Step, counted from 1, from which on the loss is not finite or over a thousand times the first one; None if it never stays so.

        Example:
            >>> losses = [(2.0, 9e9, 3.0), (2.0, 9e9, 9e9), (2.0, 1.0, float("nan"))]
            >>> [TrainingRecord(learning_rate=1.0, losses=some, looks=()).diverged for some in losses]
            [None, 2, 3]
        """
        limit, since = 1e3 * (1 + abs(self.losses[0])) if self.losses else 0.0, None
        for step in range(len(self.losses), 0, -1):
            if abs(self.losses[step - 1]) <= limit:  # false for NaN
                break
            since = step
        return since

    @property
    def deaths(self) -> tuple[LayerDeath, ...]:
        """Layers that lost units permanently, in order of the step at which they did.

        Example:
            >>> shares = [0.1, 0.1, 0.9, 0.2, 0.8, 1.0]
            >>> looks = tuple(Snapshot(step=10 * i, dead={"1": share}, stuck={}) for i, share in enumerate(shares))
            >>> TrainingRecord(learning_rate=0.1, losses=(1.0,), looks=looks).deaths
            (LayerDeath(name='1', step=40, before=0.1, share=1.0, whole=50),)
        """
        deaths = [death for name in self.looks[0].dead if (death := self._death(name))] if self.looks else []
        return tuple(sorted(deaths, key=lambda death: death.step))

    def _death(self, name: str) -> LayerDeath | None:
        before = self.looks[0].lost(name)
        since = self._since(name, before + RISE * (1 - before))
        if since is None or since == self.looks[0].step:  # lost before any training
            return None
        whole = self._since(name, WHOLE)
        return LayerDeath(name=name, step=since, before=before, share=self.looks[-1].lost(name), whole=whole)

    def _since(self, name: str, share: float) -> int | None:
        """Return the step from which on at least this share of a layer's units stays lost."""
        since = None
        for look in reversed(self.looks):
            if look.lost(name) < share:
                break
            since = look.step
        return since

    @property
    def whole(self) -> LayerDeath | None:
        """First layer that loses all its units."""
        lost = [(death.whole, death) for death in self.deaths if death.whole is not None]
        return min(lost, key=lambda pair: pair[0])[1] if lost else None

    @property
    def killed(self) -> bool:
        """Whether the training diverged or lost units permanently."""
        return self.diverged is not None or bool(self.deaths)

    def with_snapshots(self, more: Iterable[Snapshot]) -> TrainingRecord:
        """Return the record with further snapshots; those at steps that already have one are ignored."""
        by_step = {look.step: look for look in (*more, *self.looks)}
        looks = tuple(by_step[step] for step in sorted(by_step))
        return TrainingRecord(learning_rate=self.learning_rate, losses=self.losses, looks=looks)


def snapshot_of(report: ProbeReport, step: int) -> Snapshot:
    """Return the dead and saturated units of a probe's report; sites without units are skipped."""
    rows = [row for row in report if row.units]
    return Snapshot(
        step=step,
        dead={row.name: 0.0 if isnan(row.dead) else row.dead for row in rows},
        stuck={row.name: row.stuck for row in rows},
        units={row.name: dead_units(row) for row in rows},
    )


def dead_units(row: ProbeRow) -> tuple[int, ...]:
    """Return the indices of the dead units of a row; empty if they were not recorded."""
    if row.census is None or isnan(row.dead):
        return ()
    return tuple(int(unit) for unit in row.census.dead.nonzero()[0])
