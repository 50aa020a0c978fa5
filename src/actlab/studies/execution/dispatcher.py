"""Dispatcher that leases a study's trials, has processes run them, and records how each of them ended.

It runs in the first process, which alone has a connection to the store. User code runs in processes without one, so that nothing that it
does to its process (ends it, closes its files, changes its folder) reaches the store or another trial.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TypeAlias

from actlab.errors import StoreError, TaskError
from actlab.studies.execution.ended_trial import (
    ENDS_AT_LIMIT,
    deaths_of_result,
    exited_trial,
    killed_trial,
    memory_kills,
    overdue_trial,
)
from actlab.studies.execution.job import Job
from actlab.studies.execution.runner import Answer
from actlab.studies.execution.study_state import StudyState
from actlab.studies.execution.suspension import Suspension
from actlab.studies.execution.template import WRONG_DEFINITIONS
from actlab.studies.execution.template_process import TemplateError, TemplateProcess, needs_new_interpreter
from actlab.studies.execution.time_limits import Budget, RunningTime, default_trial_limit
from actlab.studies.execution.waiting import WaitingNotice
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Lease, Store, TrialKey
from actlab.studies.trials.trial import Trial
from actlab.tasks.task import Task

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)

_TICK = 0.2  # seconds between two looks at the store, at limits and at runners, when no result comes
_RESTARTS = 10  # times that the template process is started again before a trial has ended since
_LOADING_LIMIT = 600.0  # seconds for loading the task and running its functions once

_Runners: TypeAlias = "dict[Connection[TrialKey, Answer], _Runner]"


@dataclass(kw_only=True)
class _Runner:
    """A runner process and the trial it runs."""

    number: int
    lease: Lease | None = None
    time: RunningTime = field(default_factory=RunningTime)
    kills_before: int = 0


class Dispatcher:
    """Dispatcher of a study.

    Args:
        job: the study.
        task: its task, resolved.
        state: its results and schedule, read from the store.
        store: the store, which it keeps open.
        step_time: seconds of the slowest arm's training step, or None; for the limit of the first trials.
    """

    def __init__(self, job: Job, task: Task, state: StudyState, store: Store, *, step_time: float | None) -> None:
        self._job, self._task, self._state, self._store, self._step_time = job, task, state, store, step_time
        self._owner, self._budget = Owner.of(), Budget(job.budget, job.jobs)
        self._template: TemplateProcess | None = None
        self._spawn, self._warm, self._restarts = needs_new_interpreter(job), True, 0
        self._runners: _Runners = {}
        self._deaths: Counter[TrialKey] = Counter()
        self._expected: float | None = None  # seconds of a trial, estimated
        self._renewed, self._looked = time.monotonic(), 0.0
        self._waiting, self._told = WaitingNotice(), False
        store.release_owned(job.study, self._owner)

    def run(self) -> bool:
        """Run trials until none is left or the budget is spent; return whether the study is finished."""
        try:
            with Suspension() as suspension:
                while not self._state.schedule.finished:
                    if self._is_late() and not self._busy():
                        return False
                    self._keep_time()
                    try:
                        self._hand_out()
                        suspension.answer()
                        self._collect()
                    except TemplateError as error:
                        self._recover(error)
                    self._state.refresh()
                return True
        finally:
            self._stop()

    def _stop(self) -> None:
        if self._template is not None:
            self._template.kill()
        with suppress(StoreError):  # of the same kind as the one that ends the study
            for runner in self._busy():
                self._release(runner, "released")
        for connection in self._runners:
            connection.close()
        self._runners.clear()

    def _busy(self) -> list[_Runner]:
        return [runner for runner in self._runners.values() if runner.lease is not None]

    # Time

    def _is_late(self) -> bool:
        if self._job.budget is None:
            return False
        schedule = self._state.schedule
        open_seed = schedule.runnable[0].seed if schedule.runnable else None
        return self._budget.is_over_for(schedule.round_size, self._state.results, open_seed)

    def _keep_time(self) -> None:
        """Renew the leases, and end trials that have run too long."""
        now = time.monotonic()
        if now - self._renewed > HEARTBEAT:
            self._store.renew(self._owner)
            self._renewed = now
        limit, origin = self._trial_limit()
        for connection, runner in list(self._runners.items()):
            if runner.lease is not None and limit is not None and runner.time.tick() > limit:
                self._end(connection)
                self._record_overdue(runner, runner.lease.key, limit, origin)
        self._end_with_budget()

    def _trial_limit(self) -> tuple[float | None, str]:
        if self._job.trial_limit is not None:
            return self._job.trial_limit, "as asked for"
        return default_trial_limit(self._state.longest, self._expected)

    def _end_with_budget(self) -> None:
        left, busy = self._budget.left, self._busy()
        if left is None or left > 0 or not busy:
            return
        if not self._told:
            self._told = True
            _log.warning(
                "The time budget of %g s is over. Trials that still run (%d) are ended in %.0f s; a later run of the same command "
                "runs them again.",
                self._budget.seconds, len(busy), self._budget.grace,
            )  # fmt: skip
        if -left > self._budget.grace:
            for connection, runner in list(self._runners.items()):
                self._end(connection)
                self._release(runner, "ended by the budget")

    # Trials

    def _hand_out(self) -> None:
        """Lease trials for idle runners. A trial on which a process was ended runs later, and alone."""
        busy = self._busy()
        if self._is_late() or any(runner.lease and self._deaths[runner.lease.key] for runner in busy):
            return
        schedule, running = self._state.schedule, {runner.lease.key for runner in busy if runner.lease}
        # With a budget nothing runs ahead, so that the study ends with a complete round if possible.
        keys = schedule.runnable if self._job.budget is None else schedule.runnable[: schedule.round_size]
        fresh = [key for key in keys if key not in running and not self._deaths[key]]
        for _ in range(self._job.jobs - len(busy)):
            if not self._order(fresh):
                break
        if not self._busy():
            self._order([key for key in keys if self._deaths[key]])
        if self._waiting.is_due(waiting=not self._busy()):
            self._waiting.tell(self._store.holders(self._job.study))

    def _order(self, keys: Sequence[TrialKey]) -> bool:
        """Lease the first free trial and order it; return whether there was one."""
        if not keys:
            return False
        idle = (connection for connection, runner in self._runners.items() if runner.lease is None)
        connection = next(idle, None) or self._start_runner()  # before the lease: it may take long
        lease = self._store.acquire(self._job.study, keys, self._owner)
        if lease is None:
            return False
        runner = self._runners[connection]
        runner.lease, runner.time, runner.kills_before = lease, RunningTime(), memory_kills()
        with suppress(OSError):  # it has ended, which is seen when its answer is awaited
            connection.send(lease.key)
        return True

    def _start_runner(self) -> Connection[TrialKey, Answer]:
        number, connection = self._running_template().start_runner()
        self._runners[connection] = _Runner(number=number)
        return connection

    def _collect(self) -> None:
        """Wait for results, and record them."""
        for connection in wait(list(self._runners), _TICK):
            self._receive(connection)  # type: ignore[arg-type] # one of the connections that were waited for
        if self._template is not None and time.monotonic() - self._looked > 5 * _TICK:
            # the connection does not end with its runner where a child of user code has a copy
            self._looked = time.monotonic()
            ended = self._template.ended_runners()
            for connection, runner in list(self._runners.items()):
                if runner.number in ended:
                    self._forget(connection)
                    self._record_death(runner, ended[runner.number])

    def _receive(self, connection: Connection[TrialKey, Answer]) -> None:
        runner = self._runners[connection]
        try:
            answer = connection.recv()
        except Exception:  # the process has ended, or user code has written to its connection
            self._record_death(runner, self._end(connection, kill=False))
            return
        if answer.internal_error is not None or answer.trial is None:
            raise RuntimeError(answer.internal_error)
        self._record(runner, answer.trial)
        if answer.is_last:
            self._end(connection, kill=False)

    def _record(self, runner: _Runner, trial: Trial) -> None:
        lease, runner.lease, self._restarts = runner.lease, None, 0
        if lease is not None and not self._store.finish(self._job.study, lease, trial):
            _log.warning(
                "Another process has run %s with seed %d meanwhile; its result counts.", lease.key.arm, lease.key.seed
            )

    def _release(self, runner: _Runner, outcome: str) -> None:
        lease, runner.lease = runner.lease, None
        if lease is not None:
            self._store.release(lease, outcome)

    # Ends of processes

    def _end(self, connection: Connection[TrialKey, Answer], *, kill: bool = True) -> int | None:
        """End a runner, or see how it has ended."""
        number = self._runners[connection].number
        code = None if self._template is None else self._template.end_runner(number, kill=kill)
        self._forget(connection)  # not before: if the template process has ended, its trial is still to be released
        return code

    def _forget(self, connection: Connection[TrialKey, Answer]) -> _Runner:
        connection.close()
        return self._runners.pop(connection)

    def _record_death(self, runner: _Runner, code: int | None) -> None:
        """Have the trial of a runner that was killed run again, or record that as its result."""
        if runner.lease is None:
            return
        key, seconds = runner.lease.key, runner.time.tick()
        if code is None or code >= 0:
            self._record(runner, exited_trial(key, code, seconds))
            return
        memory = memory_kills() > runner.kills_before
        self._deaths[key] += 1
        if self._deaths[key] < deaths_of_result(-code, out_of_memory=memory):
            self._release(runner, f"killed by signal {-code}")
            return
        self._record(runner, killed_trial(key, -code, self._deaths[key], out_of_memory=memory, seconds=seconds))

    def _record_overdue(self, runner: _Runner, key: TrialKey, limit: float, origin: str) -> None:
        """Have a trial that was ended at the limit run again once, as deadlocks and slow disks come by chance, or record the end."""
        self._deaths[key] += 1
        if self._deaths[key] < ENDS_AT_LIMIT:
            self._release(runner, "ended at the limit")
            return
        self._record(runner, overdue_trial(key, limit, origin, runner.time.seconds))

    def _running_template(self) -> TemplateProcess:
        """Return the template process, which is started if there is none."""
        if self._template is None:
            self._store.close()  # no connection may be open in a fork
            template = TemplateProcess(self._job, None if self._spawn else self._task, warm=self._warm)
            self._template = template  # known before the wait, in which Ctrl-C may come
            greeting = template.greeting(_LOADING_LIMIT)
            if "steps" not in greeting:
                self._refuse(greeting)
            if self._step_time is not None and greeting["steps"] is not None:
                self._expected = self._step_time * greeting["steps"]
        return self._template

    def _refuse(self, greeting: dict[str, str]) -> None:
        """Start the template process in another way, or raise what it says.

        Raises:
            TemplateError: it is to be started again.
        """
        if greeting.get("problem") == WRONG_DEFINITIONS and self._spawn:
            self._spawn = False
            raise TemplateError("the task has another definition in a new interpreter")
        if "problem" in greeting and self._warm:
            self._warm = False
            raise TemplateError("the task uses an accelerator when its functions are run")
        if "error" in greeting:
            raise TaskError(greeting["error"])
        raise RuntimeError(greeting.get("internal_error", f"the task cannot be loaded: {greeting}"))

    def _recover(self, error: TemplateError) -> None:
        """Forget all runners, whose trials run again, after the template process has ended."""
        if self._template is not None:
            self._template.kill()
        self._template = None
        for connection in list(self._runners):
            self._forget(connection)
        self._store.release_owned(self._job.study, self._owner)
        self._restarts += 1
        self._warm = self._warm and self._restarts < 2  # the task's functions may be what ends it
        if self._restarts > _RESTARTS:
            raise StoreError(
                f"The processes that run the trials could not be kept alive: {error}. Is there enough memory, and does "
                "the task's file close files that it has not opened? "
                "Finished trials are not lost; run the same command again."
            ) from error
