"""Coordinator process that forks a study's workers and replaces killed ones.

It loads the task once before it forks, so that the workers share its data in memory. It ends with the process that started the study, and
the workers end with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from actlab.errors import ActlabError, UnknownNameError
from actlab.studies.execution.worker import Job, work
from actlab.studies.plan import Plan, make_plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import Store, TrialKey
from actlab.studies.trial import Trial, build_model
from actlab.system.allocator import tune_allocator
from actlab.tasks.isolation import isolated
from actlab.tasks.registry import resolve
from actlab.tasks.task import Task, load_data

__all__ = ["FINISHED", "INTERNAL_ERROR", "USER_ERROR", "WRONG_DEFINITIONS", "coordinate", "main"]

# Exit codes of the coordinator and of its workers.
FINISHED, USER_ERROR, WRONG_DEFINITIONS, INTERNAL_ERROR = 0, 2, 3, 70
_DEATHS = 2  # kills of workers on a trial after which that is the trial's result
_IDLE_DEATHS = 5  # kills of workers without a trial after which the study gives up


def main() -> None:
    """Run the coordinator of a job pickled on stdin; messages go to stdout, and the output of the task to stderr."""
    parent = os.getppid()
    messages = os.dup(1)
    os.dup2(2, 1)
    job = pickle.load(sys.stdin.buffer)  # noqa: S301 # written by the process that started this one
    os._exit(coordinate(job, messages, parent))


def coordinate(job: Job, messages: int, parent: int) -> int:
    """Run a job's workers until they are done.

    Args:
        job: the study to run.
        messages: file descriptor to which errors are written, one JSON object per line.
        parent: id of the process with which this one ends.

    Returns:
        Exit code: 0, 2 after an error with a message, 3 when the task or its activations are unknown in this process.
    """
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is sent to the whole group; the first process handles it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def run() -> int:
        torch.set_num_threads(1)
        tune_allocator()
        task = _resolve_task(job)
        return WRONG_DEFINITIONS if task is None else _WorkerPool(job, task, messages).run()

    return _exit_code(run, messages)


def _exit_code(run: Callable[[], int], messages: int) -> int:
    """Return the exit code of a function; write the message of an error, which the first process raises again."""
    try:
        return run()
    except ActlabError as error:
        _send_error(messages, str(error))
        return USER_ERROR
    except Exception:  # an error of ActLab itself
        _send_error(messages, traceback.format_exc())
        return INTERNAL_ERROR


def _resolve_task(job: Job) -> Task | None:
    """Return the job's task with its data loaded, or None if it or an activation has another definition in this process."""
    try:
        task = resolve(job.task)
        plan = make_plan(task, job.plan.arms, baseline=job.plan.baseline)
    except UnknownNameError:
        return None
    if (plan.definitions, plan.task_source) != (job.plan.definitions, job.plan.task_source):
        return None
    _warm_up(task, job.plan)
    return task


def _warm_up(task: Task, plan: Plan) -> None:
    """Fill the task's caches and trigger torch's late imports (1.1 s for optimizers) once, before workers are forked."""
    seed = plan.seeds[0]
    with isolated(seed), suppress(Exception):  # user code may raise anything; the trials will record it
        batch = load_data(task, seed).train.x[: task.batch_size]
        for arm in plan.arms:
            model, _ = build_model(task, arm, seed, init=plan.init, batch=batch)
        task.optimizer(model.parameters(), task.learning_rate).zero_grad()


def _send_error(messages: int, text: str) -> None:
    os.write(messages, (json.dumps({"error": text}) + "\n").encode())


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, also after a SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(INTERNAL_ERROR)  # the parent has ended already


class _WorkerPool:
    """Workers of a coordinator."""

    def __init__(self, job: Job, task: Task, messages: int) -> None:
        self._job, self._task, self._messages = job, task, messages
        self._workers: dict[int, Owner] = {}
        self._idle_deaths = 0

    def run(self) -> int:
        """Start the workers and wait for them; return the exit code."""
        for _ in range(self._job.jobs):
            self._start()
        while self._workers:
            pid, code = _wait_for_child()
            goes_on = code >= 0 or self._record_death(self._workers[pid], -code)
            _reap(pid)
            del self._workers[pid]
            if not goes_on:
                return self._stop(USER_ERROR)
            if code < 0:
                self._start()
            elif code != FINISHED:
                return self._stop(code)
        return FINISHED

    def _start(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._workers[pid] = Owner.of(pid)
            return
        code = INTERNAL_ERROR
        try:
            _end_with(parent)
            code = _exit_code(self._work, self._messages)
        finally:
            os._exit(code)

    def _work(self) -> int:
        work(self._job, self._task, coordinator=os.getppid())
        return FINISHED

    def _record_death(self, owner: Owner, number: int) -> bool:
        """Record a worker's death by a signal; return whether the study can go on."""
        store = Store(self._job.store, create=False)
        trials = store.record_kill(
            self._job.study, owner, number, lambda key, times: _killed_trial(key, number) if times >= _DEATHS else None
        )
        store.close()
        self._idle_deaths += not trials
        if self._idle_deaths < _IDLE_DEATHS:
            return True
        _send_error(
            self._messages,
            f"Worker processes were killed ({_signal_name(number)}) before they started a trial. Is there enough memory?",
        )
        return False

    def _stop(self, code: int) -> int:
        for pid in self._workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            _reap(pid)
        return code


def _wait_for_child() -> tuple[int, int]:
    """Wait for a child to end; return its process id and its exit code, negative for a signal.

    Where the system supports it, the child stays a zombie until :func:`_reap`, so that no other worker takes its trials before.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        pid, status = os.waitpid(-1, 0)
        return pid, os.waitstatus_to_exitcode(status)
    ended: Any = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return ended.si_pid, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _killed_trial(key: TrialKey, number: int) -> Trial:
    """Return the result of a trial on which workers were killed repeatedly."""
    is_kill = number == signal.SIGKILL
    why = ", which is what the kernel does when memory runs out" if is_kill else ""
    return Trial(
        **key._asdict(),
        status="out_of_memory" if is_kill else "failed",
        error=f"the worker was killed by {_signal_name(number)} {_DEATHS} times on this trial{why}",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
