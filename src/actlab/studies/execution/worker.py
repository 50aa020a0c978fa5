"""Worker loop that leases trials from the store and runs them on one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from actlab.errors import StoreError
from actlab.studies.execution.scheduler import Schedule, Scheduler
from actlab.studies.plan import Plan
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Lease, Store, TrialSummary
from actlab.studies.trial import run_trial
from actlab.tasks.task import Task

__all__ = ["Job", "work"]

_POLL = 0.03  # seconds that an idle worker waits before it reads the store again


@dataclass(frozen=True, kw_only=True)
class Job:
    """A study to run.

    Attributes:
        store: URL of the store.
        study: id of the study in the store.
        plan: its plan.
        task: name of the task, path of its file, or the task itself.
        jobs: number of workers.
        deadline: seconds since 1970 after which no trial is started, or None.
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
    on_update: Callable[[Schedule, list[TrialSummary]], None] | None = None,
    *,
    coordinator: int | None = None,
) -> bool:
    """Run trials until none is left or the deadline has passed.

    Args:
        job: the study.
        task: its task, resolved.
        on_update: called with the schedule and all results whenever there is a new row.
        coordinator: id of the process that records when one of its workers, such as this one, is killed.

    Returns:
        Whether the study is finished.

    Raises:
        StoreError: the store cannot be read or written.
    """
    store, owner = Store(job.store, create=False, keep_open=True), Owner.of()
    scheduler, rows = Scheduler(job.plan, task.learning_rate), -1
    with closing(store), _renewed_leases(store, owner):
        while True:
            if (count := store.count(job.study)) != rows:
                results = store.results(job.study)
                schedule, rows = scheduler.update(results), count
                if on_update is not None:
                    on_update(schedule, results)
            if schedule.finished:
                return True
            if _is_late(job, schedule, results):
                return False
            # With a budget no worker runs ahead, so that the study ends with a complete round if possible.
            keys = schedule.runnable if job.deadline is None else schedule.runnable[: schedule.round_size]
            lease = store.acquire(job.study, keys, owner, coordinator)
            if lease is None:
                time.sleep(_POLL)
                continue
            _run(store, job, task, lease)


def _run(store: Store, job: Job, task: Task, lease: Lease) -> None:
    key, plan = lease.key, job.plan
    try:
        arm, decay = plan.arm(key.arm), plan.decay_learned
        trial = run_trial(task, arm, key.seed, init=plan.init, lr=key.lr, stage=key.stage, decay_learned=decay)
    except BaseException:  # Ctrl-C; this process may live on and run the study again
        store.release(lease)
        raise
    store.finish(job.study, lease, trial)


def _is_late(job: Job, schedule: Schedule, results: list[TrialSummary]) -> bool:
    """Return whether the deadline has passed, or a round that is not begun would end after it."""
    if job.deadline is None:
        return False
    left = job.deadline - time.time()
    open_seed = schedule.runnable[0].seed if schedule.runnable else None
    if left <= 0 or not results or any(result.key.seed == open_seed for result in results):
        return left <= 0
    seconds = sum(result.seconds for result in results) / len(results)
    return left < seconds * schedule.round_size / job.jobs


@contextmanager
def _renewed_leases(store: Store, owner: Owner) -> Iterator[None]:
    """Renew the owner's leases from a thread while the block runs; other hosts check the time of the last renewal."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(HEARTBEAT):
            with suppress(StoreError):  # the worker will get the same error, and report it
                store.renew(owner)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
