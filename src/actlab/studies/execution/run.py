"""Run of a study in processes of its own, or in this one where it cannot be forked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from actlab.errors import StoreError
from actlab.studies.execution.cost_process import measure_missing_costs
from actlab.studies.execution.dispatcher import Dispatcher
from actlab.studies.execution.job import Job
from actlab.studies.execution.runner import run_planned
from actlab.studies.execution.study_state import ProgressCallback, StudyState
from actlab.studies.execution.template_process import CannotForkError, can_run_in_processes
from actlab.studies.execution.time_limits import Budget
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Holder, Lease, Store
from actlab.system.interrupts import raised_as_exception
from actlab.system.plural import plural
from actlab.tasks.task import Task

__all__ = ["ProgressCallback", "StudyInterrupted", "run"]

_log = logging.getLogger(__name__)

_POLL = 0.1  # seconds that an idle loop waits before it reads the store again


class StudyInterrupted(KeyboardInterrupt):
    """A study was stopped by Ctrl-C; its finished trials are in the store."""


def run(job: Job, task: Task, progress: ProgressCallback | None = None) -> bool:
    """Run the trials of a study until they are done or the budget is spent.

    Args:
        job: the study.
        task: its task, resolved.
        progress: called in this process whenever a trial has finished.

    Returns:
        Whether the study is finished.

    Raises:
        StoreError: the store cannot be written; finished trials are not lost.
        StudyInterrupted: Ctrl-C; the same call resumes the study.
    """
    with closing(Store(job.store, create=False, keep_open=True)) as store:
        state = StudyState(job, task.learning_rate, store, progress)
        try:
            with raised_as_exception():
                return _run(job, task, state, store)
        except StoreError as error:
            stopped = [holder for holder in _holders(job, store) if holder.is_stopped]
            if "locked" not in str(error) or not stopped:
                raise
            pid = stopped[0].owner.pid
            raise StoreError(
                f"{error} Process {pid}, which is stopped, may hold it: try `kill -CONT {pid}`."
            ) from error
        except KeyboardInterrupt:
            state.refresh()
            raise StudyInterrupted(
                f"Stopped after {state.schedule.done} of {plural(state.schedule.total, 'trial')}. "
                "Finished trials are not lost; run the same command again to resume."
            ) from None
        finally:
            state.checkpoints.close()


def _run(job: Job, task: Task, state: StudyState, store: Store) -> bool:
    if can_run_in_processes(job):
        try:
            return Dispatcher(job, task, state, store).run()
        except CannotForkError:
            _log.warning(
                "The trials run in this process, one after another, and nothing protects it from their code: a process that has threads, "
                "as after the import of the task's file, cannot be forked for trials with %d threads of torch.",
                job.hardware.threads,
            )
    return _run_inline(job, task, state, store)


def _holders(job: Job, store: Store) -> list[Holder]:
    """Return who holds trials of the study, as far as the store can be read."""
    with suppress(StoreError):
        return store.holders(job.study)
    return []


def _run_inline(job: Job, task: Task, state: StudyState, store: Store) -> bool:
    """Run trials one after another until none is left or the budget is spent; return whether the study is finished.

    A trial that ends the process ends the study, and neither the budget nor a limit ends one that runs.
    """
    owner, budget = Owner.of(), Budget(job.budget, 1)
    measure_missing_costs(job, task, store)
    with _renewed_leases(store, owner):
        while not state.schedule.finished:
            keys = state.schedule.runnable
            open_seed = keys[0].seed if keys else None
            if budget.is_over_for(state.schedule.round_work, state.results, open_seed):
                return False
            lease = store.acquire(job.study, keys, owner)
            time.sleep(_POLL) if lease is None else _run_leased(store, job, task, lease)
            state.refresh()
    return True


def _run_leased(store: Store, job: Job, task: Task, lease: Lease) -> None:
    try:
        trial = run_planned(task, job.plan, lease.key, job.conditions_at(0))
    except BaseException:  # Ctrl-C; this process may live on and run the study again
        store.release(lease)
        raise
    store.finish(job.study, lease, trial)


@contextmanager
def _renewed_leases(store: Store, owner: Owner) -> Iterator[None]:
    """Renew the owner's leases from a thread while the block runs."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(HEARTBEAT):
            with suppress(StoreError):  # the loop will get the same error, and report it
                store.renew(owner)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
