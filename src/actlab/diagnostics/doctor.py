"""Diagnose a model by measuring it, running checks and trying remedies in paired trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypedDict, Unpack

from torch import nn

from actlab.diagnostics.check import Finding
from actlab.diagnostics.diagnosed_model import load_diagnosed_model, reference_batch
from actlab.diagnostics.diagnosis import Diagnosis, PairedTrial
from actlab.diagnostics.heuristic_checks import run_checks
from actlab.diagnostics.measurements import Measurements, measure_model
from actlab.diagnostics.paired_trials import PairedTrials
from actlab.diagnostics.remedy import Remedy
from actlab.diagnostics.short_training import REFERENCE, first_steps, safe_learning_rate
from actlab.errors import PlanError
from actlab.nn.sites.dry_run import Inputs
from actlab.studies.settings import parse_budget
from actlab.system.display import shown_count
from actlab.system.options import from_options
from actlab.system.plural import plural
from actlab.tasks.isolation import isolated, one_thread
from actlab.tasks.task import Task, load_data

__all__ = ["Checkup", "DoctorOptions", "DoctorSettings", "doctor"]

Progress = Callable[[int, int, str], None]
# seeds; with fewer there is no interval of the difference
_FEWEST_SEEDS: Final = 2


class DoctorOptions(TypedDict, total=False):
    """Keyword options of :func:`doctor`; see :class:`DoctorSettings`."""

    seeds: int
    steps: int
    seed: int
    budget: str | float | None


@dataclass(frozen=True, kw_only=True)
class DoctorSettings:
    """Settings of :func:`doctor`.

    Attributes:
        seeds: number of seeds on which every remedy is tried, 2 or more.
        steps: training steps that are recorded, and of every trial.
        seed: first seed; the model is measured with it.
        budget: time after which no further trial starts, in seconds or as ``"5m"``; None for no limit.

    Raises:
        PlanError: a value is out of range.
    """

    seeds: int = 6
    steps: int = 200
    seed: int = 0
    budget: str | float | None = None

    def __post_init__(self) -> None:
        _check_at_least(self.seeds, _FEWEST_SEEDS, "seeds", "a difference has no interval with fewer")
        _check_at_least(self.seed, 0, "seed", "trials use the seeds that follow it")
        _check_at_least(self.steps, 1, "steps", "it is the length of every trial")
        parse_budget(self.budget)

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        """Seeds of the trials."""
        return tuple(range(self.seed, self.seed + self.seeds))


def doctor(
    source: str | Path | Task | nn.Module,
    example_inputs: Inputs | None = None,
    *,
    progress: Progress | bool | None = None,
    settings: DoctorSettings | None = None,
    **options: Unpack[DoctorOptions],
) -> Diagnosis:
    """Find faults in a model and where they begin, and recommend remedies that helped in short paired trials on its own task.

    Args:
        source: a task (its name, a Python file or a :class:`Task`), or a model (a module, or a Python file that defines only ``model``).
            Without a task, no remedy can be tried.
        example_inputs: a batch for a module, as for :func:`actlab.find`.
        progress: called with the number of trainings done, the number planned, and what is running. By default a display on a terminal or
            in a notebook, and nothing elsewhere; True for a display everywhere, on stderr; False for none.
        settings: number and length of the trials; see :class:`DoctorSettings`.
        options: single settings: ``seeds``, ``steps``, ``seed``, ``budget``.

    Returns:
        A diagnosis, reproducible for the same arguments. The model is not modified.

    Raises:
        ActlabError: the task or the model cannot be used, or a setting is out of range.

    Example:
        >>> doctor("digits", seeds=2, steps=30).sentence
        'Nothing to do.'
    """
    with shown_count(progress, "trainings") as callback:
        return Checkup(source, example_inputs, progress=callback, settings=settings, **options).run()


class Checkup:
    """Interruptible run of the doctor, with the arguments of :func:`doctor`.

    :meth:`run` may be interrupted; :meth:`diagnosis` then returns what is done so far, and another :meth:`run` does the rest.
    """

    def __init__(
        self,
        source: str | Path | Task | nn.Module,
        example_inputs: Inputs | None = None,
        *,
        progress: Progress | None = None,
        settings: DoctorSettings | None = None,
        **options: Unpack[DoctorOptions],
    ) -> None:
        self.settings = from_options(DoctorSettings, settings, options)
        self._diagnosed = load_diagnosed_model(source, example_inputs, self.settings.seed)
        self._deadline = time.monotonic() + (parse_budget(self.settings.budget) or math.inf)
        self._progress = progress or (lambda *_: None)
        self._measured: Measurements | None = None
        self._findings: tuple[Finding, ...] = ()
        self._trials: dict[Remedy, PairedTrial] = {}
        self._paired_trials: PairedTrials | None = None
        self._finished = False

    def run(self) -> Diagnosis:
        """Measure the model and try the remedies, as far as that is not done yet, and return the diagnosis."""
        if self._measured is None:
            self._report(0, "the model at initialization")
            self._measured = self._measure()
            self._findings = run_checks(self._measured)
            remedies = (remedy for finding in self._findings for remedy in finding.prescriptions)
            self._trials = {remedy: PairedTrial(prescription=remedy) for remedy in remedies}
            if self._diagnosed.task is not None:
                self._paired_trials = PairedTrials(
                    self._diagnosed.task,
                    self._diagnosed,
                    propagation=self._measured.propagation,
                    seeds=self.settings.trial_seeds,
                    steps=self.settings.steps,
                )
        if self._paired_trials is not None:
            for number, (remedy, trial) in enumerate(self._trials.items()):
                if trial.verdict == "not tried":
                    self._trials[remedy] = self._try(self._paired_trials, remedy, number)
        self._finished = True
        return self.diagnosis()

    @property
    def has_measured(self) -> bool:
        """Whether the model was measured, so that there is a diagnosis."""
        return self._measured is not None

    def diagnosis(self) -> Diagnosis:
        """Return the diagnosis of what is done so far.

        Raises:
            PlanError: nothing was measured yet.
        """
        if self._measured is None:
            raise PlanError("Nothing was measured yet: the run was stopped before its first result. Run it again.")
        task = self._diagnosed.task
        return Diagnosis(
            name=self._diagnosed.name,
            metric=task.metric_name if task else "",
            direction=task.direction if task else "max",
            steps=self.settings.steps,
            examined=self._measured,
            all_findings=self._findings,
            trials=tuple(self._trials.values()),
            notes=(*self._diagnosed.notes, *self._measured.notes),
            stopped=not self._finished,
        )

    def _measure(self) -> Measurements:
        task, steps, seed = self._diagnosed.task, self.settings.steps, self.settings.seed
        with one_thread(), isolated(seed):
            if task is None:
                return measure_model(self._diagnosed.model, self._diagnosed.inputs)
            train = load_data(task, seed).train
            inputs, target = reference_batch(task, self._diagnosed.model, train, REFERENCE, seed)
            measured = measure_model(self._diagnosed.model, inputs, target, None if target is None else task.loss)
        self._report(0, f"the first {plural(steps, 'step')}")
        record = first_steps(task, seed, steps=steps)
        rate = None
        if record.killed:
            self._report(0, "search for a safe learning rate")
            rate = safe_learning_rate(task, seed, steps=steps, killing=record.learning_rate)
        return replace(measured, course=record, tolerated=rate)

    def _try(self, trials: PairedTrials, remedy: Remedy, number: int) -> PairedTrial:
        if time.monotonic() > self._deadline:
            return PairedTrial(prescription=remedy, reason="the budget was spent")
        done = number * self.settings.seeds
        return trials.run(
            remedy,
            remedies=len(self._trials),
            is_hint=all(found.kind == "hint" for found in self._findings if remedy in found.prescriptions),
            before_training=lambda trained: self._report(done + trained, remedy.name),
        )

    def _report(self, done: int, what: str) -> None:
        self._progress(done, max(1, len(self._trials) * self.settings.seeds), what)


def _check_at_least(value: int, least: int, name: str, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PlanError(f"{name} is {value!r}; allowed are whole numbers from {least} on: {why}.")
