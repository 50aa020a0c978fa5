"""The run: works a study off, with a process per core or in this one, and survives whatever ends it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence

from actlab.errors import StoreError
from actlab.studies.execution.launcher import Foreman, fork, start
from actlab.studies.execution.progress import Progress, progress_of
from actlab.studies.execution.scheduler import Scheduler, View
from actlab.studies.execution.worker import BROKEN, CANNOT_NAME, FINISHED, Job, work
from actlab.studies.store.store import Result, Store
from actlab.tasks.isolation import one_thread
from actlab.tasks.task import Task

__all__ = ["StudyInterrupted", "run"]

Tell = Callable[[Progress], None]

_POLL = 0.1  # seconds between two looks at the store for progress
_RESTARTS = 3  # times the foreman itself may be killed


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a study; what had finished is in the store."""


def run(job: Job, task: Task, progress: Tell | None = None) -> bool:
    """Run the trials of a study until they are done or the deadline has passed.

    Args:
        job: what to do; one job runs in this process, more in processes of their own.
        task: its task, resolved.
        progress: called with news, in this process.

    Returns:
        Whether the study is finished.

    Raises:
        StoreError: the store cannot be written; what had finished is in it.
        StudyInterrupted: Ctrl-C; the same call goes on where this one stopped.
    """
    watch = _Watch(job, task, progress)
    try:
        if job.jobs == 1 or not hasattr(os, "fork"):
            with one_thread():
                return work(job, task, watch.tell if progress else None)
        return watch.until_done(start(job))
    except KeyboardInterrupt:
        done, total = watch.counts()
        raise StudyInterrupted(
            f"Stopped after {done} of {total} trials. Nothing that finished is lost: the same command goes on from here."
        ) from None


class _Watch:
    """Looks at the store while others work."""

    def __init__(self, job: Job, task: Task, progress: Tell | None) -> None:
        self._job, self._progress = job, progress
        self._frontier = Scheduler(job.plan, task.learning_rate)
        self._store = Store(job.store, create=False)
        self._seen, self._restarts = -1, 0

    def until_done(self, foreman: Foreman) -> bool:
        """Wait for the foreman's end, telling the news; return whether the study is finished."""
        try:
            while (code := foreman.poll()) is None:
                self._look()
                time.sleep(_POLL)
        except BaseException:
            foreman.kill()
            raise
        self._look()
        told = foreman.news()
        if code == CANNOT_NAME:
            return self.until_done(fork(self._job))
        if code < 0 and self._restarts < _RESTARTS:  # killed by a signal: by the kernel, when memory ran out
            self._restarts += 1
            return self.until_done(start(self._job))
        if code != FINISHED:
            _raise(code, told)
        return self._frontier.look(self._store.results(self._job.study)).finished

    def _look(self) -> None:
        if self._progress is None or (count := self._store.count(self._job.study)) == self._seen:
            return
        self._seen = count
        results = self._store.results(self._job.study)
        self.tell(self._frontier.look(results), results)

    def tell(self, view: View, results: Sequence[Result]) -> None:
        """Hand on a piece of news."""
        if self._progress is not None:
            self._progress(progress_of(self._job.plan, view, results, workers=self._job.jobs))

    def counts(self) -> tuple[int, int]:
        """Return how many trials are done, and how many there will be."""
        view = self._frontier.look(self._store.results(self._job.study))
        return view.done, view.total


def _raise(code: int, told: list[str]) -> None:
    errors = [json.loads(line)["error"] for line in told]
    text = errors[0] if errors else f"the worker processes ended with exit code {code} and no word"
    if code == BROKEN or not errors:
        raise RuntimeError(text)
    raise StoreError(text)
