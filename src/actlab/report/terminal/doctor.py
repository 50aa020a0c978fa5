"""Diagnoses: what a doctor has measured, found and tried of a model, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.format import NOTHING, decimals, fixed, interval, signed
from actlab.report.terminal.probe import propagation_table
from actlab.report.terminal.verdict import grid

if TYPE_CHECKING:
    from actlab.diagnostics.check import Finding
    from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial

__all__ = ["diagnosis_view"]

_UNITS = ("site", "after", "runs", "units", "dead at init", "at the end", "saturated at init", "at the end")
_MARKS = {"helped": "✓", "did not help": "×", "undecided": "?"}  # noqa: RUF001 # the sign of multiplication is a cross here
_STYLES = {"helped": "bold green", "did not help": "dim", "undecided": "yellow"}


def diagnosis_view(found: Diagnosis) -> RenderableType:
    """Return a diagnosis for a terminal: the sentence, findings with their trials, and what was measured below."""
    return Group(*_parts(found))


def _parts(found: Diagnosis) -> Iterator[RenderableType]:
    yield Text(f"{found.name}: {found.sentence}", style="bold")
    if found.stopped:
        yield Text("Stopped before the end: what had finished is shown.", style="yellow")
    for number, finding in enumerate(found.findings, 1):
        yield from _finding(found, finding, f"{number}. ")
    if found.hints:
        yield _title("Seen; no change was shown to help here")
        for finding in found.hints:
            yield from _finding(found, finding, "   ")
    yield from _measured(found)
    for note in found.notes:
        yield Padding(Text(note, style="yellow"), (1, 0, 0, 0))
    yield Padding(Text(_legend(found), style="dim"), (1, 0, 0, 0))


def _title(text: str) -> RenderableType:
    return Padding(Text(text, style="bold"), (1, 0, 0, 0))


def _finding(found: Diagnosis, finding: Finding, mark: str) -> Iterator[RenderableType]:
    where = f" at {finding.layer or finding.site}" if finding.layer or finding.site else ""
    yield Padding(Text(f"{mark}{finding.rule}{where}", style="bold"), (1, 0, 0, 0))
    yield Padding(Text(finding.sentence), (0, 0, 0, 3))
    yield Padding(Text(f"Rule: {finding.source}", style="dim"), (0, 0, 0, 3))
    for trial in found.trials_of(finding):
        yield from (Padding(line, (0, 0, 0, 3)) for line in _tried(found, trial))


def _tried(found: Diagnosis, trial: PairedTrial) -> Iterator[Text]:
    name = trial.prescription.name
    if not trial.seeds:
        reason = trial.reason.splitlines()[0] if trial.reason else "there is no task to try it on"
        yield Text(f"- {name}: {trial.verdict}: {reason}", style="yellow")
        return
    yield Text(f"{_MARKS[trial.verdict]} {name}: {_numbers(found, trial)}", style=_STYLES[trial.verdict])
    if trial.verdict == "helped":
        yield Text(f"  {'; '.join(trial.prescription.code)}   ({trial.prescription.source})", style="dim")


def _numbers(found: Diagnosis, trial: PairedTrial) -> str:
    before, after = (sum(values) / len(values) for values in (trial.before, trial.after))
    places = decimals(*(trial.interval or (trial.difference,)))
    text = f"{found.metric} {fixed(before, places)} to {fixed(after, places)}, better by {signed(trial.difference, places)}"
    text += f" {interval(trial.interval, places, sign=True)}: {trial.verdict}"
    if not any(map(math.isnan, trial.decades)):
        text += f"; gradient {signed(trial.decades[0], 1)} to {signed(trial.decades[1], 1)} decades"
    return text + (f"; diverged {trial.diverged[0]} and {trial.diverged[1]} times" if any(trial.diverged) else "")


def _measured(found: Diagnosis) -> Iterator[RenderableType]:
    if found.propagation is not None:
        yield _title("Signal and gradient by depth, at the init")
        yield propagation_table(found.propagation)
    rows = _units(found)
    if rows:
        yield _title("Units")
        wanted = [i for i in range(len(_UNITS)) if i < 4 or any(row[i] != NOTHING for row in rows)]
        yield grid([_UNITS[i] for i in wanted], [[row[i] for i in wanted] for row in rows], right=_UNITS[3:])
    course = found.course
    if course is not None and course.losses:
        yield Text(
            f"Loss over the first {len(course.losses)} steps at a learning rate of {course.learning_rate:.3g}: "
            f"{course.losses[0]:.4g} to {course.losses[-1]:.4g}."
        )


def _units(found: Diagnosis) -> list[list[str]]:
    last = found.course.looks[-1] if found.course and found.course.looks else None
    rows = []
    for row in found.examined.at_init or ():
        if row.units:
            ends = (last.dead.get(row.name), last.stuck.get(row.name)) if last else (None, None)
            dead, stuck = (_percent(row.dead), _percent(ends[0])), (_percent(row.stuck), _percent(ends[1]))
            rows.append([row.path, row.after or NOTHING, row.spec, str(row.units), *dead, *stuck])
    return rows


def _percent(share: float | None) -> str:
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.3g}%"


def _legend(found: Diagnosis) -> str:
    seeds = next((trial.seeds for trial in found.trials if trial.seeds), ())
    if not seeds:
        return f"{found.examined.samples} samples."
    better = "higher" if found.direction == "max" else "lower"
    more = (
        " What is undecided, more seeds (--seeds) may decide."
        if any(t.verdict == "undecided" for t in found.trials)
        else ""
    )
    return (
        f"Trials: {found.steps} steps on each of {len(seeds)} seeds, paired; {found.metric}, {better} is better, on examples that were "
        "not trained on and are not the test split. Intervals allow for all trials of this diagnosis together (95 %). A short trial "
        f"says what helps in the first steps.{more}"
    )
