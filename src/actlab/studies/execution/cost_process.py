"""Process that measures what the arms cost while the first trials run."""

from __future__ import annotations

import logging
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from actlab.evaluate.costs.arm_axes import arm_level
from actlab.studies.arm_cost import measure_costs
from actlab.studies.execution.job import Job
from actlab.studies.execution.template_process import TemplateError, TemplateProcess
from actlab.studies.execution.time_limits import RunningTime
from actlab.studies.store.store import Store
from actlab.tasks.task import Task

__all__ = ["CostProcess", "measure_missing_costs"]

_log = logging.getLogger(__name__)

_ATTEMPTS = 2  # user code may end the process
_LIMIT = 600.0  # seconds after which the process is taken to hang


def measure_missing_costs(job: Job, task: Task, store: Store) -> None:
    """Measure the costs of the arms in this process, if the store has not got them."""
    if _are_missing(job, task, store):
        store.add_costs(job.study, measure_costs(task, job.plan.arms, **job.cost_settings(0)))


def _are_missing(job: Job, task: Task, store: Store) -> bool:
    known = store.costs(job.study)
    has_some = task.door == "loop" or (task.door == "function" and bool(arm_level(job.conditions.axes)))
    return has_some and any(arm.label not in known for arm in job.plan.arms)


class CostProcess:
    """Measurement of the arms' costs for the dispatcher: one process, which takes the place of a runner until it has answered.

    The costs come from a process of its own, as user code may end it, and as a card must not be used in the first process. They are
    measured beside the first trials, as the clock is the CPU's and every round takes one step of each arm; nothing waits for them but a
    study whose trials run one at a time, whose time limits need them.

    Args:
        job: the study.
        task: its task.
        store: gets the costs.
    """

    def __init__(self, job: Job, task: Task, store: Store) -> None:
        self._job, self._store = job, store
        self._attempts = _ATTEMPTS if _are_missing(job, task, store) else 0
        self._number = self._slot = 0
        self._connection: Connection[Any, Any] | None = None
        self._time = RunningTime()
        self.step_time: float | None = self._slowest()

    @property
    def is_due(self) -> bool:
        """Whether the costs are still to be measured."""
        return self._attempts > 0 and self._connection is None

    @property
    def is_running(self) -> bool:
        """Whether they are being measured."""
        return self._connection is not None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to measure or to wait for."""
        return self._attempts == 0 and self._connection is None

    @property
    def slots(self) -> set[int]:
        """The place of the hardware that is in use, if any."""
        return set() if self._connection is None else {self._slot}

    @property
    def connections(self) -> list[Connection[Any, Any]]:
        """The connection to wait for, if any."""
        return [] if self._connection is None else [self._connection]

    def start(self, template: TemplateProcess, slot: int) -> None:
        """Start the process at a place of the study's hardware."""
        self._number, self._connection = template.start_cost_process(slot)
        self._slot = slot
        self._time = RunningTime()

    def receive(self, template: TemplateProcess | None) -> None:
        """Store what the process has sent; if it has ended instead, the costs are measured again, or are unknown."""
        if self._connection is None:
            return
        costs: dict[str, Any] | str | None = None
        with suppress(Exception):  # the process has ended, or user code has written to its connection
            costs = self._connection.recv()
        was_alone = self._end(template)
        if costs is None:
            if was_alone:
                self._count_ending()
            return
        self._attempts = 0
        if isinstance(costs, str):
            _log.warning("The costs of the arms could not be measured, and the verdict will have none: %s", costs)
            return
        self._store.add_costs(self._job.study, costs)
        self.step_time = self._slowest()

    def _count_ending(self) -> None:
        self._attempts -= 1
        if self._attempts == 0:
            _log.warning(
                "The process that measures the arms' costs has ended %d times, and the verdict will have none; a later run of the same "
                "command measures them.",
                _ATTEMPTS,
            )

    def keep_time(self, template: TemplateProcess | None) -> None:
        """End a process that hangs."""
        if self._connection is not None and self._time.tick() > _LIMIT:
            _log.warning(
                "The measurement of the arms' costs has been ended after %.0f s; the verdict will have none.", _LIMIT
            )
            self._attempts = 0
            self._end(template)

    def forget(self) -> None:
        """Close the connection after the template process has ended, and the measurement with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end(self, template: TemplateProcess | None) -> bool:
        """End the process; return whether the template process lives on. If it does not, the dispatcher will notice."""
        is_alive = False
        with suppress(TemplateError):
            if template is not None:
                template.end_runner(self._number, kill=True)
                is_alive = True
        self.forget()
        return is_alive

    def _slowest(self) -> float | None:
        """Return the seconds of the slowest arm's training step, where they were measured."""
        times = [cost["step_time"] for cost in self._store.costs(self._job.study).values() if cost.get("step_time")]
        return max(times, default=None)
