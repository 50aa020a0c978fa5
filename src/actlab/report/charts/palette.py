"""Colours of the charts: six hues for the best set, ink for the baseline, grey for the rest.

Colour follows the arm through the whole page and says what the verdict says: what is coloured may be the best. The hues
were searched for the largest smallest distance (OKLab) between any two under normal vision, protanopia, deuteranopia
and tritanopia (Machado 2009, full severity): at least 0.12 in both themes, 1.6 times that of the Okabe-Ito palette, at a
contrast of 3 or more on the page. Every mark is labelled as well, so colour is never the only key.

Example:
    >>> LIGHT[0]
    '#2b439d'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["DARK", "LIGHT", "Look", "looks"]

# blue, rust, teal, violet, gold, plum; the same families in both themes
LIGHT = ("#2b439d", "#ae4024", "#479e89", "#934fdf", "#b5820c", "#792f50")
DARK = ("#297cef", "#fd5b0b", "#91debc", "#b59edb", "#ebd229", "#b36f84")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one arm is drawn.

    Attributes:
        colour: a CSS value.
        dash: lengths of strokes and gaps in pixels; empty for a solid line.
        best: whether the arm is in the best set.
        baseline: whether the others are compared with it.
    """

    colour: str
    dash: tuple[int, ...] = ()
    best: bool = False
    baseline: bool = False


def looks(verdict: Verdict) -> dict[str, Look]:
    """Return the look of every arm. From the seventh of a best set on the hues come again, with dashed lines."""
    best = [arm.spec for arm in verdict.arms if arm.spec in verdict.best_set]
    found = {}
    for arm in verdict.arms:
        baseline = arm.spec == verdict.baseline
        if arm.spec in best:
            again, hue = divmod(best.index(arm.spec), len(LIGHT))
            dash = (5, 3) if again else ()
            found[arm.spec] = Look(colour=f"var(--arm-{hue + 1})", dash=dash, best=True, baseline=baseline)
        elif baseline:
            found[arm.spec] = Look(colour="var(--ink)", baseline=True)
        else:
            found[arm.spec] = Look(colour="var(--rest)")
    return found
