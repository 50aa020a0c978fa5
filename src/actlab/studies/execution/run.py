"""Run of a study in processes of its own, or in this one where it cannot be forked."""

from __future__ import annotations

from contextlib import closing, suppress

from actlab.errors import StoreError
from actlab.studies.execution.dispatcher import Dispatcher
from actlab.studies.execution.inline import run_inline
from actlab.studies.execution.job import Job
from actlab.studies.execution.study_state import ProgressCallback, StudyState
from actlab.studies.execution.template_process import can_run_in_processes
from actlab.studies.store.store import Holder, Store
from actlab.system.interrupts import raised_as_exception
from actlab.system.plural import plural
from actlab.tasks.task import Task

__all__ = ["ProgressCallback", "StudyInterrupted", "run"]


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
        return Dispatcher(job, task, state, store).run()
    return run_inline(job, task, state, store)


def _holders(job: Job, store: Store) -> list[Holder]:
    """Return who holds trials of the study, as far as the store can be read."""
    with suppress(StoreError):
        return store.holders(job.study)
    return []
