"""Workers: processes that claim trials from the store and run them, one thread each.

A foreman process loads the task once and forks the workers, so they share its data in memory. It restarts a worker that was
killed. It dies with the process that started the study, and the workers die with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

from actlab.errors import ActlabError, StoreError, UnknownNameError
from actlab.studies.execution.scheduler import Scheduler, View
from actlab.studies.plan import Plan, make_plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Key, Lease, Result, Store
from actlab.studies.trial import blank_row, build_model, run_trial
from actlab.system.allocator import tune_allocator
from actlab.tasks.registry import resolve
from actlab.tasks.isolation import isolated
from actlab.tasks.task import Task, load_data

__all__ = ["CANNOT_NAME", "Job", "foreman", "main", "work"]

FINISHED, WRONG, CANNOT_NAME, BROKEN = 0, 2, 3, 70  # exit codes of the foreman and of its workers
_POLL = 0.03  # seconds an idle worker waits before it looks at the store again
_DEATHS = 2  # times a worker may be killed on a trial before that is the trial's result
_IDLE_DEATHS = 5  # workers that may be killed without a trial in hand before the study gives up


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers are to do.

    Attributes:
        store: URL of the store.
        study: the study's number in it.
        plan: its plan.
        task: name, path of a file, or the task itself.
        jobs: number of workers.
        deadline: seconds since 1970 after which no trial is begun, or None.
    """

    store: str
    study: int
    plan: Plan
    task: str | Task
    jobs: int
    deadline: float | None = None


def work(
    job: Job,
    task: Task,
    tell: Callable[[View, list[Result]], None] | None = None,
    *,
    foreman: int | None = None,
) -> bool:
    """Run trials until nothing is left to do or the deadline has passed.

    Args:
        job: what to do.
        task: its task, resolved.
        tell: called with the view and the results whenever there is a new row.
        foreman: number of the process that takes note when one of its workers is killed, this one among them.

    Returns:
        Whether the study is finished.

    Raises:
        StoreError: the store cannot be read or written.
    """
    store, owner = Store(job.store, create=False, keep_open=True), Owner.of()
    frontier, seen = Scheduler(job.plan, task.learning_rate), -1
    with closing(store), _heartbeat(store, owner):
        while True:
            if (count := store.count(job.study)) != seen:
                results = store.results(job.study)
                view, seen = frontier.look(results), count
                if tell is not None:
                    tell(view, results)
            if view.finished:
                return True
            if _is_late(job, view, results):
                return False
            # With a budget no worker runs ahead, so that it ends with a whole round where it can.
            keys = view.runnable if job.deadline is None else view.runnable[: view.round_size]
            claim = store.claim(job.study, keys, owner, foreman)
            if claim is None:
                time.sleep(_POLL)
                continue
            _run(store, job, task, claim)


def _run(store: Store, job: Job, task: Task, claim: Lease) -> None:
    key, plan = claim.key, job.plan
    try:
        row = run_trial(task, plan.arm(key.arm), key.seed, init=plan.init, lr=key.lr, stage=key.stage)
    except BaseException:  # Ctrl-C in this very process, which may live on and run the study again
        store.release(claim)
        raise
    store.finish(job.study, claim, row)


def _is_late(job: Job, view: View, results: list[Result]) -> bool:
    """Whether the deadline has passed, or a round that nobody has begun would not end before it."""
    if job.deadline is None:
        return False
    left = job.deadline - time.time()
    open_seed = view.runnable[0].seed if view.runnable else None
    if left <= 0 or not results or any(result.key.seed == open_seed for result in results):
        return left <= 0
    seconds = sum(result.seconds for result in results) / len(results)
    return left < seconds * view.round_size / job.jobs


