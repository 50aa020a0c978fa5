"""Terminal view of the doctor's diagnosis, with findings, trials and measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.claims import claim_lines
from actlab.report.content.format import MISSING, decimals, fixed, interval, percent, plain, plural, signed
from actlab.report.terminal.model.probe import propagation_table
from actlab.report.terminal.text_table import below, text_table

if TYPE_CHECKING:
    from actlab.diagnostics.check import Finding
    from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial

__all__ = ["diagnosis_view"]

_UNITS = ("site", "after", "activation", "units", "dead at init", "at end", "saturated at init", "at end")
_MARKS = {"helped": "✓", "did not help": "×", "undecided": "?"}  # noqa: RUF001 # the sign of multiplication is a cross here
_STYLES = {"helped": "bold green", "did not help": "dim", "undecided": "yellow"}


def diagnosis_view(diagnosis: Diagnosis) -> RenderableType:
    """Return a diagnosis for the terminal, with its summary, findings and trials first and the measurements below."""
    return Group(*_parts(diagnosis))


def _parts(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield Text(f"{diagnosis.name}: {diagnosis.sentence}", style="bold")
    if diagnosis.stopped:
        yield Text("Stopped before the end; finished trials are shown.", style="yellow")
    for number, finding in enumerate(diagnosis.findings, 1):
        yield from _finding(diagnosis, finding, f"{number}. ")
    if diagnosis.hints:
        yield below("Hints without a remedy that helped", style="bold")
        for hint in diagnosis.hints:
            yield from _finding(diagnosis, hint, "   ")
    yield from _measurements(diagnosis)
    for note in diagnosis.notes:
        yield below(note, style="yellow")
    yield below(_legend(diagnosis))


def _finding(diagnosis: Diagnosis, finding: Finding, mark: str) -> Iterator[RenderableType]:
    where = f" at {finding.layer or finding.site}" if finding.layer or finding.site else ""
    yield below(f"{mark}{finding.rule}{where}", style="bold")
    yield Padding(Text(finding.sentence), (0, 0, 0, 3))
    yield Padding(Text(f"Source: {finding.source}", style="dim"), (0, 0, 0, 3))
    for line in claim_lines([citation.to_dict() for citation in finding.claims], most=4):
        yield Padding(Text(f"Claim {line}", style="dim"), (0, 0, 0, 3))
    for trial in diagnosis.trials_of(finding):
        yield from (Padding(line, (0, 0, 0, 3)) for line in _trial_lines(diagnosis, trial))


def _trial_lines(diagnosis: Diagnosis, trial: PairedTrial) -> Iterator[Text]:
    name = trial.prescription.name
    if not trial.seeds:
        reason = trial.reason.splitlines()[0] if trial.reason else "there is no task to try it on"
        yield Text(f"- {name}: {trial.verdict}: {reason}", style="yellow")
        return
    yield Text(f"{_MARKS[trial.verdict]} {name}: {_trial_numbers(diagnosis, trial)}", style=_STYLES[trial.verdict])
    if trial.verdict == "helped":
        yield Text(f"  {'; '.join(trial.prescription.code)}   ({trial.prescription.source})", style="dim")


def _trial_numbers(diagnosis: Diagnosis, trial: PairedTrial) -> str:
    before, after = (sum(values) / len(values) for values in (trial.before, trial.after))
    places = decimals(*(trial.interval or (trial.difference,)))
    text = f"{trial.verdict}: {diagnosis.metric} {fixed(before, places)} before, {fixed(after, places)} after, improvement "
    text += f"{signed(trial.difference, places)} {interval(trial.interval, places, sign=True)}"
    if not any(map(math.isnan, trial.decades)):
        text += (
            f"; gradient over depth {signed(trial.decades[0], 1)} before, {signed(trial.decades[1], 1)} decades after"
        )
    if any(trial.diverged):
        text += f"; diverged on {plural(trial.diverged[0], 'seed')} before, {trial.diverged[1]} after"
    return text


def _measurements(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if diagnosis.propagation is not None:
        yield below("Signal and gradient by depth, at initialization", style="bold")
        yield propagation_table(diagnosis.propagation)
    rows = _unit_rows(diagnosis)
    if rows:
        yield below("Units", style="bold")
        shown = [i for i in range(len(_UNITS)) if i < 4 or any(row[i] != MISSING for row in rows)]
        yield text_table([_UNITS[i] for i in shown], [[row[i] for i in shown] for row in rows], right=_UNITS[3:])
    record = diagnosis.course
    if record is not None and record.losses:
        yield Text(
            f"Loss over the first {plural(len(record.losses), 'step')} at a learning rate of {plain(record.learning_rate)}: "
            f"{plain(record.losses[0], 4)} to {plain(record.losses[-1], 4)}."
        )


def _unit_rows(diagnosis: Diagnosis) -> list[list[str]]:
    last = diagnosis.course.looks[-1] if diagnosis.course and diagnosis.course.looks else None
    rows = []
    for row in diagnosis.examined.at_init or ():
        if row.units:
            ends = (last.dead.get(row.name), last.stuck.get(row.name)) if last else (None, None)
            shares = (row.dead, ends[0], row.stuck, ends[1])
            rows.append([row.path, row.after or MISSING, row.spec, str(row.units), *map(percent, shares)])
    return rows


def _legend(diagnosis: Diagnosis) -> str:
    seeds = next((trial.seeds for trial in diagnosis.trials if trial.seeds), ())
    if not seeds:
        return f"Measured on {plural(diagnosis.examined.samples, 'sample')}."
    better = "higher" if diagnosis.direction == "max" else "lower"
    undecided = any(trial.verdict == "undecided" for trial in diagnosis.trials)
    more = " More seeds (--seeds) may decide what is undecided." if undecided else ""
    return (
        f"Trials: {plural(diagnosis.steps, 'step')} on each of {plural(len(seeds), 'seed')}, paired; {diagnosis.metric}, "
        f"{better} is better, on held-out examples that are not the test split. Intervals are at 95 % for all trials of this diagnosis "
        f"together. A short trial shows the effect on the first steps of training only.{more}"
    )
