"""Sentences about a verdict, its ties, its charts (as alternative text) and running studies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from actlab.report.content.format import MISSING, chance, decimals, duration, fixed, interval, plain, ratio, signed
from actlab.report.content.series import Row, costs, curves, differences
from actlab.studies.arm import named
from actlab.studies.verdict.words import all_named
from actlab.system.name_list import listed
from actlab.system.plural import plural

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Tie, Verdict

__all__ = [
    "best_set_sentence",
    "confidence_sentences",
    "cost_text",
    "curve_text",
    "difference_text",
    "headline_gain",
    "metric_decimals",
    "progress_text",
    "region_text",
    "task_name",
    "tie_text",
]


def task_name(task: str) -> str:
    """Return the name of a task, or of its file without the folders.

    Example:
        >>> task_name("digits:cnn"), task_name("somewhere/my_task.py")
        ('digits:cnn', 'my_task.py')
    """
    return PurePath(task).name if task.endswith(".py") else task


def metric_decimals(verdict: Verdict) -> int:
    """Return the number of decimals of the metric that shows the narrowest interval and the ROPE with two digits."""
    widths = [high - low for low, high in (arm.ci for arm in verdict.arms) if low is not None and high is not None]
    return decimals(verdict.rope, *widths)


def best_set_sentence(verdict: Verdict) -> str:
    """Return the size of the best set at the study's error rate, and which arms were not compared."""
    found = verdict.findings
    compared, best, rate = found.compared, verdict.best_set, chance(verdict.alpha)
    if len(compared) < 2:
        only = (
            f"Only {named(compared[0], short=True)} has a result: nothing was compared."
            if compared
            else "No arm has a result to compare."
        )
        return f"{only}{_left_out(verdict)}"
    arms = f"{len(compared)} arms" if not found.left_out else f"{len(compared)} arms that were compared"
    if len(best) == len(compared):
        return f"At an error rate of {rate}, none of the {arms} is ruled out.{_left_out(verdict)}"
    if len(best) == 1 and all(found.is_better(best[0], arm) for arm in compared if arm != best[0]):
        may_be = f"{named(best[0], short=True)} is the best of {arms}"
    else:
        may_be = f"{len(best)} of {arms} may be the best"
    rest = "the other is" if len(compared) - len(best) == 1 else "the others are"
    return f"At an error rate of {rate}, {may_be}; {rest} ruled out.{_left_out(verdict)}"


def _left_out(verdict: Verdict) -> str:
    """Return the arms of which no sentence says anything, with the reason."""
    words = {"not run": "not run", "diverged": "no finite result", "ruled out": "no finite result"}
    parts = [f"{named(arm.arm)} ({words.get(arm.standing, 'failed')})" for arm in verdict.findings.left_out]
    return f" Not compared: {listed(parts)}." if parts else ""


def confidence_sentences(verdict: Verdict) -> list[str]:
    """Return the best set, what the error rate covers, and the closest tie with the seeds that would decide it."""
    sentences = [best_set_sentence(verdict)]
    if len(verdict.findings.compared) > 1:
        sentences.append(
            "The error rate covers the whole study, including looking at results while it runs, for independent seeds and "
            "symmetric differences."
        )
    if verdict.closest is not None:
        sentences.append(f"Closest tie: {all_named(verdict.closest.arms)} ({tie_text(verdict.closest, verdict)}).")
    return sentences


def region_text(verdict: Verdict) -> str:
    """Return the region of practical equivalence and how it was chosen."""
    if not verdict.rope:
        return f"no region of practical equivalence ({verdict.region.rule})"
    return f"practically equivalent: within ±{plain(verdict.rope)} {verdict.metric} ({verdict.region.rule})"


def tie_text(tie: Tie, verdict: Verdict) -> str:
    """Return why a pair is tied: practical equivalence, or too few seeds."""
    if tie.kind == "equivalent":
        return f"practically equivalent, within ±{plain(verdict.rope)} {verdict.metric}"
    if not {*tie.arms} <= verdict.findings.running:
        return "undecided; no more seeds will be run for the two"
    if tie.seeds_needed is None:
        return "undecided; the number of seeds needed is unknown"
    return f"undecided; about {plural(tie.seeds_needed, 'more seed')} needed"


def difference_text(verdict: Verdict) -> str:
    """Return the alternative text of the chart of differences."""
    digits = metric_decimals(verdict)
    parts = [f"{row['arm']} {signed(row['mean'], digits)}" for row in differences(verdict)]
    band = f" Practically equivalent: within {plain(verdict.rope)} of zero." if verdict.rope else ""
    return f"Mean {verdict.metric} minus that of {named(verdict.baseline)}: {', '.join(parts)}.{band}"


def curve_text(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the alternative text of the learning curves, with the last median training loss of every arm."""
    last = {point["arm"]: point["median"] for point in curves(verdict, rows)}
    parts = [f"{arm} {plain(loss)}" for arm, loss in sorted(last.items(), key=lambda item: item[1])]
    return f"Median training loss at the last step, lowest first: {', '.join(parts)}."


def cost_text(verdict: Verdict) -> str:
    """Return the alternative text of the chart of metric over step time."""
    digits = metric_decimals(verdict)
    ranges = {
        arm.spec: interval(arm.step_time_interval, 2) for arm in verdict.arms if None not in arm.step_time_interval
    }
    parts = [
        f"{row['arm']} {fixed(row['mean'], digits)} at {ratio(row['time'])} {ranges.get(row['arm'], '')}".rstrip()
        for row in costs(verdict)
    ]
    return f"{verdict.metric} and step time relative to {named(verdict.baseline)}, with its 95% interval: {', '.join(parts)}."


def progress_text(done: int, total: int, *, leader: str | None, out: Sequence[str], seconds_left: float | None) -> str:
    """Return the state of a running study in one line.

    Example:
        >>> progress_text(23, 48, leader="gelu", out=["tanh"], seconds_left=72)
        '23 of 48 trials, 1:12 min left, leading: gelu, ruled out: tanh'
    """
    parts = [f"{done} of {plural(total, 'trial')}"]
    parts += [f"{duration(seconds_left)} left"] if seconds_left is not None and done < total else []
    parts += [f"leading: {leader}"] if leader else []
    parts += [f"ruled out: {', '.join(out)}"] if out else []
    return ", ".join(parts)


def headline_gain(verdict: Verdict) -> tuple[str, str, str]:
    """Return name, value and note of the difference between best set and baseline, or of the best mean if there is none."""
    digits = metric_decimals(verdict)
    best = [arm for arm in verdict.arms if arm.spec in verdict.best_set]
    has_baseline = verdict.baseline in verdict.findings.compared
    gains = [arm.diff for arm in best if has_baseline and arm.diff is not None and arm.diff.mean is not None]
    if not best:
        return f"Mean {verdict.metric}", MISSING, "no arm has a result"
    if not gains:
        note = f"{best[0].spec}, 95% interval {interval(best[0].ci, digits)}"
        return f"Mean {verdict.metric}", fixed(best[0].mean, digits), note
    if len(gains) == 1:
        note = f"95% interval {interval(gains[0].ci, digits, sign=True)}"
        return f"Compared with {named(verdict.baseline)}", signed(gains[0].mean, digits), note
    low, high = (signed(end([gain.mean for gain in gains]), digits) for end in (min, max))
    return (
        f"Best set compared with {named(verdict.baseline)}",
        f"{low} to {high}",
        f"mean difference in {verdict.metric}",
    )
