"""The columns of the table of arms: what each shows, what it is sorted by, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actlab.report.content import verdict as words
from actlab.report.content.format import chance, count, fixed, interval, p_value, plain, ratio, signed, size

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import ArmSummary, Difference, Verdict

__all__ = ["Column", "columns", "status"]

STATUS = {"completed": "ruled out", "eliminated": "ruled out", "diverged": "diverged", "failed": "failed"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: ``value`` gives what it sorts by, ``shown`` and ``small`` the text and the smaller text below it."""

    name: str
    meaning: str
    value: Callable[[ArmSummary], float | str | None]
    shown: Callable[[ArmSummary], str]
    small: Callable[[ArmSummary], str] = lambda _: ""
    text: bool = False

    def cell(self, arm: ArmSummary) -> dict[str, Any]:
        """Return the cell of one arm, ready for the template."""
        value, shown = self.value(arm), self.shown(arm)
        return {
            "value": "" if value is None else value,
            "shown": shown,
            "small": self.small(arm),
            "text": self.text,
            "best": shown == "best",
        }


def status(arm: ArmSummary, verdict: Verdict) -> str:
    """Return what became of an arm, in a word or two: trouble first, then whether it is in the best set."""
    if arm.status == "completed" and (arm.spec in verdict.best_set):
        return "best"
    return STATUS[arm.status]


def _of(arm: ArmSummary, read: Callable[[Difference], float | None]) -> float | None:
    return None if arm.diff is None else read(arm.diff)


def columns(verdict: Verdict) -> list[Column]:
    """Return the columns after the arm's name. The learning rate has one only where arms differ in it."""
    rates = {arm.lr for arm in verdict.arms}
    return [
        Column(
            name="status",
            meaning="what became of the arm",
            value=lambda arm: status(arm, verdict),
            shown=lambda arm: status(arm, verdict),
            text=True,
        ),
        *_quality(verdict),
        *_chances(),
        *_cost(),
        *([_rate()] if len(rates) > 1 else []),
        Column(name="seeds", meaning="seeds with a result", value=lambda arm: arm.n, shown=lambda arm: str(arm.n)),
    ]


def _quality(verdict: Verdict) -> list[Column]:
    digits = words.places(verdict)
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
            meaning="mean of the middle half of the seeds",
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
            meaning="the error rate of the whole study at which this difference would have ruled one of the two out",
            value=lambda arm: _of(arm, lambda diff: diff.p_corrected),
            shown=lambda arm: p_value(_of(arm, lambda diff: diff.p_corrected)),
        ),
        Column(
            name="better",
            meaning="share of seeds in which the arm beats the baseline",
            value=lambda arm: _of(arm, lambda diff: diff.prob_superior),
            shown=lambda arm: chance(_of(arm, lambda diff: diff.prob_superior)),
        ),
        Column(
            name="same",
            meaning="probability that the arm and the baseline are practically the same",
            value=lambda arm: _of(arm, lambda diff: diff.prob_equivalent),
            shown=lambda arm: chance(_of(arm, lambda diff: diff.prob_equivalent)),
        ),
    ]


def _cost() -> list[Column]:
    return [
        Column(
            name="step time",
            meaning="time of a training step against the baseline",
            value=lambda arm: arm.step_time_ratio,
            shown=lambda arm: ratio(arm.step_time_ratio),
        ),
        Column(
            name="params",
            meaning="trainable numbers of the model",
            value=lambda arm: arm.parameters,
            shown=lambda arm: count(arm.parameters),
        ),
        Column(
            name="memory",
            meaning="most memory held during a training step",
            value=lambda arm: arm.peak_memory,
            shown=lambda arm: size(arm.peak_memory),
        ),
    ]


def _rate() -> Column:
    return Column(
        name="lr",
        meaning="the learning rate the arm was judged at",
        value=lambda arm: arm.lr,
        shown=lambda arm: plain(arm.lr),
    )
