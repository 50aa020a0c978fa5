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

from actlab.errors import StoreError
from actlab.studies.execution import ended_trial
from actlab.studies.execution.cost_process import CostProcess
from actlab.studies.execution.job import Job
from actlab.studies.execution.runner import Answer, Choice, Order
from actlab.studies.execution.study_state import StudyState
from actlab.studies.execution.suspension import Suspension
from actlab.studies.execution.template_process import TemplateError, TemplateProcess, TemplateStart
from actlab.studies.execution.time_limits import Budget, RunningTime, default_trial_limit
from actlab.studies.execution.waiting import WaitingNotice
from actlab.studies.stacked.stacking import CHOICE_LIMIT, Stacking
from actlab.studies.stacked.trainer_choice import TrainerChoice
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Lease, Store, TrialKey
from actlab.studies.trials.stage import PILOT
from actlab.studies.trials.trial import Trial
from actlab.tasks.task import Task

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)

_TICK = 0.2  # seconds between two looks at the store, at limits and at runners, when no result comes
_RESTARTS = 10  # times that the template process is started again before a trial has ended since
_SHORT = 5.0  # seconds of a trial for which a process need not wait: the next one is ordered while it still runs one

_Runners: TypeAlias = "dict[Connection[Order, Answer], _Runner]"


@dataclass(kw_only=True)
class _Runner:
    """A runner process and the trials it runs: those of its order that have not ended, and one that it runs next, if any."""

    number: int
    slot: int = 0  # place of the hardware
    leases: dict[TrialKey, Lease] = field(default_factory=dict)
    size: int = 0  # trials that run together
    is_choosing: bool = False  # whether it compares the trainers of the study
    time: RunningTime = field(default_factory=RunningTime)
    kills_before: int = 0

    def begin(self) -> None:
        """Take the time from now on."""
        self.time, self.kills_before = RunningTime(), ended_trial.memory_kills()

    def queued(self) -> dict[TrialKey, Lease]:
        """Remove and return the trials that it has not begun."""
        return {key: self.leases.pop(key) for key in list(self.leases)[self.size :]} if self.size == 1 else {}


