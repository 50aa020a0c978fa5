"""Key and summary of a trial within its study."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TrialKey", "TrialSummary"]


class TrialKey(NamedTuple):
    """Columns that identify a trial within its study."""

    stage: str
    arm: str
    seed: int
    lr: float


class TrialSummary(NamedTuple):
    """Columns of a trial that the scheduler reads; ``row`` is the number of the row, which grows with every row written."""

    key: TrialKey
    status: str
    metric: float | None
    validation: float | None
    seconds: float
    provisional: bool = False
    row: int = 0
