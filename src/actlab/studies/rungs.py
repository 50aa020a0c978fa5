"""Rungs on which the learning rates of an arm are tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["GRID", "HALVING", "Rung"]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Round of tuning trials of one arm.

    Attributes:
        stage: of its trials.
        share: of the steps of a main trial that they run.
        rates: largest number of learning rates in it, the best ones of the rung before.
        with_own: whether the task's own rate goes on to this rung in any case, in the place of the last of the best.
        smooth: whether a rate is judged with its neighbours, which divides the noise of short trials on few seeds.
    """

    stage: str
    share: float
    rates: int
    with_own: bool = False
    smooth: bool = False


#: Tuning by the full grid, as in studies of version 0.1.
GRID: Final = (Rung(stage="tune", share=1.0, rates=5),)
#: Tuning by successive halving; how the numbers were chosen: docs/evidence/tuning.md.
HALVING: Final = (
    Rung(stage="tune0", share=1 / 8, rates=13, smooth=True),
    Rung(stage="tune1", share=1.0, rates=2, with_own=True),
)
