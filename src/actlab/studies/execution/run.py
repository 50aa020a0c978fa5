"""Run a study in this process or in parallel workers, with restarts and Ctrl-C."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

from actlab.errors import StoreError
from actlab.studies.execution.coordinator import FINISHED, INTERNAL_ERROR, WRONG_DEFINITIONS
from actlab.studies.execution.launcher import CoordinatorProcess, fork_coordinator, start_coordinator
from actlab.studies.execution.progress import Progress, summarize_progress
from actlab.studies.execution.scheduler import Schedule, Scheduler
from actlab.studies.execution.worker import Job, work
from actlab.studies.store.store import Store, TrialSummary
from actlab.tasks.isolation import one_thread
from actlab.tasks.task import Task

__all__ = ["ProgressCallback", "StudyInterrupted", "run"]

ProgressCallback: TypeAlias = Callable[[Progress], None]

_POLL = 0.1  # seconds between two reads of the store for progress
_RESTARTS = 3  # times that a killed coordinator is started again


class StudyInterrupted(KeyboardInterrupt):
    """A study was stopped by Ctrl-C; its finished trials are in the store."""


def run(job: Job, task: Task, progress: ProgressCallback | None = None) -> bool:
    """Run the trials of a study until they are done or the deadline has passed.

    Args:
        job: the study; with one job it runs in this process, otherwise in worker processes.
        task: its task, resolved.
        progress: called in this process whenever a trial has finished.

    Returns:
        Whether the study is finished.

    Raises:
        StoreError: the store cannot be written; finished trials are not lost.
        StudyInterrupted: Ctrl-C; the same call resumes the study.
    """
    monitor = _StoreMonitor(job, task, progress)
    try:
        if job.jobs == 1 or not hasattr(os, "fork"):
            with one_thread():
                return work(job, task, monitor.report if progress else None)
        return monitor.wait_for(start_coordinator(job))
    except KeyboardInterrupt:
        done, total = monitor.counts()
        raise StudyInterrupted(
            f"Stopped after {done} of {total} trials. Finished trials are not lost; run the same command again to resume."
        ) from None


class _StoreMonitor:
    """Reads the store and reports progress while a coordinator runs."""

    def __init__(self, job: Job, task: Task, progress: ProgressCallback | None) -> None:
        self._job, self._progress = job, progress
        self._scheduler = Scheduler(job.plan, task.learning_rate)
        self._store = Store(job.store, create=False)
        self._rows, self._restarts = -1, 0

    def wait_for(self, coordinator: CoordinatorProcess) -> bool:
        """Report progress until the coordinator ends; return whether the study is finished."""
        try:
            while (code := coordinator.poll()) is None:
                self._read_store()
                time.sleep(_POLL)
        except BaseException:
            coordinator.kill()
            raise
        self._read_store()
        messages = coordinator.messages()
        if code == WRONG_DEFINITIONS:
            return self.wait_for(fork_coordinator(self._job))
        if code < 0 and self._restarts < _RESTARTS:  # killed by a signal, for example when memory runs out
            self._restarts += 1
            return self.wait_for(start_coordinator(self._job))
        if code != FINISHED:
            _raise_error(code, messages)
        return self._scheduler.update(self._store.results(self._job.study)).finished

    def _read_store(self) -> None:
        if self._progress is None or (count := self._store.count(self._job.study)) == self._rows:
            return
        self._rows = count
        results = self._store.results(self._job.study)
        self.report(self._scheduler.update(results), results)

    def report(self, schedule: Schedule, results: Sequence[TrialSummary]) -> None:
        """Call the progress callback."""
        if self._progress is not None:
            self._progress(summarize_progress(self._job.plan, schedule, results, workers=self._job.jobs))

    def counts(self) -> tuple[int, int]:
        """Return the number of finished trials and the expected total."""
        schedule = self._scheduler.update(self._store.results(self._job.study))
        return schedule.done, schedule.total


def _raise_error(code: int, messages: list[str]) -> NoReturn:
    errors = [json.loads(line)["error"] for line in messages]
    text = errors[0] if errors else f"the worker processes ended with exit code {code} and without a message"
    if code == INTERNAL_ERROR or not errors:
        raise RuntimeError(text)
    raise StoreError(text)
