"""The checkup: measure a model, find what is wrong with it, and try every prescription before it is recommended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import nn

from actlab.diagnostics.check import Finding
from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial, TrialVerdict
from actlab.diagnostics.heuristic_checks import consult
from actlab.diagnostics.measurements import Measurements, examine
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.short_training import REFERENCE, Outcome, first_steps, short_trial, tolerated_rate, untrained
from actlab.errors import ActlabError, PlanError, TaskError
from actlab.nn.probes.propagation import propagation
from actlab.nn.sites.dry_run import Inputs
from actlab.stats.bootstrap import bootstrap_interval
from actlab.studies.plan import parse_budget
from actlab.studies.trial import one_thread
from actlab.tasks import registry, task_file
from actlab.tasks.check import check
from actlab.tasks.model_source import subject
from actlab.tasks.task import Task, isolated, load_data
from actlab.tasks.user_code import one_line, user_code

__all__ = ["Checkup", "doctor"]

Told = Callable[[int, int, str], None]
_ERRORS: Final = 0.05  # of all trials of a diagnosis together
_LEAST: Final = 2  # seeds
_NO_STEP: Final = 1e-30  # learning rate of the step with which a task is checked


def doctor(
    source: str | Path | Task | nn.Module,
    example_inputs: Inputs | None = None,
    *,
    seeds: int = 6,
    steps: int = 200,
    seed: int = 0,
    budget: str | float | None = None,
    progress: Told | None = None,
) -> Diagnosis:
    """Measure a model, say what is wrong with it and where, and recommend what a short paired trial on its own task has shown to help.

    Args:
        source: a task: its name, a Python file or a :class:`Task`; or a model: a module, or a Python file that defines ``model`` only. Of a
            model without a task no prescription can be tried.
        example_inputs: a batch for a module, as for :func:`actlab.find`.
        seeds: how many every prescription is tried on.
        steps: of the training that is watched, and of every trial.
        seed: the first one; the model is measured with it.
        budget: time after which no trial is begun: seconds, or text like ``"5m"``.
        progress: called with trainings done, trainings planned, and what is running.

    Returns:
        A diagnosis: the same numbers for the same arguments. The model is left as it was.

    Raises:
        ActlabError: the task or the model cannot be used, or a setting makes no sense.

    Example:
        >>> doctor("digits", seeds=2, steps=30).sentence
        'Nothing to do.'
    """
    return Checkup(source, example_inputs, seeds=seeds, steps=steps, seed=seed, budget=budget, progress=progress).run()


class Checkup:
    """A diagnosis in the making: :meth:`diagnosis` says at any time what is known, also after Ctrl-C in :meth:`run`.

    Args:
        source: see :func:`doctor`.
        example_inputs: likewise.
        seeds: likewise.
        steps: likewise.
        seed: likewise.
        budget: likewise.
        progress: likewise.
    """

    def __init__(
        self,
        source: str | Path | Task | nn.Module,
        example_inputs: Inputs | None = None,
        *,
        seeds: int = 6,
        steps: int = 200,
        seed: int = 0,
        budget: str | float | None = None,
        progress: Told | None = None,
    ) -> None:
        count = _at_least(seeds, _LEAST, "seeds", "a difference has no interval with fewer")
        first = _at_least(seed, 0, "seed", "trials have the seeds that follow it")
        self.seeds = tuple(range(first, first + count))
        self.steps = _at_least(steps, 1, "steps", "that is how long a trial trains")
        self.task, self.subject, self.notes = _read(source, example_inputs, first)
        self._until = math.inf if budget is None else time.monotonic() + (parse_budget(budget) or math.inf)
        self._progress = progress or (lambda *_: None)
        self._examined: Measurements | None = None
        self._findings: tuple[Finding, ...] = ()
        self._trials: dict[Remedy, PairedTrial] = {}
        self._plain: dict[int, Outcome] = {}
        self._finished = False

    def run(self) -> Diagnosis:
        """Do everything that is not done yet, and return the diagnosis."""
        if self._examined is None:
            self._tell(0, "the model at its init")
            self._examined, self._findings = self._examine()
            self._trials = {one: PairedTrial(prescription=one) for one in self._prescriptions()}
        if self.task is not None:
            for number, (prescription, blank) in enumerate(self._trials.items()):
                if blank.verdict == "not tried":
                    self._trials[prescription] = self._tried(self.task, prescription, number)
        self._finished = True
        return self.diagnosis()

    @property
    def has_measured(self) -> bool:
        """Whether there is something to say."""
        return self._examined is not None

    def diagnosis(self) -> Diagnosis:
        """Return what is known by now.

        Raises:
            PlanError: nothing was measured yet.
        """
        if self._examined is None:
            raise PlanError("Nothing was measured yet: the checkup was stopped before its first result. Run it again.")
        return Diagnosis(
            name=self.subject.name,
            metric=self.task.metric_name if self.task else "",
            direction=self.task.direction if self.task else "max",
            steps=self.steps,
            examined=self._examined,
            all_findings=self._findings,
            trials=tuple(self._trials.values()),
            notes=(*self.notes, *self._examined.notes),
            stopped=not self._finished,
        )

    # ------------------------------------------------------------------------------------------ measuring

    def _examine(self) -> tuple[Measurements, tuple[Finding, ...]]:
        task, seed = self.task, self.seeds[0]
        with one_thread(), isolated(seed):
            if task is None:
                examined = examine(self.subject.model, self.subject.inputs)
                return examined, consult(examined)
            train = load_data(task, seed).train
            x, y = train.x[:REFERENCE], train.y[:REFERENCE]
            examined = examine(self.subject.model, x, y, task.loss)
        self._tell(0, f"the first {self.steps} steps")
        course = first_steps(task, seed, steps=self.steps)
        rate = None
        if course.killed:
            self._tell(0, "a learning rate that kills nothing")
            rate = tolerated_rate(task, seed, steps=self.steps, killing=course.learning_rate)
        examined = replace(examined, course=course, tolerated=rate)
        return examined, consult(examined)

    def _prescriptions(self) -> list[Remedy]:
        return list(dict.fromkeys(prescription for found in self._findings for prescription in found.prescriptions))

    # --------------------------------------------------------------------------------------------- trying

    def _tried(self, task: Task, prescription: Remedy, number: int) -> PairedTrial:
        blank = PairedTrial(prescription=prescription)
        if time.monotonic() > self._until:
            return replace(blank, reason="the budget was spent")
        pairs: list[tuple[Outcome, Outcome]] = []
        try:
            for place, seed in enumerate(self.seeds):
                self._tell(number * len(self.seeds) + place, prescription.name)
                after = short_trial(task, seed, prescription, steps=self.steps)
                pairs.append((self._as_it_is(task, seed), after))
            decades = self._decades(prescription)
        except ActlabError as error:
            return replace(blank, verdict="does not fit", reason=str(error))
        except Exception as error:  # a user's model may raise anything when it is changed or trained
            return replace(blank, verdict="does not fit", reason=one_line(error))
        return self._judged(task, replace(blank, decades=decades), pairs)

    def _as_it_is(self, task: Task, seed: int) -> Outcome:
        if seed not in self._plain:
            self._plain[seed] = short_trial(task, seed, Remedy(), steps=self.steps)
        return self._plain[seed]

    def _judged(self, task: Task, trial: PairedTrial, pairs: Sequence[tuple[Outcome, Outcome]]) -> PairedTrial:
        before, after = (self._worth(task, [pair[side] for pair in pairs]) for side in (0, 1))
        sign = 1 if task.direction == "max" else -1
        differences = sign * (np.array(after) - np.array(before))
        level = 1 - _ERRORS / len(self._trials)
        interval = bootstrap_interval(differences, seed=0, level=level) if np.isfinite(differences).all() else None
        mean = float(differences.mean())
        of = [found for found in self._findings if trial.prescription in found.prescriptions]
        is_hint = all(found.kind == "hint" for found in of)
        diverged = sum(pair[0].diverged for pair in pairs), sum(pair[1].diverged for pair in pairs)
        return replace(
            trial,
            seeds=self.seeds,
            before=before,
            after=after,
            difference=mean,
            interval=interval,
            verdict=_verdict(mean, interval, task.rope, is_hint=is_hint),
            diverged=diverged,
        )

    def _worth(self, task: Task, outcomes: Sequence[Outcome]) -> tuple[float, ...]:
        """Return the metrics; a training that diverged, or whose metric is no number, is worth what the untrained model is."""
        return tuple(
            untrained(task, seed) if one.diverged or not math.isfinite(one.value) else one.value
            for seed, one in zip(self.seeds, outcomes, strict=True)
        )

    def _decades(self, prescription: Remedy) -> tuple[float, float]:
        """Return the decades of the gradient at the init of the first seed, as the model is and as prescribed."""
        before = self._examined.propagation if self._examined else None
        if before is None or not prescription.measures:
            return math.nan, math.nan
        inputs = self.subject.inputs
        with one_thread(), isolated(self.seeds[0]):
            changed = prescription.apply(self.subject.model, inputs, self.seeds[0])
            try:
                return before.decades, propagation(changed, inputs).decades
            except ActlabError:
                return before.decades, math.nan

    def _tell(self, done: int, what: str) -> None:
        self._progress(done, max(1, len(self._trials) * len(self.seeds)), what)


def _verdict(mean: float, interval: tuple[float, float] | None, rope: float, *, is_hint: bool) -> TrialVerdict:
    if interval is None:
        return "undecided"
    low, high = interval
    if (low > rope) if is_hint else (low > 0 and mean > rope):
        return "helped"
    return "did not help" if high <= rope or high <= 0 else "undecided"


def _at_least(value: int, least: int, name: str, why: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PlanError(f"{name} is {value!r}; allowed are whole numbers from {least} on: {why}.")
    return value


# ---------------------------------------------------------------------------------------------- reading


class _Subject:
    """A model to look at, and inputs for it."""

    def __init__(self, name: str, model: nn.Module, inputs: Any) -> None:
        if inputs is None:
            raise TaskError(
                f"{name} gives a model and no inputs for it. Add example_inputs: a tensor, a tuple or a dict as the model takes them "
                "(128 samples or more), or data(seed)."
            )
        self.name, self.model, self.inputs = name, model, inputs


def _read(
    source: str | Path | Task | nn.Module, example_inputs: Inputs | None, seed: int
) -> tuple[Task | None, _Subject, tuple[str, ...]]:
    """Return the task, if there is one; the model with its inputs; and what is missing for a task."""
    if isinstance(source, nn.Module):
        note = "No prescription was tried: a module has no data, loss and metric. Give a task, or its file."
        return None, _Subject(type(source).__name__, source, example_inputs), (note,)
    missing = [] if isinstance(source, Task) or str(source) in registry.names() else list(_missing(source))
    if missing and not isinstance(source, Task):
        found = subject(source, seed)
        note = f"No prescription was tried: {source} does not define {', '.join(missing)}. A task defines model(seed), data(seed), "
        return None, _Subject(found.name, found.model, found.example_inputs), (note + "loss, metric and direction.",)
    task = registry.resolve(source)
    data = check(replace(task, learning_rate=_NO_STEP), seed=seed)  # a rate that kills is a finding here, and no error
    with isolated(seed), user_code(f"model({seed}) of the task {task.name}"):
        model = task.model(seed)
    return task, _Subject(task.name, model, data.train.x[: task.batch_size]), ()


def _missing(source: str | Path) -> Iterator[str]:
    """Yield the names that a file lacks to be a task; none for what is no file."""
    if not (str(source).endswith(".py") or Path(source).exists()):
        registry.resolve(source)  # raises, with the names that are near
    defined = task_file.defined_in(Path(source).expanduser())
    yield from (name for name in ("data", "loss", "metric", "direction") if name not in defined)
