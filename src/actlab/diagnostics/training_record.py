"""The course: the loss and the dead units of every layer over the first steps of training, and the step from which on they stay dead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Final

from actlab.nn.probes.probe_report import ProbeReport, ProbeRow

__all__ = ["RISE", "WHOLE", "Course", "Death", "Look", "dead_units", "look_at"]

RISE: Final = 0.5  # share of the units that lived at the init: healthy nets were seen to lose 0.42 of them
WHOLE: Final = 0.99  # of a layer's units: nothing passes any more


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a set of reference inputs shows at one step.

    Attributes:
        step: how many steps of training were made before.
        dead: share of dead units by the name of the row.
        stuck: share of saturated ones, likewise.
        units: numbers of the dead ones, likewise.
    """

    step: int
    dead: Mapping[str, float]
    stuck: Mapping[str, float]
    units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def lost(self, name: str) -> float:
        """Return the share of units that are dead or saturated."""
        return self.dead.get(name, 0.0) + self.stuck.get(name, 0.0)


@dataclass(frozen=True, kw_only=True)
class Death:
    """A layer that lost units in training, and never got them back.

    Attributes:
        name: of the row: the site, and the layer before it.
        step: from which on half of the units are lost that lived at the init.
        before: share of lost units at the init.
        share: at the end of the course.
        whole: the step from which on all are lost, so that nothing passes; None where some live.
    """

    name: str
    step: int
    before: float
    share: float
    whole: int | None = None


@dataclass(frozen=True, kw_only=True)
class Course:
    """The first steps of training.

    Attributes:
        learning_rate: that was used.
        losses: of the steps, in order; the last one is not finite where it diverged.
        looks: in order of their steps; the first is at the init.
    """

    learning_rate: float
    losses: tuple[float, ...]
    looks: tuple[Look, ...]

    @property
    def diverged(self) -> int | None:
        """The step, from 1, from which on the loss is no number or more than a thousand times the first one; None where it ends well.

        Example:
            >>> losses = [(2.0, 9e9, 3.0), (2.0, 9e9, 9e9), (2.0, 1.0, float("nan"))]
            >>> [Course(learning_rate=1.0, losses=some, looks=()).diverged for some in losses]
            [None, 2, 3]
        """
        limit, since = 1e3 * (1 + abs(self.losses[0])) if self.losses else 0.0, None
        for step in range(len(self.losses), 0, -1):
            if abs(self.losses[step - 1]) <= limit:  # false for NaN
                break
            since = step
        return since

    @property
    def deaths(self) -> tuple[Death, ...]:
        """Layers that lost units for good, the first one that did so first.

        Example:
            >>> shares = [0.1, 0.1, 0.9, 0.2, 0.8, 1.0]
            >>> looks = tuple(Look(step=10 * i, dead={"1": share}, stuck={}) for i, share in enumerate(shares))
            >>> Course(learning_rate=0.1, losses=(1.0,), looks=looks).deaths
            (Death(name='1', step=40, before=0.1, share=1.0, whole=50),)
        """
        found = [death for name in self.looks[0].dead if (death := self._death(name))] if self.looks else []
        return tuple(sorted(found, key=lambda death: death.step))

    def _death(self, name: str) -> Death | None:
        before = self.looks[0].lost(name)
        since = self._since(name, before + RISE * (1 - before))
        if since is None or since == self.looks[0].step:  # lost before any training
            return None
        whole = self._since(name, WHOLE)
        return Death(name=name, step=since, before=before, share=self.looks[-1].lost(name), whole=whole)

    def _since(self, name: str, share: float) -> int | None:
        """Return the step from which on at least this share of a layer's units is lost, up to the end."""
        since = None
        for look in reversed(self.looks):
            if look.lost(name) < share:
                break
            since = look.step
        return since

    @property
    def whole(self) -> Death | None:
        """The layer that is the first to be lost as a whole."""
        lost = [(death.whole, death) for death in self.deaths if death.whole is not None]
        return min(lost, key=lambda pair: pair[0])[1] if lost else None

    @property
    def killed(self) -> bool:
        """Whether it ended badly: diverged, or with units lost for good."""
        return self.diverged is not None or bool(self.deaths)

    def with_looks(self, more: Iterable[Look]) -> Course:
        """Return the course with further looks; one at a step that has one already is left out."""
        known = {look.step: look for look in (*more, *self.looks)}
        looks = tuple(known[step] for step in sorted(known))
        return Course(learning_rate=self.learning_rate, losses=self.losses, looks=looks)


def look_at(report: ProbeReport, step: int) -> Look:
    """Read a report of a probe; sites without units are left out."""
    rows = [row for row in report if row.units]
    return Look(
        step=step,
        dead={row.name: 0.0 if isnan(row.dead) else row.dead for row in rows},
        stuck={row.name: row.stuck for row in rows},
        units={row.name: dead_units(row) for row in rows},
    )


def dead_units(row: ProbeRow) -> tuple[int, ...]:
    """Return the numbers of the dead units of a row; none where it does not know them."""
    if row.census is None or isnan(row.dead):
        return ()
    return tuple(int(unit) for unit in row.census.dead.nonzero()[0])
