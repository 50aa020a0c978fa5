"""Sentences on axes, what is found, what the axes say about their own numbers, and what is missing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from actlab.studies.arm import named
from actlab.studies.verdict.axes.axes_verdict import AxesVerdict
from actlab.studies.verdict.axes.axis_numbers import AxisRows
from actlab.studies.verdict.axes.churn import ArmChurn, ChurnShare
from actlab.studies.verdict.axes.column_finding import ArmNumber, ColumnFinding
from actlab.studies.verdict.axes.front import find_fronts
from actlab.studies.verdict.words import all_named, capitalized
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["axes_cautions", "axes_sentences", "recommendation_caution"]

_MOST: Final = 6  # names in a sentence, and sentences of one kind
_SAID: Final = (("better", "better than {} on"), ("worse", "worse on"), ("tie", "practically the same on"))


def axes_sentences(found: AxesVerdict, arms: Sequence[str]) -> tuple[str, ...]:
    """Return what was found on the axes, in words.

    Args:
        found: on the axes.
        arms: labels, in the order in which the sentences follow.
    """
    sentences = [
        *(sentence for arm in arms if arm != found.baseline and (sentence := _arm_sentence(found, arm))),
        *_open(found, arms),
        *_promise(found),
        *_churn_sentences(found, arms),
        *_fronts(found),
        *_undefined(found),
    ]
    return tuple(map(capitalized, sentences))


def _arm_sentence(found: AxesVerdict, arm: str) -> str:
    """Return on which columns an arm is better, worse or practically the same; empty where nothing is stated."""
    by_relation: dict[str, list[str]] = defaultdict(list)
    for column in found.columns:
        by_relation[column.of(arm).relation].append(column.name)
    parts: list[str] = []
    for relation, words in _SAID:
        if names := by_relation[relation]:
            is_first_comparison = relation == "worse" and not by_relation["better"]
            lead = (
                f"worse than {named(found.baseline)} on" if is_first_comparison else words.format(named(found.baseline))
            )
            if relation == "tie" and not parts:
                lead = f"practically the same as {named(found.baseline)} on"
            parts.append(f"{lead} {_shortened(names)}")
    return f"{named(arm, short=True)} is {'; '.join(parts)}." if parts else ""


def _shortened(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= _MOST else f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def _open(found: AxesVerdict, arms: Sequence[str]) -> Iterator[str]:
    """Say how many comparisons are not decided, and what would decide the closest."""
    undecided = [
        (column, number)
        for column in found.columns
        for arm in arms
        if (number := column.of(arm)).relation == "undecided"
    ]
    if not undecided:
        return
    soonest = min(
        ((column, number) for column, number in undecided if number.seeds_needed),
        key=lambda entry: entry[1].seeds_needed or 0,
        default=None,
    )
    of = f"{len(undecided)} of {plural(found.comparisons, 'comparison')} with {named(found.baseline)}"
    text = f"{of} {'is' if len(undecided) == 1 else 'are'} undecided"
    if soonest is not None:
        column, number = soonest
        more = plural(number.seeds_needed or 0, "more seed")
        text += f"; about {more} would decide {named(number.arm)} on {column.name}"
    yield f"{text}."


def _promise(found: AxesVerdict) -> Iterator[str]:
    if found.comparisons:
        yield (
            f"Of all statements on these columns together (better, worse, practically the same), on average at most {100 * found.alpha:g}% "
            "are false, whenever the study is stopped, for independent seeds and symmetric differences."
        )


def _churn_sentences(found: AxesVerdict, arms: Sequence[str]) -> Iterator[str]:
    if found.churn is None:
        return
    for arm in arms[:_MOST]:
        entry = found.churn.of(arm)
        if entry.within is not None:
            yield _churn_sentence(entry, found.baseline)
        elif entry.undefined:
            yield f"Churn of {named(arm)} is undefined: {entry.undefined}."


def _churn_sentence(entry: ArmChurn, baseline: str) -> str:
    share = entry.within
    assert share is not None  # noqa: S101 # for the type checker; only such arms have a sentence
    text = (
        f"Two trainings of {named(entry.arm)} label {_percent(share.mean)}{_range(share)} of the test examples differently "
        f"({_common(share)}{_expected(share)})"
    )
    other = entry.beside_baseline
    if other is not None:
        text += f"; {named(entry.arm)} and {named(baseline)} on the same seed {_percent(other.mean)}{_range(other)}"
    return f"{text}."


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"


def _range(share: ChurnShare) -> str:
    low, high = share.ci
    return "" if low is None or high is None else f" [{_percent(max(0.0, low))}, {_percent(min(1.0, high))}]"


def _common(share: ChurnShare) -> str:
    low, high = share.common
    count = f"{low}" if low == high else f"{low} to {high}"
    return f"{plural(share.pairs, 'pair')} of seeds, {count} examples in both test splits"


def _expected(share: ChurnShare) -> str:
    if share.expected is None or share.accuracy_gap is None:
        return ""
    return f"; at this accuracy {_percent(share.accuracy_gap)} at least, and {_percent(share.expected)} if errors were independent"


def _fronts(found: AxesVerdict) -> Iterator[str]:
    """Say which arms are on each Pareto front, those with the same arms together."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for front in find_fronts(found):
        alike[front.arms].append(front.cost.name)
    for arms, costs in alike.items():
        names = f"{all_named(arms[:_MOST])}{f' and {len(arms) - _MOST} more' if len(arms) > _MOST else ''}"
        yield (
            f"Pareto front of int8 metric over {_shortened(costs)}, by the means: {names}; no other arm is at least as good on both and "
            "better on one."
        )


