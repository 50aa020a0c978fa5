"""Columns of a verdict's table of arms (mean, difference, p-value, cost), with text and sort key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actlab.report.content.format import chance, count, fixed, interval, p_value, plain, ratio, signed, size
from actlab.report.content.verdict import metric_decimals

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import ArmSummary, Difference, Verdict

__all__ = ["Column", "columns", "status"]

STATUS = {
    "eliminated": "ruled out",
    "diverged": "diverged",
    "failed": "failed",
    "interrupted": "to be rerun",
    "not_run": "not run",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table of arms.

    Attributes:
        name: heading.
        meaning: explanation of the heading.
        value: returns the sort key of an arm.
        shown: returns the text of an arm.
        small: returns a second, smaller line of text.
        text: whether the column is text, aligned left.
    """

    name: str
    meaning: str
    value: Callable[[ArmSummary], float | str | None]
    shown: Callable[[ArmSummary], str]
    small: Callable[[ArmSummary], str] = lambda _: ""
    text: bool = False

    def cell(self, arm: ArmSummary) -> dict[str, Any]:
        """Return the cell of an arm, as the HTML template takes it."""
        value, shown = self.value(arm), self.shown(arm)
        return {
            "value": "" if value is None else value,
            "shown": shown,
            "small": self.small(arm),
            "text": self.text,
            "best": shown == "best",
        }


def status(arm: ArmSummary, verdict: Verdict) -> str:
    """Return the status of an arm: best, ruled out, diverged, failed, to be rerun or not run."""
    return STATUS.get(arm.status, "best" if arm.spec in verdict.best_set else "unknown")


def _of(arm: ArmSummary, read: Callable[[Difference], float | None]) -> float | None:
    return None if arm.diff is None else read(arm.diff)


def columns(verdict: Verdict) -> list[Column]:
    """Return the columns after the arm's name. The learning rate has one only if arms differ in it, step time and memory if known."""
    rates = {arm.lr for arm in verdict.arms}
    return [
        Column(
            name="status",
            meaning="best: in the best set; ruled out; diverged; failed; to be rerun; not run",
            value=lambda arm: status(arm, verdict),
            shown=lambda arm: status(arm, verdict),
            text=True,
        ),
        *_quality(verdict),
        *_chances(),
        *_cost(verdict),
        *([_rate()] if len(rates) > 1 else []),
        Column(
            name="seeds", meaning="number of seeds with a result", value=lambda arm: arm.n, shown=lambda arm: str(arm.n)
        ),
    ]


def _quality(verdict: Verdict) -> list[Column]:
    digits = metric_decimals(verdict)
    return [
        Column(
            name="mean",
            meaning="mean of the metric over seeds, and its 95% interval",
            value=lambda arm: arm.mean,
            shown=lambda arm: fixed(arm.mean, digits),
            small=lambda arm: interval(arm.ci, digits),
        ),
        Column(
            name="IQM",
            meaning="interquartile mean over seeds",
            value=lambda arm: arm.iqm,
            shown=lambda arm: fixed(arm.iqm, digits),
        ),
        Column(
            name="difference",
            meaning="mean difference to the baseline, paired by seed, and its 95% interval",
            value=lambda arm: _of(arm, lambda diff: diff.mean),
            shown=lambda arm: (
                "baseline" if arm.spec == verdict.baseline else signed(_of(arm, lambda diff: diff.mean), digits)
            ),
            small=lambda arm: interval(arm.diff.ci, digits, sign=True) if arm.diff else "",
        ),
    ]


def _chances() -> list[Column]:
    return [
        Column(
            name="p",
            meaning="corrected p value: error rate of the study at which this difference would rule out one of the two arms",
            value=lambda arm: _of(arm, lambda diff: diff.p_corrected),
            shown=lambda arm: p_value(_of(arm, lambda diff: diff.p_corrected)),
        ),
        Column(
            name="better",
            meaning="share of seeds on which the arm is better than the baseline",
            value=lambda arm: _of(arm, lambda diff: diff.prob_superior),
            shown=lambda arm: chance(_of(arm, lambda diff: diff.prob_superior)),
        ),
        Column(
            name="same",
            meaning="probability that arm and baseline are practically equivalent",
            value=lambda arm: _of(arm, lambda diff: diff.prob_equivalent),
            shown=lambda arm: chance(_of(arm, lambda diff: diff.prob_equivalent)),
        ),
    ]


def _cost(verdict: Verdict) -> list[Column]:
    return [
        column
        for column in _all_costs()
        if column.name == "params" or any(column.value(arm) is not None for arm in verdict.arms)
    ]


def _all_costs() -> list[Column]:
    return [
        Column(
            name="step time",
            meaning="time of a training step relative to the baseline, and its 95% interval",
            value=lambda arm: arm.step_time_ratio,
            shown=lambda arm: ratio(arm.step_time_ratio),
            small=_time_range,
        ),
        Column(
            name="params",
            meaning="number of trainable parameters",
            value=lambda arm: arm.parameters,
            shown=lambda arm: count(arm.parameters),
        ),
        Column(
            name="memory",
            meaning="peak memory of a training step",
            value=lambda arm: arm.peak_memory,
            shown=lambda arm: size(arm.peak_memory),
        ),
    ]


def _time_range(arm: ArmSummary) -> str:
    low, high = arm.step_time_interval
    return "" if low is None or high is None else f"{low:.2f}-{high:.2f}x"


def _rate() -> Column:
    return Column(
        name="lr",
        meaning="learning rate of the arm",
        value=lambda arm: arm.lr,
        shown=lambda arm: plain(arm.lr),
    )
