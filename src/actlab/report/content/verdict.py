"""A verdict in sentences: how sure it is, what a pair's tie means, what a chart shows to those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from actlab.report.content.format import NOTHING, chance, decimals, duration, fixed, interval, plain, ratio, signed
from actlab.report.content.series import Row, costs, curves, differences

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Tie, Verdict

__all__ = [
    "best_set",
    "cost_words",
    "curve_words",
    "difference_words",
    "gain_words",
    "how_sure",
    "listed",
    "places",
    "progress_words",
    "task_name",
    "tie_words",
]


def task_name(task: str) -> str:
    """Return a task as a person calls it: its name, or the name of its file without the folders.

    Example:
        >>> task_name("digits:cnn"), task_name("somewhere/my_task.py")
        ('digits:cnn', 'my_task.py')
    """
    return PurePath(task).name if task.endswith(".py") else task


def listed(names: Sequence[str], *, last: str = "and") -> str:
    """Return names as a person lists them.

    Example:
        >>> listed(["gelu", "silu", "relu"])
        'gelu, silu and relu'
    """
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def places(verdict: Verdict) -> int:
    """Return the decimals that the metric deserves: the narrowest interval and the ROPE keep two digits."""
    widths = [high - low for low, high in (arm.ci for arm in verdict.arms) if low is not None and high is not None]
    return decimals(verdict.rope, *widths)


def best_set(verdict: Verdict) -> str:
    """Return what the best set is, in one sentence."""
    best, arms, rate = len(verdict.best_set), len(verdict.arms), chance(verdict.alpha)
    if best == 0:
        return "No arm has a result that could be compared."
    if best == arms:
        return f"At an error rate of {rate}, the evidence rules out none of the {arms} arms."
    if best == 1:
        return f"At an error rate of {rate}, {verdict.best_set[0]} is the only one of {arms} arms that may be the best."
    return f"At an error rate of {rate}, {best} of {arms} arms may be the best; the rest are ruled out."


def how_sure(verdict: Verdict) -> list[str]:
    """Return how sure the verdict is: the best set, what the error rate covers, what the closest open question needs."""
    sentences = [best_set(verdict)]
    if verdict.best_set:
        sentences.append("The rate covers the whole study and every look at it while it ran.")
    if verdict.closest is not None:
        sentences.append(f"Closest call: {listed(verdict.closest.arms)} ({tie_words(verdict.closest, verdict)}).")
    return sentences


def tie_words(tie: Tie, verdict: Verdict) -> str:
    """Return what is known of a pair that the evidence does not separate."""
    if tie.kind == "equivalent":
        return f"practically the same, within ±{plain(verdict.rope)} {verdict.metric}"
    if tie.seeds_needed is None:
        return "undecided; how many more seeds would settle it cannot be said"
    return f"undecided; about {tie.seeds_needed} more seed{'s' if tie.seeds_needed > 1 else ''} would settle it"


def difference_words(verdict: Verdict) -> str:
    """Return the chart of differences in words."""
    digits = places(verdict)
    parts = [f"{row['arm']} {signed(row['mean'], digits)}" for row in differences(verdict)]
    band = f" Practically the same: within {plain(verdict.rope)} of zero." if verdict.rope else ""
    return f"Mean {verdict.metric} minus that of {verdict.baseline}: {', '.join(parts)}.{band}"


def curve_words(verdict: Verdict, rows: Iterable[Row]) -> str:
    """Return the learning curves in words: where each arm's median training loss ends."""
    last = {point["arm"]: point["median"] for point in curves(verdict, rows)}
    parts = [f"{arm} {plain(loss)}" for arm, loss in sorted(last.items(), key=lambda item: item[1])]
    return f"Median training loss at the last step, lowest first: {', '.join(parts)}."


def cost_words(verdict: Verdict) -> str:
    """Return the chart of cost against quality in words."""
    digits = places(verdict)
    parts = [f"{row['arm']} {fixed(row['mean'], digits)} at {ratio(row['time'])}" for row in costs(verdict)]
    return f"{verdict.metric} and step time against {verdict.baseline}: {', '.join(parts)}."


def progress_words(done: int, total: int, *, leader: str | None, out: Sequence[str], seconds_left: float | None) -> str:
    """Return the state of a running study in one line.

    Example:
        >>> progress_words(23, 48, leader="gelu", out=["tanh"], seconds_left=72)
        '23 of 48 trials, 1:12 min left, leading: gelu, out: tanh'
    """
    parts = [f"{done} of {total} trials"]
    parts += [f"{duration(seconds_left)} left"] if seconds_left is not None and done < total else []
    parts += [f"leading: {leader}"] if leader else []
    parts += [f"out: {', '.join(out)}"] if out else []
    return ", ".join(parts)


def gain_words(verdict: Verdict) -> tuple[str, str, str]:
    """Return what the best set gains over the baseline as a headline number: name, value and note."""
    digits = places(verdict)
    best = [arm for arm in verdict.arms if arm.spec in verdict.best_set]
    gains = [arm.diff for arm in best if arm.diff is not None and arm.diff.mean is not None]
    if not best:
        return f"Mean {verdict.metric}", NOTHING, "no arm has a result"
    if not gains:
        note = f"{best[0].spec}, 95% interval {interval(best[0].ci, digits)}"
        return f"Mean {verdict.metric}", fixed(best[0].mean, digits), note
    if len(gains) == 1:
        note = f"95% interval {interval(gains[0].ci, digits, sign=True)}"
        return f"Against {verdict.baseline}", signed(gains[0].mean, digits), note
    low, high = (signed(end([gain.mean for gain in gains]), digits) for end in (min, max))
    return f"Best set against {verdict.baseline}", f"{low} to {high}", f"mean difference in {verdict.metric}"
