"""Chart colours, with six hues for the best set, ink for the baseline and grey for other arms.

An arm has the same colour in all charts of a page; the arms of the best set are in colour. The hues maximise the smallest OKLab distance
between any two under normal vision, protanopia, deuteranopia and tritanopia (Machado 2009, full severity): at least 0.12 in both themes,
1.6 times that of the Okabe-Ito palette, at a contrast of 3 or more on the page. Every mark has a label, so that no information is in the
colour alone.

Example:
    >>> LIGHT[0]
    '#2b439d'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["DARK", "LIGHT", "ArmStyle", "arm_styles"]

# blue, rust, teal, violet, gold, plum; the same families in both themes
LIGHT = ("#2b439d", "#ae4024", "#479e89", "#934fdf", "#b5820c", "#792f50")
DARK = ("#297cef", "#fd5b0b", "#91debc", "#b59edb", "#ebd229", "#b36f84")


@dataclass(frozen=True, kw_only=True)
class ArmStyle:
    """Style of one arm.

    Attributes:
        colour: CSS value.
        dash: lengths of strokes and gaps in pixels; empty for a solid line.
        best: whether the arm is in the best set.
        baseline: whether the arm is the baseline.
    """

    colour: str
    dash: tuple[int, ...] = ()
    best: bool = False
    baseline: bool = False


def arm_styles(verdict: Verdict) -> dict[str, ArmStyle]:
    """Return the style of every arm. From the seventh arm of the best set on, hues repeat with dashed lines."""
    best = [arm.spec for arm in verdict.arms if arm.spec in verdict.best_set]
    styles = {}
    for arm in verdict.arms:
        baseline = arm.spec == verdict.baseline
        if arm.spec in best:
            repeated, hue = divmod(best.index(arm.spec), len(LIGHT))
            dash = (5, 3) if repeated else ()
            styles[arm.spec] = ArmStyle(colour=f"var(--arm-{hue + 1})", dash=dash, best=True, baseline=baseline)
        elif baseline:
            styles[arm.spec] = ArmStyle(colour="var(--ink)", baseline=True)
        else:
            styles[arm.spec] = ArmStyle(colour="var(--rest)")
    return styles
