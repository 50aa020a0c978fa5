"""Result of an importance measurement, with the effect of each site and the cumulative linearisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from actlab.errors import UnknownNameError
from actlab.stats.paired_effect import Effect
from actlab.system.display import Displayed
from actlab.tasks.metrics.per_sample import Direction

__all__ = ["Importance", "SiteImportance", "Step"]


@dataclass(frozen=True, kw_only=True)
class SiteImportance:
    """Importance of one site.

    Attributes:
        path: of the site.
        spec: of the activation that runs there.
        channels: number of fitted lines, one per channel or one for the site.
        r2: share of the outputs' variance within channels that the lines explain, on the calibration data.
        linearised: effect of replacing it by its best linear fit.
        ablated: effect of replacing it by the mean of its outputs.
    """

    path: str
    spec: str
    channels: int
    r2: float
    linearised: Effect
    ablated: Effect


@dataclass(frozen=True, kw_only=True)
class Step:
    """Step of the cumulative linearisation, which linearises one more site.

    Attributes:
        path: of the site that is linearised in this step.
        r2: of its line, in the model with the lines before it; None if the site no longer runs there.
        total: effect of all lines so far, compared with the unchanged model. Its p value is not corrected and its state is not meaningful,
            because the order was chosen on the same samples.
        within: whether the upper end of the interval is within the tolerance, in this step and in all before.
    """

    path: str
    r2: float | None
    total: Effect
    within: bool


@dataclass(frozen=True, kw_only=True)
class Importance(Displayed, Sequence[SiteImportance]):
    """Importance of the sites of a model, as a sequence of :class:`SiteImportance` in order of execution.

    Attributes:
        rows: the sites.
        steps: cumulative linearisation, from the least important site to all of them.
        unseen: sites that cannot be linearised, with the reason.
        measure: name of the measure.
        direction: "min" if smaller is better.
        baseline: mean of the measure for the unchanged model.
        samples: number of samples the model was evaluated on.
        calibration: number of samples the lines were fitted to.
        tolerance: loss allowed for all lines together, in the unit of the measure.
        alpha: error rate of the table of single replacements.
        per_channel: whether each channel has its own line.
    """

    rows: tuple[SiteImportance, ...]
    steps: tuple[Step, ...]
    unseen: Mapping[str, str]
    measure: str
    direction: Direction
    baseline: float
    samples: int
    calibration: int
    tolerance: float
    alpha: float
    per_channel: bool

    @property
    def together(self) -> tuple[str, ...]:
        """Paths of the sites that can be linearised together within the tolerance, least important first."""
        return tuple(step.path for step in self.steps if step.within)

    @property
    def ranked(self) -> tuple[SiteImportance, ...]:
        """The sites by the effect of linearising them, most important first."""
        return tuple(sorted(self.rows, key=lambda row: -row.linearised.mean))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as data for JSON."""
        return {**asdict(self), "unseen": dict(self.unseen), "together": list(self.together)}

    @overload
    def __getitem__(self, index: int | str) -> SiteImportance: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SiteImportance, ...]: ...
    def __getitem__(self, index: int | str | slice) -> SiteImportance | tuple[SiteImportance, ...]:
        if not isinstance(index, str):
            return self.rows[index]
        row = next((row for row in self.rows if row.path == index), None)
        if row is None:
            raise UnknownNameError("measured site", index, [row.path for row in self.rows])
        return row

    def __len__(self) -> int:
        return len(self.rows)