@contextmanager
def _heartbeat(store: Store, owner: Owner) -> Iterator[None]:
    """Give a sign of life from a thread while the block runs; other hosts look for it."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT):
            with suppress(StoreError):  # the worker itself will meet the same error, and tell
                store.beat(owner)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


# The foreman


def main() -> None:
    """Run the foreman of a job that stands pickled on stdin; news go to stdout, and what a task prints to stderr."""
    parent = os.getppid()
    news = os.dup(1)
    os.dup2(2, 1)
    job = pickle.load(sys.stdin.buffer)  # noqa: S301 # written by the process that started this one
    os._exit(foreman(job, news, parent))


def foreman(job: Job, news: int, parent: int) -> int:
    """Run a job's workers until they are done.

    Args:
        job: what to do.
        news: file descriptor to which one JSON object per line is written when something is wrong.
        parent: number of the process to die with.

    Returns:
        Exit code: 0, 2 for an error that was told, 3 when this process does not know the task or its activations.
    """
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        torch.set_num_threads(1)
        tune_allocator()
        task = _resolved(job)
        if task is None:
            return CANNOT_NAME
        return _Crew(job, task, news).run()
    except ActlabError as error:
        _tell(news, str(error))
        return WRONG
    except Exception:  # a mistake of ActLab: the first process raises it with this text
        _tell(news, traceback.format_exc())
        return BROKEN


def _resolved(job: Job) -> Task | None:
    """Return the job's task with its data loaded, or None if it or an activation means something else in this process."""
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
    """Do once what every worker's first trial would do: the task's own caches, torch's late imports (1.1 s for optimizers)."""
    seed = plan.seeds[0]
    with isolated(seed), suppress(Exception):  # a user's code may raise anything; the trials will record it
        batch = load_data(task, seed).train.x[: task.batch_size]
        for arm in plan.arms:
            model, _ = build_model(task, arm, seed, init=plan.init, batch=batch)
        task.optimizer(model.parameters(), task.learning_rate).zero_grad()


def _tell(news: int, text: str) -> None:
    os.write(news, (json.dumps({"error": text}) + "\n").encode())


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(BROKEN)  # it has ended already


class _Crew:
    """The workers of a foreman."""

    def __init__(self, job: Job, task: Task, news: int) -> None:
        self._job, self._task, self._news = job, task, news
        self._workers: dict[int, Owner] = {}
        self._idle_deaths = 0

    def run(self) -> int:
        """Start the workers and wait for them; return the exit code."""
        for _ in range(self._job.jobs):
            self._start()
        while self._workers:
            pid, code = _ended()
            goes_on = code >= 0 or self._note(self._workers[pid], -code)
            _reap(pid)
            del self._workers[pid]
            if not goes_on:
                return self._stop(WRONG)
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
        code = BROKEN
        try:
            _die_with(parent)
            code = self._work()
        finally:
            os._exit(code)

    def _work(self) -> int:
        try:
            work(self._job, self._task, foreman=os.getppid())
        except ActlabError as error:
            _tell(self._news, str(error))
            return WRONG
        except Exception:  # a mistake of ActLab: the first process raises it with this text
            _tell(self._news, traceback.format_exc())
            return BROKEN
        return FINISHED

    def _note(self, owner: Owner, number: int) -> bool:
        """Record a worker's death by a signal; return whether the study can go on."""
        store = Store(self._job.store, create=False)
        had = store.killed(
            self._job.study, owner, number, lambda key, times: _lost_row(key, number) if times >= _DEATHS else None
        )
        store.close()
        self._idle_deaths += not had
        if self._idle_deaths < _IDLE_DEATHS:
            return True
        _tell(
            self._news,
            f"Worker processes are being killed ({_signal_name(number)}) before they begin. Is there enough memory?",
        )
        return False

    def _stop(self, code: int) -> int:
        for pid in self._workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            _reap(pid)
        return code


def _ended() -> tuple[int, int]:
    """Wait for a child's end; return its number and its exit code, negative for a signal.

    Where the system can, the child stays a zombie until :func:`_reap`: so long, its trials are in nobody else's hands.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        pid, status = os.waitpid(-1, 0)
        return pid, os.waitstatus_to_exitcode(status)
    ended: Any = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return ended.si_pid, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _lost_row(key: Key, number: int) -> dict[str, Any]:
    """Return the row of a trial on which workers keep being killed."""
    row = blank_row(stage=key.stage, arm=key.arm, seed=key.seed, lr=key.lr)
    row["status"] = "out_of_memory" if number == signal.SIGKILL else "failed"
    why = ", which is what the kernel does when memory runs out" if number == signal.SIGKILL else ""
    row["error"] = f"the worker was killed by {_signal_name(number)} {_DEATHS} times on this trial{why}"
    return row


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
