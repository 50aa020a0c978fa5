"""Trial loop within this process, where no process can be forked (Windows, an accelerator)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from actlab.errors import StoreError
from actlab.studies.execution.cost_process import measure_missing_costs
from actlab.studies.execution.job import Job
from actlab.studies.execution.runner import run_planned
from actlab.studies.execution.study_state import StudyState
from actlab.studies.execution.time_limits import Budget
from actlab.studies.store.lease_owner import Owner
from actlab.studies.store.store import HEARTBEAT, Lease, Store
from actlab.tasks.task import Task

__all__ = ["run_inline"]

_POLL = 0.1  # seconds that an idle loop waits before it reads the store again


def run_inline(job: Job, task: Task, state: StudyState, store: Store) -> bool:
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
            time.sleep(_POLL) if lease is None else _run(store, job, task, lease)
            state.refresh()
    return True


def _run(store: Store, job: Job, task: Task, lease: Lease) -> None:
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
