"""What the columns of axes are read from, and the intervals of their means."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actlab.stats.bootstrap import bootstrap_interval
from actlab.studies.verdict.axes.axis_numbers import AxisRows
from actlab.studies.verdict.axes.column_finding import Interval
from actlab.studies.verdict.outcomes import Costs, Outcome, StudyFacts

__all__ = ["AxesStudy", "HeadlineColumn"]


@dataclass(frozen=True, kw_only=True)
class AxesStudy:
    """Results of a study.

    Attributes:
        rows: what the axes gave for every trial, from :func:`actlab.studies.verdict.axes.axis_numbers.read_axis_rows`.
        outcomes: of every arm.
        facts: of the study, with its axes.
        costs: of the arms, with what was measured once for each.
    """

    rows: AxisRows
    outcomes: Mapping[str, Outcome]
    facts: StudyFacts
    costs: Costs

    def interval(self, values: Any, name: str) -> Interval:
        """Return the 95 % interval of a mean over seeds; (None, None) below two."""
        # The seed follows from the plan, so that the same study has the same interval in every process.
        seed = zlib.crc32(f"{self.facts.fingerprint} axes {name}".encode())
        return bootstrap_interval(values, seed=seed) or (None, None)


@dataclass(frozen=True, kw_only=True)
class HeadlineColumn:
    """A column by which a verdict compares arms.

    Attributes:
        axis: name of the axis.
        name: of the column.
        column: its direction, unit, description and region, as the axis says them.
        study: results.
    """

    axis: str
    name: str
    column: Mapping[str, Any]
    study: AxesStudy