def _undefined(found: AxesVerdict) -> Iterator[str]:
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for column in found.undefined:
        by_reason[column.axis, column.reason].append(column.column)
    for (axis, reason), names in by_reason.items():
        own = names == [axis]
        is_sentence = reason[1:2].islower() and not reason.partition(" ")[0].endswith(
            ":"
        )  # and no name of an exception
        lowered = f"{reason[0].lower()}{reason[1:]}" if is_sentence else reason
        yield f"Undefined: {axis}{'' if own else f' ({_shortened(names)})'}, as {lowered.rstrip('.')}."


def recommendation_caution(found: AxesVerdict | None, arm: str | None, best: Iterable[str]) -> str:
    """Return a sentence that a recommendation needs where the arm is shown to be worse on an axis than another of its choice; or nothing.

    Args:
        found: on the axes.
        arm: that is recommended.
        best: labels of the best set, best first.
    """
    if found is None or arm is None:
        return ""
    if arm != found.baseline:
        names = _columns_where(found, arm, "worse")
        return f"On {_shortened(names)} it is worse than {named(found.baseline)}." if names else ""
    rivals = [(other, _columns_where(found, other, "better")) for other in best if other != arm]
    parts = [f"{named(other)} is better on {_shortened(names)}" for other, names in rivals[:_MOST] if names]
    return f"Of the best set, {'; '.join(parts)}." if parts else ""


def _columns_where(found: AxesVerdict, arm: str, relation: str) -> list[str]:
    return [column.name for column in found.columns if column.of(arm).relation == relation]


def axes_cautions(found: AxesVerdict, rows: AxisRows, axes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what the axes say about their own numbers, and which numbers are missing or far from all others.

    Args:
        found: on the axes.
        rows: what the axes gave.
        axes: of the study.
    """
    columns = {axis["name"]: set(axis["columns"]) for axis in axes}
    sentences = [
        *_notes(rows, columns),
        *_missing(found.columns),
        *_far(found.columns),
    ]
    return tuple(map(capitalized, sentences))


def _notes(rows: AxisRows, columns: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the notes of the trials, each with the arms and the number of seeds that it is of; numbers in it are those of the first."""
    shown: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for arm, trials in rows.items():
        for found in trials.values():
            for axis, note in _trial_notes(found, columns):
                key = axis, re.sub(r"\d+([.,]\d+)*", "#", note)
                shown.setdefault(key, note)
                counts[key][arm] += 1
    for (axis, pattern), note in shown.items():
        arms = [f"{named(arm)} on {n} of {plural(len(rows[arm]), 'seed')}" for arm, n in counts[axis, pattern].items()]
        yield f"{axis}: {note.rstrip('.')} ({_shortened(arms)})."


def _trial_notes(found: Mapping[str, Any] | str, columns: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for axis, result in ({} if isinstance(found, str) else found).items():
        for note in result.get("notes") or ():
            yield axis, note
        for part, reason in (result.get("undefined") or {}).items():
            if part not in columns.get(axis, {part}):
                yield axis, f"{part} has no number, as {reason}"


def _missing(columns: Sequence[ColumnFinding]) -> Iterator[str]:
    """Yield on how many seeds columns rest, where an arm has a number on fewer than it has run."""
    alike: dict[tuple[str, int, int, str], list[str]] = defaultdict(list)
    for column in columns:
        for number in column.arms:
            if number.missing:
                alike[number.arm, number.n, number.trials, _reasons(number)].append(column.name)
    for (arm, n, trials, reasons), names in alike.items():
        few = len(names) == 1
        rest = (
            f"{'rests' if few else 'rest'} on {n} of {plural(trials, 'seed')}"
            if n
            else f"{'has' if few else 'have'} no number"
        )
        yield f"{_shortened(names)} of {named(arm)} {rest} ({reasons})."


def _reasons(number: ArmNumber) -> str:
    parts = []
    for reason, seeds in number.missing.items():
        few = ", ".join(map(str, seeds[:3])) + (", ..." if len(seeds) > 3 else "")
        parts.append(f"{reason.rstrip('.')}: {'seed' if len(seeds) == 1 else 'seeds'} {few}" if seeds else reason)
    return "; ".join(parts)


def _far(columns: Sequence[ColumnFinding]) -> Iterator[str]:
    alike: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    for column in columns:
        for number in column.arms:
            if number.far:
                alike[number.arm, number.far].append(column.name)
    for (arm, seeds), names in alike.items():
        on = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds[:3]))}"
        yield (
            f"{_shortened(names)} of {all_named([arm])} {'is' if len(names) == 1 else 'are'} far from all other seeds on {on}: mean and "
            "interval rest on that, the statements do not."
        )