class Dispatcher:
    """Dispatcher of a study.

    Args:
        job: the study.
        task: its task, resolved.
        state: its results and schedule, read from the store.
        store: the store, which it keeps open.
    """

    def __init__(self, job: Job, task: Task, state: StudyState, store: Store) -> None:
        self._job, self._task, self._state, self._store = job, task, state, store
        self._costs = CostProcess(job, task, store)
        self._stacking = Stacking(
            store, job.study, plan=job.plan, task=task, conditions=job.conditions_at(0), stack=job.stack
        )
        self._owner, self._budget = Owner.of(), Budget(job.budget, job.jobs)
        self._template: TemplateProcess | None = None
        self._start, self._restarts = TemplateStart(job, task), 0
        self._runners: _Runners = {}
        self._deaths: Counter[TrialKey] = Counter()
        self._steps: int | None = None  # of a trial
        self._renewed, self._looked = time.monotonic(), 0.0
        self._waiting, self._told = WaitingNotice(), False
        store.release_owned(job.study, self._owner)

    def run(self) -> bool:
        """Run trials until none is left or the budget is spent; return whether the study is finished."""
        try:
            with Suspension() as suspension:
                while not (self._state.schedule.finished and self._costs.is_done):
                    if self._is_late() and not self._busy() and self._costs.is_done:
                        return False
                    self._keep_time()
                    try:
                        self._hand_out()
                        suspension.answer(self._template)
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
                self._release(runner.leases, "released")
        for connection in self._runners:
            connection.close()
        self._runners.clear()

    def _busy(self) -> list[_Runner]:
        return [runner for runner in self._runners.values() if runner.leases or runner.is_choosing]

    # Time

    def _is_late(self) -> bool:
        if self._job.budget is None:
            return False
        schedule = self._state.schedule
        open_seed = schedule.runnable[0].seed if schedule.runnable else None
        return self._budget.is_over_for(schedule.round_work, self._state.results, open_seed)

    def _keep_time(self) -> None:
        """Renew the leases, and end trials that have run too long."""
        now = time.monotonic()
        if now - self._renewed > HEARTBEAT:
            self._store.renew(self._owner)
            self._renewed = now
        limit, origin = self._trial_limit()
        for connection, runner in list(self._runners.items()):
            if runner.leases and limit is not None and runner.time.tick() > limit * runner.size:
                self._end(connection)
                self._record_overdue(runner, limit, origin)
            elif runner.is_choosing and runner.time.tick() > CHOICE_LIMIT:
                self._end(connection)
                runner.is_choosing = False
                self._stacking.give_up(f"their comparison took more than {CHOICE_LIMIT:.0f} s", again=False)
        self._costs.keep_time(self._template)
        self._end_with_budget()

    def _trial_limit(self) -> tuple[float | None, str]:
        if self._job.trial_limit is not None:
            return self._job.trial_limit, "as asked for"
        step_time, steps = self._costs.step_time, self._steps
        expected = None if step_time is None or steps is None else step_time * steps
        return default_trial_limit(self._state.longest, expected)

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
                self._release(runner.leases, "ended by the budget")

    # Trials

    def _hand_out(self) -> None:
        """Lease trials for idle runners. A trial on which a process was ended runs later, and alone."""
        busy = self._busy()
        is_first = self._job.jobs == 1 and self._job.budget is None
        if self._costs.is_due and not busy and (is_first or self._state.schedule.finished or self._is_late()):
            self._start_costs()
        if self._is_late() or any(self._deaths[key] for runner in busy for key in runner.leases):
            return
        schedule, running = self._state.schedule, {key for runner in busy for key in runner.leases}
        # With a budget nothing runs ahead, so that the study ends with a complete round if possible.
        keys = schedule.runnable if self._job.budget is None else schedule.runnable[: schedule.round_size]
        fresh = [key for key in keys if key not in running and not self._deaths[key]]
        for _ in range(self._job.jobs - len(busy) - self._costs.is_running):
            if not self._hand_out_next(fresh):
                break
        self._queue(fresh)
        if not self._busy() and not self._costs.is_running:
            self._order([key for key in keys if self._deaths[key]], alone=True)
        if self._waiting.is_due(waiting=not self._busy() and not self._costs.is_running):
            self._waiting.tell(self._store.holders(self._job.study))

    def _hand_out_next(self, keys: Sequence[TrialKey]) -> bool:
        """Have a process do what comes next, and return whether there was something; the costs are measured beside a trial."""
        if self._stacking.is_due:
            # the pilot is one trial, whatever the trainer of the others, and need not wait for it
            pilot = [key for key in keys if key.stage == PILOT] if self._job.jobs > 1 and not self._busy() else []
            if self._order(pilot) or self._choose_trainer():
                return True
        if self._costs.is_due and self._busy() and self._job.budget is None:  # a budget is for trials
            self._start_costs()
            return True
        return not self._stacking.is_due and self._order(keys)

    def _order(self, keys: Sequence[TrialKey], *, alone: bool = False) -> bool:
        """Lease the first free trials and order them: a stack, or one; return whether there were some."""
        if not keys:
            return False
        connection = self._idle_runner()  # before the lease: it may take long
        free = self._job.jobs - len(self._busy())  # soon: the costs take less than a stack
        orders = [(keys, 1)] if alone else self._stacking.orders(keys, free)
        tried = (self._store.acquire_several(self._job.study, wanted, self._owner, most) for wanted, most in orders)
        leases = next((found for found in tried if found), None)
        if leases is None:
            return False
        runner = self._runners[connection]
        runner.leases, runner.size = {lease.key: lease for lease in leases}, len(leases)
        self._send(connection, Order(tuple(runner.leases), stacked=self._stacking.is_stacked(leases[0].key)))
        return True

    def _queue(self, keys: Sequence[TrialKey]) -> None:
        """Have runners of short trials queue the next one, as long as there are enough for all that may end sooner."""
        longest = self._state.longest
        if longest is None or longest > _SHORT or self._stacking.is_due or self._job.budget is not None:
            return
        taken = {key for runner in self._runners.values() for key in runner.leases}
        left = [key for key in keys if key not in taken and not self._stacking.is_stacked(key)]
        for connection, runner in self._runners.items():
            if runner.size == len(runner.leases) == 1 and len(left) >= self._job.jobs:
                for lease in self._store.acquire_several(self._job.study, left, self._owner, 1):
                    runner.leases[lease.key] = lease
                    left.remove(lease.key)
                    with suppress(OSError):  # as in _send
                        connection.send(Order((lease.key,)))

    def _idle_runner(self) -> Connection[Order, Answer]:
        idle = (it for it, runner in self._runners.items() if not runner.leases and not runner.is_choosing)
        return next(idle, None) or self._start_runner()

    def _send(self, connection: Connection[Order, Answer], order: Order) -> None:
        self._runners[connection].begin()
        with suppress(OSError):  # it has ended, which is seen when its answer is awaited
            connection.send(order)

    def _choose_trainer(self) -> bool:
        """Have a runner compare the trainers, before the first trial; return whether one was told to."""
        if any(runner.is_choosing for runner in self._runners.values()):
            return False
        connection = self._idle_runner()
        self._runners[connection].is_choosing = True
        self._send(connection, Order(choice=Choice(self._job.jobs, forced=bool(self._job.stack))))
        return True

    def _start_runner(self) -> Connection[Order, Answer]:
        template, slot = self._running_template(), self._free_slot()
        number, connection = template.start_runner(slot)
        self._runners[connection] = _Runner(number=number, slot=slot)
        return connection

    def _start_costs(self) -> None:
        self._costs.start(self._running_template(), self._free_slot())

    def _free_slot(self) -> int:
        """Return a place of the hardware at which no process runs, or else one whose process is idle."""
        taken = {runner.slot for runner in self._runners.values()} | self._costs.slots
        busy = {runner.slot for runner in self._busy()} | self._costs.slots
        return next(slot for used in (taken, busy, ()) for slot in range(self._job.jobs) if slot not in used)

    def _collect(self) -> None:
        """Wait for results, and record them."""
        for connection in wait([*self._runners, *self._costs.connections], _TICK):
            if connection in self._runners:
                self._receive(connection)
            else:
                self._costs.receive(self._template)
        if self._template is not None and time.monotonic() - self._looked > 5 * _TICK:
            # the connection does not end with its runner where a child of user code has a copy
            self._looked = time.monotonic()
            ended = self._template.ended_runners()
            for connection, runner in list(self._runners.items()):
                if runner.number in ended:
                    self._forget(connection)
                    self._record_death(runner, ended[runner.number])

    def _receive(self, connection: Connection[Order, Answer]) -> None:
        runner = self._runners[connection]
        try:
            answer = connection.recv()
        except Exception:  # the process has ended, or user code has written to its connection
            self._record_death(runner, self._end(connection, kill=False))
            return
        if answer.choice is not None:
            runner.is_choosing = False
            self._stacking.agree(TrainerChoice.from_dict(answer.choice))
            self._budget = Budget(self._job.budget, self._job.jobs)  # which is for trials
        elif answer.refused is not None:
            self._stacking.refuse(runner.leases, answer.refused)
            self._release(runner.leases, "cannot be stacked")
        elif answer.internal_error is not None or answer.trial is None:
            raise RuntimeError(answer.internal_error)
        else:
            self._record(runner, answer.trial)
        if answer.is_last:
            self._end(connection, kill=False)
            self._release(runner.leases, "its process has ended before it")

    def _record(self, runner: _Runner, trial: Trial) -> None:
        key = TrialKey(trial.stage, trial.arm, trial.seed, trial.lr)
        lease, self._restarts = runner.leases.pop(key, None), 0
        if runner.size == 1:
            runner.begin()  # what it has queued
        if lease is not None and not self._store.finish(self._job.study, lease, trial):
            _log.warning(
                "Another process has run %s with seed %d meanwhile; its result counts.", lease.key.arm, lease.key.seed
            )

    def _release(self, leases: dict[TrialKey, Lease], outcome: str) -> None:
        while leases:
            self._store.release(leases.popitem()[1], outcome)

    # Ends of processes

    def _end(self, connection: Connection[Order, Answer], *, kill: bool = True) -> int | None:
        """End a runner, or see how it has ended."""
        number = self._runners[connection].number
        code = None if self._template is None else self._template.end_runner(number, kill=kill)
        self._forget(connection)  # not before: if the template process has ended, its trial is still to be released
        return code

    def _forget(self, connection: Connection[Order, Answer]) -> _Runner:
        connection.close()
        return self._runners.pop(connection)

    def _record_death(self, runner: _Runner, code: int | None) -> None:
        """Have the trials of a runner that was killed run again, each alone, or record that as the result of one that ran alone."""
        if runner.is_choosing:
            runner.is_choosing = False
            self._stacking.give_up(f"the process that compared the trainers {ended_trial.ended_how(code)}", again=True)
        if not runner.leases:
            return
        self._release(runner.queued(), "its process has ended before it")
        key, seconds = next(iter(runner.leases)), runner.time.tick()
        if code is not None and ended_trial.is_fault(-code):
            self._stacking.refuse(runner.leases, f"its process {ended_trial.ended_how(code)}")
        if runner.size > 1:  # any of a stack may be the cause
            self._deaths.update(list(runner.leases))
            self._release(runner.leases, f"ended in a stack with code {code}")
            return
        if code is None or code >= 0:
            self._record(runner, ended_trial.exited_trial(key, code, seconds))
            return
        memory = ended_trial.memory_kills() > runner.kills_before
        self._deaths[key] += 1
        if self._deaths[key] < ended_trial.deaths_of_result(-code, out_of_memory=memory):
            self._release(runner.leases, f"killed by signal {-code}")
            return
        self._record(
            runner, ended_trial.killed_trial(key, -code, self._deaths[key], out_of_memory=memory, seconds=seconds)
        )

    def _record_overdue(self, runner: _Runner, limit: float, origin: str) -> None:
        """Have trials that were ended at the limit run again once, as deadlocks and slow disks come by chance, or record the end."""
        self._release(runner.queued(), "its process was ended before it")
        key = next(iter(runner.leases))
        self._deaths.update(list(runner.leases))
        self._stacking.refuse(runner.leases, f"it ran longer than the limit of {limit:.3g} s for a trial")
        self._state.checkpoints.remove(runner.leases)  # the limit is for a trial, not for what is left of one
        if runner.size > 1 or self._deaths[key] < ended_trial.ENDS_AT_LIMIT:
            self._release(runner.leases, "ended at the limit")
            return
        self._record(runner, ended_trial.overdue_trial(key, limit, origin, runner.time.seconds))
        self._state.refresh()  # before the next trials are handed out: the row is provisional, and does not keep it from running

    def _running_template(self) -> TemplateProcess:
        """Return the template process, which is started if there is none."""
        if self._template is None:
            self._store.close()  # no connection may be open in a fork
            self._template = template = self._start.begin()  # known before the wait, in which Ctrl-C may come
            self._steps = self._start.steps(template)
        return self._template

    def _recover(self, error: TemplateError) -> None:
        """Forget all runners, whose trials run again, after the template process has ended."""
        if self._template is not None:
            self._template.kill()
        self._template = None
        for connection in list(self._runners):
            self._forget(connection)
        self._costs.forget()
        self._store.release_owned(self._job.study, self._owner)
        self._restarts += 1
        self._start.warm = self._start.warm and self._restarts < 2  # the task's functions may be what ends it
        if self._restarts > _RESTARTS:
            raise error.given_up from error
