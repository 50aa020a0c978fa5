"""Intervals of the effects of claims beside zero and the smallest effect that matters, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from actlab.report.charts.scales import Scale

if TYPE_CHECKING:
    from actlab.studies.claims.part_judgement import PartJudgement

__all__ = ["interval_plot"]

_WIDTH, _HEIGHT, _EDGE = 340, 46, 34
_MIDDLE, _TOP, _BOTTOM = 16, 4, 28


def interval_plot(judged: PartJudgement, *, zero: str, smallest: str) -> str:
    """Return the interval of an effect as an SVG element of 340 by 46 pixels.

    Args:
        judged: with its effect, interval and smallest effect that matters; not a closed form.
        zero: label of no effect.
        smallest: label of the smallest effect that matters.

    Example:
        >>> from actlab.studies.claims.part_judgement import PartJudgement
        >>> part = PartJudgement(says="", kind="better", condition=None, judged=True, decision="holds", unit="", smallest=0.1,
        ...                      n=8, effect=0.2, low=0.1, high=0.3)
        >>> interval_plot(part, zero="0", smallest="0.1").count("<circle")
        1
    """
    marks = [judged.smallest] if judged.kind == "better" else [-judged.smallest, judged.smallest]
    scale = _scale([0.0, *marks, judged.effect or 0.0, judged.low, judged.high])
    at = {mark: _EDGE + scale.at(mark) for mark in (0.0, *marks)}
    low, high = (_EDGE + scale.at(min(max(end, scale.low), scale.high)) for end in (judged.low, judged.high))
    drawn = [_band(at[-judged.smallest], at[judged.smallest])] if judged.kind == "tie" else []
    drawn += [f'<path class="least" d="M{at[mark]:.1f} {_TOP}V{_BOTTOM}"/>' for mark in marks]
    drawn += [
        f'<path class="none" d="M{at[0.0]:.1f} {_TOP}V{_BOTTOM}"/>',
        f'<path class="range" d="M{low:.1f} {_MIDDLE}H{high:.1f}"/>',
    ]
    drawn += [_end(at_end, open_ended=math.isinf(end)) for at_end, end in ((low, judged.low), (high, judged.high))]
    if judged.effect is not None and math.isfinite(judged.effect):
        drawn.append(f'<circle class="effect" cx="{_EDGE + scale.at(judged.effect):.1f}" cy="{_MIDDLE}" r="4.5"/>')
    drawn += _labels([(at[0.0], zero), *((at[mark], smallest) for mark in marks[-1:])])
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true" focusable="false">{"".join(drawn)}</svg>'


def _scale(numbers: Iterable[float]) -> Scale:
    finite = [number for number in numbers if math.isfinite(number)]
    low, high = min(finite), max(finite)
    margin = 0.08 * (high - low) or 1.0
    return Scale(low=low - margin, high=high + margin, pixels=_WIDTH - 2 * _EDGE)


def _band(left: float, right: float) -> str:
    return f'<rect class="tie" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_BOTTOM - _TOP}"/>'


def _end(at: float, *, open_ended: bool) -> str:
    """Return the end of an interval, a bar, or nothing where the interval goes on."""
    return "" if open_ended else f'<path class="range" d="M{at:.1f} {_MIDDLE - 5}V{_MIDDLE + 5}"/>'


def _labels(labels: list[tuple[float, str]]) -> list[str]:
    """Return labels below the lines; a second one that would overlap the first one is on the other side of its line."""
    (zero_at, zero), *others = labels
    texts = [f'<text x="{zero_at:.1f}" y="{_HEIGHT - 5}">{escape(zero)}</text>']
    for at, text in others:
        near = abs(at - zero_at) < 4 * (len(text) + len(zero))
        anchor = ("start" if at >= zero_at else "end") if near else "middle"
        shift = (10 if at >= zero_at else -10) if near else 0
        texts.append(
            f'<text x="{at + shift:.1f}" y="{_HEIGHT - 5}" style="text-anchor: {anchor}">{escape(text)}</text>'
        )
    return texts
